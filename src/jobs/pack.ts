/**
 * A pack: the images of one chunk as the fetch stage hands them to the defend stage, in the order of the chunk. It is
 * written and read as a stream, an image at a time, and believed only as far as it proves itself.
 *
 *     8 bytes    'DFLPACK1': format and version
 *     then for each image
 *       4 bytes  length of the header, 1 to 65,536 (little-endian, as all numbers)
 *       4 bytes  length of the pixels as they are stored
 *       header   JSON: index and key; sha256, width, height and encoding, or the error; ms
 *       pixels   8-bit RGB, row by row: as they are (`raw`), or by RFC 1951 (`deflate`); none behind an error
 *       32 bytes SHA-256 of the lengths, the header and the pixels
 *     8 bytes    0 and the number of images
 */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { deflateRaw, deflateRawSync, inflateRaw } from 'node:zlib';
import { z } from 'zod';
import { DeflectorError, ERROR_CATALOGUE, type ErrorCode } from '../errors.js';
import type { FailedImage, FetchedImage, JobItem } from '../types.js';

const MAGIC = Buffer.from('DFLPACK1', 'latin1');
const LENGTHS_BYTES = 8;
const DIGEST_BYTES = 32;

/** A key of 4,096 bytes, the message that repeats it, and the escapes of both. */
const MAX_HEADER_BYTES = 64 * 1024;

/** Pixels that compress by less than this are stored as they are: photographs do, drawings and screenshots do not. */
const WORTHWHILE = 0.5;

/** What of an image is compressed on trial: so many stretches of so many bytes. */
const TRIAL_STRETCHES = 8;
const TRIAL_BYTES = 1024;

/** What an image may be on its way through a pack. */
export interface PackLimits {
  /** Pixels of one image. */
  readonly maxPixels: number;
}

type Fetched = FetchedImage | FailedImage;

const ms = z.strictObject({ fetch: z.number(), decode: z.number() });
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const side = z.int().min(1);
const place = { index: z.int().min(0), key: z.string() };
const headerShape = z.union([
  z.strictObject({ ...place, sha256, width: side, height: side, encoding: z.enum(['raw', 'deflate']), ms }),
  z.strictObject({
    ...place,
    sha256: sha256.optional(),
    error: z.strictObject({
      code: z.enum(Object.keys(ERROR_CATALOGUE) as [ErrorCode, ...ErrorCode[]]),
      message: z.string(),
      retryable: z.boolean(),
    }),
    ms,
  }),
]);

const deflate = promisify<Uint8Array, { level: number }, Buffer>(deflateRaw);
const inflate = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(inflateRaw);

/** The bytes of a pack, piece by piece; equal images with equal durations give equal bytes. */
export async function* formatPack(images: AsyncIterable<Fetched>): AsyncGenerator<Uint8Array, void, undefined> {
  yield MAGIC;
  let count = 0;
  for await (const image of images) {
    yield* formatImage(image);
    count++;
  }
  yield lengths(0, count);
}

async function* formatImage(image: Fetched): AsyncGenerator<Uint8Array, void, undefined> {
  const { index, key, ms } = image;
  let header: z.infer<typeof headerShape>;
  let stored: Uint8Array = new Uint8Array();
  if ('error' in image) {
    const { code, message, retryable } = image.error;
    const digest = image.sha256 === undefined ? {} : { sha256: image.sha256 };
    header = { index, key, ...digest, error: { code, message, retryable }, ms };
  } else {
    const { width, height, data } = image.pixels;
    const packed = await compressed(data);
    stored = packed ?? data;
    header = {
      index,
      key,
      sha256: image.sha256,
      width,
      height,
      encoding: packed === undefined ? 'raw' : 'deflate',
      ms,
    };
  }
  const text = Buffer.from(JSON.stringify(header));
  const head = Buffer.concat([lengths(text.length, stored.length), text]);
  yield head;
  yield stored;
  yield createHash('sha256').update(head).update(stored).digest();
}

function lengths(first: number, second: number): Buffer {
  const bytes = Buffer.alloc(LENGTHS_BYTES);
  bytes.writeUInt32LE(first, 0);
  bytes.writeUInt32LE(second, 4);
  return bytes;
}

/** @returns `undefined` where it is not worth the time */
async function compressed(data: Uint8Array): Promise<Uint8Array | undefined> {
  const trial = TRIAL_STRETCHES * TRIAL_BYTES;
  if (data.length > 2 * trial) {
    const step = Math.floor(data.length / TRIAL_STRETCHES);
    const stretches = Array.from({ length: TRIAL_STRETCHES }, (_, n) =>
      data.subarray(n * step, n * step + TRIAL_BYTES),
    );
    if (deflateRawSync(Buffer.concat(stretches), { level: 1 }).length > WORTHWHILE * trial) return undefined;
  }
  const packed = await deflate(data, { level: 1 });
  return packed.length <= WORTHWHILE * data.length ? packed : undefined;
}

