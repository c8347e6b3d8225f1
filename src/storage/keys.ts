/**
 * Image keys: what a key may look like, how keys are ordered, and how a folder's raw names become keys.
 *
 * A key is relative, its segments are separated by `/`, and it is written in UTF-8. Keys are ordered by
 * their UTF-8 bytes, the order in which S3 lists them too, so that a folder and its copy in a bucket give
 * the same job.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { sep } from 'node:path';
import { DeflectorError } from '../errors.js';

/** Longest key in UTF-8 bytes: what Linux takes as a path. */
const MAX_KEY_BYTES = 4096;

/** Names that a store uses while it writes; no key may use them and no listing shows them. */
export const TEMPORARY_PREFIX = '.deflector-partial-';

/**
 * Refuses a key that is malformed or would leave its root.
 *
 * @throws DeflectorError KEY_INVALID
 */
export function checkKey(key: string): void {
  const fault = keyFault(key);
  if (fault !== undefined) throw new DeflectorError('KEY_INVALID', `${fault}: ${JSON.stringify(shorten(key))}`);
}

export function isKey(text: string): boolean {
  return keyFault(text) === undefined;
}

function keyFault(key: string): string | undefined {
  if (key === '') return 'The key is empty';
  if (key.includes('\0')) return 'The key holds a NUL';
  if (/\p{Surrogate}/u.test(key)) return 'The key cannot be written in UTF-8';
  if (key.length > MAX_KEY_BYTES || Buffer.byteLength(key) > MAX_KEY_BYTES) {
    return `The key is longer than ${MAX_KEY_BYTES} bytes`;
  }
  if (key.startsWith('/')) return 'The key is an absolute path';
  // A backslash is an ordinary character of a name, but where it separates folders it could lead out of the root.
  if (sep === '\\' && /[\\:]/.test(key)) return 'The key holds a backslash or a colon';
  for (const segment of key.split('/')) {
    if (segment === '') return 'The key has an empty segment';
    if (segment === '.' || segment === '..') return `The key has a segment "${segment}"`;
    if (segment.startsWith(TEMPORARY_PREFIX)) return `The key uses the reserved name "${TEMPORARY_PREFIX}"`;
  }
  return undefined;
}

/** A key for a message: at most 200 characters. */
export function shorten(key: string): string {
  return key.length > 200 ? `${key.slice(0, 197)}...` : key;
}

/** A name of a folder's entry as a key's segment. */
export interface DecodedName {
  /** The UTF-8 bytes of the segment, one a character (latin1): sorts by bytes with plain string comparison. */
  readonly bytes: string;
  /** Whether the name is valid UTF-8. Where it is not, the segment shows each bad byte as `\xNN` and names no file. */
  readonly valid: boolean;
}

/** Reads the raw bytes of a folder entry's name. */
export function decodeName(raw: Buffer): DecodedName {
  if (isUtf8(raw)) return { bytes: raw.toString('latin1'), valid: true };
  return { bytes: Buffer.from(escapeBadBytes(raw)).toString('latin1'), valid: false };
}

/** The text of a segment held as bytes in a latin1 string. */
export function textOf(bytes: string): string {
  const raw = Buffer.from(bytes, 'latin1');
  return isAscii(raw) ? bytes : raw.toString('utf8');
}

function escapeBadBytes(raw: Buffer): string {
  let text = '';
  for (let i = 0; i < raw.length; ) {
    const lead = raw[i]!;
    const piece = raw.subarray(i, i + (lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2));
    const good = isUtf8(piece);
    text += good ? piece.toString('utf8') : `\\x${lead.toString(16).padStart(2, '0').toUpperCase()}`;
    i += good ? piece.length : 1;
  }
  return text;
}
