/** A bucket, or the part of one below a prefix, as an object store. */

import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3';
import { DeflectorError } from '../errors.js';
import type { ConditionalStore, ObjectEntry } from '../types.js';
import { tooLarge } from './faults.js';
import { checkKey } from './keys.js';
import { RetryBudget } from './retry-budget.js';
import { formatS3Address, type S3Address } from './s3-address.js';
import type { S3Connection, S3Module } from './s3-connection.js';
import { isBehindEnd, isConditionUnmet, isDamaged, s3Fault } from './s3-faults.js';
import type { AddressedStore, StoreAddress } from './store-address.js';

/** Bytes that are moved in one request of a stream, and from which on an object is written in parts. */
export const PIECE_BYTES = 8 * 1024 * 1024;

/** Most parts of one object (Amazon S3 User Guide, multipart upload limits). */
const MAX_PARTS = 10_000;

/** Most keys that one request deletes. */
const KEYS_A_DELETE = 1000;

/** Retries of cut-off bodies in a row, over all objects of a store. */
const BODY_RETRIES = 50;

/** Milliseconds before the second try of a body; doubled before each further one. */
const BACKOFF_MS = 50;

type Live = { readonly module: S3Module; readonly client: S3Client };

/** What an answer's body turned out to be. */
interface Body {
  readonly bytes: Uint8Array;
  readonly etag: string | undefined;
  /** Bytes of the whole object, where the server tells. */
  readonly total: number | undefined;
}

/**
 * The objects below a prefix; a key is what stands behind the prefix.
 *
 * Keys that end with a slash stand for empty folders and are passed over. Other keys that no file could have (an empty
 * segment, `.`, `..`) are listed with the error KEY_INVALID. A listing comes in the order in which the server gives it:
 * S3 promises the order of UTF-8 bytes, for general purpose buckets.
 */
export class S3Store implements ConditionalStore, AddressedStore {
  readonly url: string;
  readonly address: StoreAddress;
  readonly #connection: S3Connection;
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #budget = new RetryBudget(BODY_RETRIES);

  /** @param address its key is empty or ends with a slash */
  constructor(connection: S3Connection, address: S3Address) {
    this.#connection = connection;
    this.#bucket = address.bucket;
    this.#prefix = address.key;
    this.url = formatS3Address(address);
    this.address = { url: this.url, prefix: '' };
  }