/**
 * Reads a pack, one image at a time.
 *
 * @param items the images of the chunk, which the pack has to hold, in this order
 * @throws DeflectorError PACK_INVALID; what `pieces` throws
 */
export async function* readPack(
  pieces: AsyncIterable<Uint8Array>,
  items: readonly JobItem[],
  limits: PackLimits,
): AsyncGenerator<Fetched, void, undefined> {
  const bytes = new ByteReader(pieces);
  try {
    if (!MAGIC.equals(await bytes.take(MAGIC.length))) throw broken('is of another format or version');
    for (const item of items) yield await readImage(bytes, item, limits);
    const end = await bytes.take(LENGTHS_BYTES);
    if (!end.equals(lengths(0, items.length)) || !(await bytes.isEnd()))
      throw broken('does not end with its last image');
  } finally {
    await bytes.close();
  }
}

async function readImage(bytes: ByteReader, item: JobItem, limits: PackLimits): Promise<Fetched> {
  const start = await bytes.take(LENGTHS_BYTES);
  const [headerBytes, storedBytes] = [start.readUInt32LE(0), start.readUInt32LE(4)];
  if (headerBytes === 0 || headerBytes > MAX_HEADER_BYTES || storedBytes > 3 * limits.maxPixels) {
    throw broken('holds an image beyond the limits', item);
  }
  const text = await bytes.take(headerBytes);
  const stored = await bytes.take(storedBytes);
  const digest = createHash('sha256').update(start).update(text).update(stored).digest();
  if (!digest.equals(await bytes.take(DIGEST_BYTES))) throw broken('is damaged', item);
  const parsed = headerShape.safeParse(jsonOf(text));
  if (!parsed.success) throw broken('has a header that cannot be read', item);
  const header = parsed.data;
  if (header.index !== item.index || header.key !== item.key) throw broken('holds the images of another chunk', item);
  const { index, key, ms } = header;
  if ('error' in header) {
    const { sha256, error } = header;
    return { index, key, ...(sha256 === undefined ? {} : { sha256 }), error, ms };
  }
  const { sha256, width, height, encoding } = header;
  const size = 3 * width * height;
  if (width * height > limits.maxPixels) throw broken('holds an image beyond the limits', item);
  const data = encoding === 'raw' ? stored : await unpacked(stored, size, item);
  if (data.length !== size) throw broken('holds an image of another size than it says', item);
  return { index, key, sha256, pixels: { width, height, data }, ms };
}

function jsonOf(text: Buffer): unknown {
  try {
    return JSON.parse(text.toString('utf8'));
  } catch {
    return undefined;
  }
}

async function unpacked(stored: Uint8Array, size: number, item: JobItem): Promise<Uint8Array> {
  try {
    // A copy, since what comes may be a view of something larger.
    return new Uint8Array(await inflate(stored, { maxOutputLength: size }));
  } catch {
    throw broken('holds an image that cannot be unpacked', item);
  }
}

function broken(what: string, item?: JobItem): DeflectorError {
  const where = item === undefined ? '' : `, at ${JSON.stringify(item.key.slice(0, 200))}`;
  return new DeflectorError('PACK_INVALID', `The pack ${what}${where}`);
}

/** Takes bytes off a stream by number. */
class ByteReader {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  /** @returns bytes that nothing else refers to. @throws DeflectorError PACK_INVALID where there are fewer */
  async take(count: number): Promise<Buffer> {
    // A view of something larger would travel to a worker thread with all of it.
    const taken = Buffer.allocUnsafeSlow(count);
    let length = 0;
    while (length < count) {
      if (this.#rest.length === 0 && !(await this.#more())) throw broken('is cut off');
      const copied = this.#rest.copy(taken, length);
      this.#rest = this.#rest.subarray(copied);
      length += copied;
    }
    return taken;
  }

  async isEnd(): Promise<boolean> {
    return this.#rest.length === 0 && !(await this.#more());
  }

  /** @returns whether there was more */
  async #more(): Promise<boolean> {
    for (;;) {
      const { value, done } = await this.#pieces.next();
      if (done) return false;
      this.#rest = Buffer.from(value.buffer, value.byteOffset, value.length);
      if (value.length > 0) return true;
    }
  }

  async close(): Promise<void> {
    await this.#pieces.return?.();
  }
}
