/**
 * Reads where the members of a tar archive lie, without their contents: POSIX.1-1988 and 2001 (ustar, pax) and the long
 * names of GNU tar. https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html,
 * https://www.gnu.org/software/tar/manual/html_node/Standard.html
 */
import { DeflectorError } from '../errors.js';

const BLOCK_BYTES = 512;

/** Bytes that are read at a time in search of headers; a larger member is skipped. */
const WINDOW_BYTES = 1024 * 1024;

/** Longest extended header or long name. */
const MAX_EXTENDED_BYTES = 64 * 1024;

/** A file in an archive. */
export interface TarMember {
  readonly name: string;
  /** Where its bytes begin in the archive. */
  readonly offset: number;
  readonly size: number;
}

/**
 * The files of an archive, in its order.
 *
 * @param readRange bytes from `start` to before `end`, fewer where the archive ends
 * @throws DeflectorError SHARD_INVALID, and what `readRange` throws
 */
export async function* readTar(
  readRange: (start: number, end: number) => Promise<Uint8Array>,
): AsyncGenerator<TarMember, void, undefined> {
  let window = Buffer.alloc(0);
  let windowStart = 0;
  const bytes = async (start: number, length: number): Promise<Buffer> => {
    if (start < windowStart || start + length > windowStart + window.length) {
      window = Buffer.from(await readRange(start, start + Math.max(length, WINDOW_BYTES)));
      windowStart = start;
    }
    return window.subarray(start - windowStart, start - windowStart + length);
  };
  let extended: { path?: string; size?: number } = {};
  for (let position = 0; ; ) {
    const header = await bytes(position, BLOCK_BYTES);
    // Two empty blocks end an archive; some writers leave them out.
    if (header.length === 0 || (header.length === BLOCK_BYTES && header.every(byte => byte === 0))) return;
    if (header.length < BLOCK_BYTES) throw broken('is cut off', position);
    if (!checksumHolds(header)) throw broken('is no tar archive, or damaged', position);
    const kind = String.fromCharCode(header[156]!);
    const offset = position + BLOCK_BYTES;
    const size = extended.size ?? numberAt(header, 124, 12, position);
    position = offset + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
    if (kind === 'x' || kind === 'L') {
      if (size > MAX_EXTENDED_BYTES) throw broken('has an extended header that is too long', offset);
      const text = await bytes(offset, size);
      if (text.length < size) throw broken('is cut off', offset);
      extended = kind === 'L' ? { ...extended, path: cString(text) } : { ...extended, ...paxRecords(text, offset) };
      continue;
    }
    const name = extended.path ?? ustarName(header);
    // Regular files; folders, links, devices and global headers are passed over.
    if (kind === '0' || kind === '\0' || kind === '7') {
      if (size > 0 && (await bytes(position - 1, 1)).length === 0) {
        // The padding of the last member may be missing, its bytes may not.
        if ((await bytes(offset + size - 1, 1)).length === 0) throw broken('is cut off', offset);
      }
      yield { name, offset, size };
    }
    if (kind !== 'g') extended = {};
  }
}

function broken(what: string, position: number): DeflectorError {
  return new DeflectorError('SHARD_INVALID', `The archive ${what} at byte ${position}`);
}

/** Sum of all bytes of the header, its own field taken as blanks. */
function checksumHolds(header: Buffer): boolean {
  let sum = 0;
  for (let i = 0; i < BLOCK_BYTES; i++) sum += i >= 148 && i < 156 ? 0x20 : header[i]!;
  return sum === Number.parseInt(cString(header.subarray(148, 156)).trim(), 8);
}

/** Octal text, or where its first bit is set a binary number (GNU). */
function numberAt(header: Buffer, start: number, length: number, position: number): number {
  const field = header.subarray(start, start + length);
  let value: number;
  if ((field[0]! & 0x80) !== 0) {
    value = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, field[0]! & 0x7f);
  } else {
    const text = cString(field).trim();
    value = text === '' ? 0 : /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number.NaN;
  }
  if (!Number.isSafeInteger(value)) throw broken('has a header that holds no size', position);
  return value;
}

function ustarName(header: Buffer): string {
  const name = cString(header.subarray(0, 100));
  const prefix = header.toString('latin1', 257, 263) === 'ustar\0' ? cString(header.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

function cString(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}

/** Records of the form 'LENGTH KEY=VALUE\n', of which the path and the size count. */
function paxRecords(bytes: Buffer, position: number): { path?: string; size?: number } {
  const found: { path?: string; size?: number } = {};
  for (let start = 0; start < bytes.length; ) {
    const blank = bytes.indexOf(0x20, start);
    const length = Number(bytes.toString('latin1', start, blank));
    if (blank < 0 || !Number.isSafeInteger(length) || length <= blank - start || start + length > bytes.length) {
      throw broken('has an extended header that cannot be read', position);
    }
    const record = bytes.toString('utf8', blank + 1, start + length - 1);
    const equals = record.indexOf('=');
    const value = record.slice(equals + 1);
    if (record.startsWith('path=')) found.path = value;
    if (record.startsWith('size=')) {
      found.size = Number(value);
      if (!Number.isSafeInteger(found.size) || found.size < 0)
        throw broken('has an extended header that cannot be read', position);
    }
    start += length;
  }
  return found;
}
