/** Addresses of the form `s3://bucket/key`, and lists of those that untrusted callers may name. */
import { DeflectorError } from '../errors.js';
import { isKey, shorten } from './keys.js';

/** A place in S3. The key is taken as written: nothing in it is percent-encoded. */
export interface S3Address {
  readonly bucket: string;
  /** A key, or what keys begin with; may be empty. */
  readonly key: string;
}

/** Bucket names as servers allow them, old ones with capitals and underscores included. */
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/;

/** Whether a text is meant as an address in S3. */
export function isS3Address(text: string): boolean {
  return /^s3:\/\//i.test(text);
}

/** @returns `undefined` where the text is no address in S3, its bucket no name of one, or its key none that a file could have */
export function parseS3Address(text: string): S3Address | undefined {
  const [, bucket = '', key = ''] = /^s3:\/\/([^/]*)(?:\/(.*))?$/is.exec(text) ?? [];
  const path = key.replace(/\/$/, '');
  return BUCKET.test(bucket) && (path === '' || isKey(path)) ? { bucket, key } : undefined;
}

export function formatS3Address({ bucket, key }: S3Address): string {
  return `s3://${bucket}${key === '' ? '' : `/${key}`}`;
}

/** The address of a folder: its key is empty or ends with a slash. */
export function asFolder({ bucket, key }: S3Address): S3Address {
  return { bucket, key: key === '' || key.endsWith('/') ? key : `${key}/` };
}

/**
 * Refuses an address outside of all allowed ones. An allowed address takes in the object of that very key and all
 * keys below it: `s3://bucket/in` allows `in` and `in/a.jpg`, not `inside/a.jpg`.
 *
 * @throws DeflectorError STORE_DENIED
 */
export function checkAllowed(address: S3Address, allowed: readonly S3Address[]): void {
  const within = allowed.some(({ bucket, key }) => {
    return bucket === address.bucket && (key === address.key || address.key.startsWith(asFolder({ bucket, key }).key));
  });
  if (!within) {
    throw new DeflectorError('STORE_DENIED', `The address is not allowed here: ${shorten(formatS3Address(address))}`);
  }
}
