/** Where a store lies, as plain data: it travels from the producer of a job to its workers. */
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { ObjectStore } from '../types.js';

export const storeAddressShape = z.strictObject({
  /** `file:///folder`, or `s3://bucket/prefix/`. */
  url: z.string().regex(/^(?:file:\/\/\/|s3:\/\/)/),
  /** Of a folder: where links may lead; see FileSystemStore. */
  links: z.enum(['inside', 'anywhere']).optional(),
  /** The name of an archive in it whose members are the objects. */
  shard: z.string().optional(),
  /** What keys begin with that the store itself does not know; empty or ending with a slash. */
  prefix: z.string(),
});

export type StoreAddress = z.infer<typeof storeAddressShape>;

/** A store that another process can open, too. */
export interface AddressedStore extends ObjectStore {
  readonly address: StoreAddress;
}

/** Where a store lies, in the form in which a user names it: a path, or an address in S3. */
export function placeOf({ url }: Pick<StoreAddress, 'url'>): string {
  return url.startsWith('file:') ? fileURLToPath(url) : url;
}
