/** Writes tar archives of small files: POSIX.1-1988 (ustar), the same bytes for the same files whenever they are written. */

const BLOCK_BYTES = 512;

/** Longest name that needs no extension of the format, and largest size that its octal digits hold. */
const MAX_NAME_BYTES = 100;
const MAX_SIZE = 8 ** 11 - 1;

/** A file for an archive. */
export interface TarFile {
  /** At most 100 bytes. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** The bytes of an archive, a piece or two for each file. @throws RangeError for a name or size that it cannot hold */
export async function* formatTar(files: AsyncIterable<TarFile>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { name, bytes } of files) {
    yield header(name, bytes.length);
    yield bytes;
    yield Buffer.alloc(-bytes.length & (BLOCK_BYTES - 1));
  }
  yield Buffer.alloc(2 * BLOCK_BYTES);
}

/** A regular file, readable by all, of nobody in particular, made in 1970. */
function header(name: string, size: number): Buffer {
  if (Buffer.byteLength(name) > MAX_NAME_BYTES || size > MAX_SIZE) {
    throw new RangeError(`A tar archive cannot hold ${name} of ${size} bytes`);
  }
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, at: number, digits: number) => block.write(value.toString(8).padStart(digits, '0'), at);
  block.write(name, 0);
  octal(0o644, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(size, 124, 11);
  octal(0, 136, 11);
  block.write('0', 156);
  block.write('ustar\0' + '00', 257, 'latin1');
  // The sum takes its own field as blanks.
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