  async *list(prefix = ''): AsyncGenerator<ObjectEntry, void, undefined> {
    let token: string | undefined;
    do {
      const page = await this.#send(this.url, 'list', ({ module, client }) =>
        client.send(
          new module.ListObjectsV2Command({
            Bucket: this.#bucket,
            Prefix: this.#prefix + prefix,
            // XML cannot hold all characters of a key.
            EncodingType: 'url',
            ContinuationToken: token,
          }),
        ),
      );
      for (const { Key = '', Size, ETag, LastModified } of page.Contents ?? []) {
        const whole = page.EncodingType === 'url' ? decodeURIComponent(Key.replaceAll('+', ' ')) : Key;
        const key = whole.slice(this.#prefix.length);
        if (key === '' || key.endsWith('/')) continue;
        const version = {
          ...(ETag === undefined ? {} : { etag: ETag.replaceAll('"', '') }),
          ...(LastModified === undefined ? {} : { modified: LastModified.getTime() }),
        };
        yield { ...entry(key, Size), ...version };
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async read(key: string, maxBytes: number): Promise<Uint8Array> {
    checkKey(key);
    const { bytes } = await this.#get(key, {}, maxBytes);
    return bytes;
  }

  async readRange(key: string, start: number, end: number): Promise<Uint8Array> {
    checkKey(key);
    return (await this.#range(key, start, end)).bytes;
  }

  async *stream(key: string): AsyncGenerator<Uint8Array, void, undefined> {
    checkKey(key);
    let etag: string | undefined;
    for (let start = 0; ; start += PIECE_BYTES) {
      const piece = await this.#range(key, start, start + PIECE_BYTES, etag);
      if (piece.bytes.length > 0) yield piece.bytes;
      if (piece.bytes.length < PIECE_BYTES || start + PIECE_BYTES === piece.total) return;
      etag = piece.etag;
    }
  }

  /** @param etag where given, the object must still be the one that had this tag */
  async #range(key: string, start: number, end: number, etag?: string): Promise<Body> {
    const nothing = { bytes: new Uint8Array(), etag, total: undefined };
    if (end <= start) return nothing;
    try {
      return await this.#get(key, { Range: `bytes=${start}-${end - 1}`, IfMatch: etag }, end - start);
    } catch (error) {
      if (error instanceof DeflectorError && isBehindEnd(error.cause)) return nothing;
      if (error instanceof DeflectorError && isConditionUnmet(error.cause)) {
        throw new DeflectorError('STORE_UNAVAILABLE', `The object changed while it was read: ${JSON.stringify(key)}`);
      }
      throw error;
    }
  }

  /**
   * Reads an object or a range of it. A body that is cut off, too slow or not what its checksum says is asked for again, as
   * the budget allows.
   */
  async #get(key: string, how: { Range?: string; IfMatch?: string | undefined }, maxBytes: number): Promise<Body> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#send(key, 'read', ({ module, client }) =>
        client.send(new module.GetObjectCommand({ Bucket: this.#bucket, Key: this.#prefix + key, ...how })),
      );
      try {
        const body = await this.#collect(key, answer, maxBytes);
        if (how.Range !== undefined && answer.ContentRange === undefined) {
          throw new DeflectorError('STORE_UNAVAILABLE', `The S3 server ignores ranges: ${JSON.stringify(key)}`);
        }
        if (attempt === 1) this.#budget.refund();
        return body;
      } catch (error) {
        if (error instanceof DeflectorError) throw error;
        if (attempt >= this.#connection.options.s3Tries || !this.#budget.take()) {
          // What is damaged where it lies is the same for whoever asks next, and no fault of the server's.
          const [code, what] = isDamaged(error)
            ? (['IMAGE_CORRUPT', 'The object is not what its checksum in S3 says'] as const)
            : (['STORE_UNAVAILABLE', 'The S3 server sends no whole object'] as const);
          throw new DeflectorError(code, `${what}: ${JSON.stringify(key)}`, { cause: error });
        }
        await sleep(BACKOFF_MS * 2 ** (attempt - 1) * (0.5 + Math.random() / 2));
      }
    }
  }

  /** Takes the bytes of an answer, and not one more than `maxBytes` needs: what the server says of the size is a hint. */
  async #collect(key: string, answer: GetObjectCommandOutput, maxBytes: number): Promise<Body> {
    const { Body, ContentLength: told, ETag, ContentRange } = answer;
    const body = Body as Readable;
    const late = setTimeout(
      () => body.destroy(new Error(`not whole after ${this.#connection.options.s3Timeout} s`)),
      1000 * this.#connection.options.s3Timeout,
    );
    let whole = false;
    try {
      if (told !== undefined && told > maxBytes) throw tooLarge(key, `${told} bytes`, maxBytes);
      const pieces: Uint8Array[] = [];
      let length = 0;
      for await (const piece of body as AsyncIterable<Uint8Array>) {
        length += piece.length;
        if (length > maxBytes) throw tooLarge(key, `more than ${maxBytes} bytes`, maxBytes);
        pieces.push(piece);
      }
      if (told !== undefined && length < told) throw new Error(`${length} of ${told} bytes came`);
      whole = true;
      const total = /\/(\d+)$/.exec(ContentRange ?? '')?.[1];
      return {
        bytes: pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, length),
        etag: ETag,
        total: total === undefined ? undefined : Number(total),
      };
    } finally {
      clearTimeout(late);
      // Ends a transfer that was left early; the connection of any other is kept.
      if (!whole) body.destroy();
    }
  }

  async write(key: string, bytes: Uint8Array): Promise<void> {
    await this.writeStream(key, single(bytes));
  }

  async writeStream(key: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    checkKey(key);
    const target = { Bucket: this.#bucket, Key: this.#prefix + key };
    let upload: string | undefined;
    const parts: { PartNumber: number; ETag: string | undefined }[] = [];
    const send = <T>(request: (live: Live) => Promise<T>) => this.#send(key, 'write', request);
    try {
      for await (const { bytes, last } of inPieces(pieces, PIECE_BYTES)) {
        if (upload === undefined && last) {
          await send(({ module, client }) => client.send(new module.PutObjectCommand({ ...target, Body: bytes })));
          return;
        }
        upload ??= await send(async ({ module, client }) => {
          return (await client.send(new module.CreateMultipartUploadCommand(target))).UploadId;
        });
        const PartNumber = parts.length + 1;
        if (PartNumber > MAX_PARTS) throw tooManyParts(key);
        const UploadId = upload;
        const { ETag } = await send(({ module, client }) =>
          client.send(new module.UploadPartCommand({ ...target, UploadId, PartNumber, Body: bytes })),
        );
        parts.push({ PartNumber, ETag });
      }
      await send(({ module, client }) =>
        client.send(
          new module.CompleteMultipartUploadCommand({ ...target, UploadId: upload, MultipartUpload: { Parts: parts } }),
        ),
      );
    } catch (error) {
      if (upload !== undefined) {
        const UploadId = upload;
        // Where even that fails, the bucket's own rule for incomplete uploads removes the parts.
        await send(({ module, client }) =>
          client.send(new module.AbortMultipartUploadCommand({ ...target, UploadId })),
        ).catch(() => undefined);
      }
      throw error;
    }
  }

  async create(key: string, bytes: Uint8Array): Promise<boolean> {
    checkKey(key);
    try {
      await this.#send(key, 'write', ({ module, client }) =>
        client.send(
          new module.PutObjectCommand({
            Bucket: this.#bucket,
            Key: this.#prefix + key,
            Body: bytes,
            IfNoneMatch: '*',
          }),
        ),
      );
      return true;
    } catch (error) {
      if (!(error instanceof DeflectorError) || !isConditionUnmet(error.cause)) throw error;
      // It may be this very write, whose answer was lost and which was then tried again.
      const there = await this.read(key, bytes.length).catch((fault: unknown) => {
        if (fault instanceof DeflectorError && fault.code === 'IMAGE_TOO_MANY_BYTES') return undefined;
        throw fault;
      });
      return there !== undefined && Buffer.compare(there, bytes) === 0;
    }
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    try {
      await this.#send(key, 'write', ({ module, client }) =>
        client.send(new module.DeleteObjectCommand({ Bucket: this.#bucket, Key: this.#prefix + key })),
      );
    } catch (error) {
      if (!(error instanceof DeflectorError) || error.code !== 'IMAGE_NOT_FOUND') throw error;
    }
  }

  async deleteAll(keys: readonly string[]): Promise<void> {
    for (const key of keys) checkKey(key);
    for (let start = 0; start < keys.length; start += KEYS_A_DELETE) {
      const Objects = keys.slice(start, start + KEYS_A_DELETE).map(key => ({ Key: this.#prefix + key }));
      const { Errors = [] } = await this.#send(this.url, 'write', ({ module, client }) =>
        client.send(new module.DeleteObjectsCommand({ Bucket: this.#bucket, Delete: { Objects, Quiet: true } })),
      );
      const [fault] = Errors.filter(({ Code }) => Code !== 'NoSuchKey');
      if (fault !== undefined) {
        throw s3Fault(
          Object.assign(new Error(fault.Code), { name: fault.Code, $metadata: { httpStatusCode: 500 } }),
          fault.Key ?? this.url,
          'write',
        );
      }
    }
  }

  async #send<T>(subject: string, action: 'read' | 'list' | 'write', request: (live: Live) => Promise<T>): Promise<T> {
    try {
      return await request(await this.#connection.live());
    } catch (error) {
      throw s3Fault(error, subject, action);
    }
  }
}

function entry(key: string, size: number | undefined): ObjectEntry {
  try {
    checkKey(key);
    return { key, size };
  } catch (error) {
    const { code, message, retryable } = error as DeflectorError;
    return { key, size, error: { code, message, retryable } };
  }
}

function tooManyParts(key: string): DeflectorError {
  return new DeflectorError('STORE_FULL', `The object would be larger than ${MAX_PARTS * PIECE_BYTES} bytes: ${key}`);
}

async function* single(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

/** The same bytes in pieces of one size but for the last, which may be shorter; at least one piece. */
async function* inPieces(
  source: AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<{ readonly bytes: Uint8Array; readonly last: boolean }, void, undefined> {
  let waiting: Uint8Array[] = [];
  let length = 0;
  for await (let piece of source) {
    while (length + piece.length > size) {
      const taken = size - length;
      waiting.push(piece.subarray(0, taken));
      piece = piece.subarray(taken);
      yield { bytes: Buffer.concat(waiting), last: false };
      waiting = [];
      length = 0;
    }
    if (piece.length > 0) waiting.push(piece);
    length += piece.length;
  }
  yield { bytes: waiting.length === 1 ? waiting[0]! : Buffer.concat(waiting), last: true };
}
