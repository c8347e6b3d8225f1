/** Reads text line by line in bounded memory. */
import { type FileHandle, open } from 'node:fs/promises';
import { readFault, withDescriptor } from './faults.js';

/** One line of a file, without its end. */
export interface Line {
  /** 1-based. */
  readonly number: number;
  /** Absent where the line is longer than the limit; then it was passed over without being held. */
  readonly text: string | undefined;
  /** Length without its end, also where the text is not held. */
  readonly bytes: number;
  /** Whether a line feed stood behind it: false only for the last line of a file that was cut off. */
  readonly complete: boolean;
}

const LINE_FEED = 0x0a;
const BUFFER_BYTES = 64 * 1024;

/**
 * The lines of a UTF-8 file, separated by line feeds. A carriage return stays part of its line.
 *
 * @param maxBytes longest line that is held
 * @param end reads no further than this many bytes
 * @throws DeflectorError IMAGE_NOT_FOUND and the other codes of a failed read
 */
export function readLines(
  path: string,
  maxBytes: number,
  end = Number.POSITIVE_INFINITY,
): AsyncGenerator<Line, void, undefined> {
  return splitLines(readPieces(path, end), maxBytes);
}

async function* readPieces(path: string, end: number): AsyncGenerator<Uint8Array, void, undefined> {
  let file: FileHandle;
  try {
    file = await withDescriptor(() => open(path, 'r'));
  } catch (error) {
    throw readFault(error, path);
  }
  try {
    for (let position = 0; position < end; ) {
      const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - position), position);
      if (bytesRead === 0) break;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } catch (error) {
    throw readFault(error, path);
  } finally {
    await file.close();
  }
}

/**
 * The lines of UTF-8 text that comes in pieces; a piece may end anywhere, inside of a character, too.
 *
 * @param maxBytes longest line that is held
 * @throws what `pieces` throws
 */
export async function* splitLines(
  pieces: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Line, void, undefined> {
  let held: Uint8Array[] = [];
  let length = 0;
  let number = 1;
  const line = (complete: boolean): Line => {
    const text = length > maxBytes ? undefined : Buffer.concat(held, length).toString('utf8');
    const bytes = length;
    held = [];
    length = 0;
    return { number: number++, text, bytes, complete };
  };
  const take = (part: Uint8Array): void => {
    length += part.length;
    if (length > maxBytes) held = [];
    else if (part.length > 0) held.push(part);
  };
  for await (const piece of pieces) {
    let start = 0;
    for (let feed = 0; ; start = feed + 1) {
      feed = piece.indexOf(LINE_FEED, start);
      if (feed < 0) break;
      take(piece.subarray(start, feed));
      yield line(true);
    }
    take(piece.subarray(start));
  }
  if (length > 0) yield line(false);
}
