/** Brings one file of a known size and digest from an HTTP server: resumed where it was cut, whole or not at all. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeflectorError } from '../errors.js';
import { systemCode, writeFault } from '../storage/faults.js';
import { lockFile } from '../storage/lock-file.js';

/** What a file has to be. */
export interface Download {
  readonly address: URL;
  /** Hexadecimal. */
  readonly sha256: string;
  readonly bytes: number;
}

export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told the bytes that are there, those of earlier calls included. */
  readonly progress?: ((bytes: number) => void) | undefined;
  readonly patience?: Patience;
}

export interface Patience {
  /** Milliseconds without a byte after which a connection counts as cut. */
  readonly stall: number;
  /** Milliseconds before the first new try; doubled for each further one. */
  readonly pause: number;
  /** Tries in a row that bring no byte. */
  readonly tries: number;
}

const PATIENCE: Patience = { stall: 30_000, pause: 1000, tries: 5 };
const MAX_REDIRECTS = 10;

/** Statuses that may pass; of the others a new try would only bring the same (RFC 9110, section 15). */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);

/** A fault that another try may not meet. */
class Cut extends Error {}

/**
 * An address whose content cannot be exchanged on the way to this machine: https, or http that never leaves it.
 *
 * @returns `undefined` for any other
 */
export function safeAddress(text: string, base?: URL): URL | undefined {
  const address = URL.canParse(text, base?.href) ? new URL(text, base) : undefined;
  const safe =
    address?.protocol === 'https:' ||
    (address?.protocol === 'http:' && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(address.hostname));
  return safe ? address : undefined;
}

/**
 * Downloads a file to `target`. What has come lies in `target.part` until it is whole and its digest is right; a later call
 * goes on from there.
 *
 * @throws DeflectorError DOWNLOAD_FAILED, MODEL_DIGEST_MISMATCH, OUTPUT_LOCKED where another process is at it, INTERRUPTED,
 *   STORE_FULL, STORE_UNAVAILABLE
 */
export async function download(what: Download, target: string, options: DownloadOptions = {}): Promise<void> {
  const part = `${target}.part`;
  try {
    await mkdir(dirname(target), { recursive: true });
  } catch (error) {
    throw writeFault(error, dirname(target));
  }
  const lock = await lockFile(`${target}.lock`);
  try {
    // What an earlier call left may be from another server; only then is a wrong digest worth a second start.
    let resumed = (await sizeOf(part)) > 0;
    for (;;) {
      await receiveAll(what, part, options);
      const sha256 = await digestOfFile(part);
      if (sha256 === what.sha256) break;
      await rm(part, { force: true });
      if (!resumed) {
        const message = `${shown(what.address)} has the SHA-256 ${sha256}, but the catalogue says ${what.sha256}`;
        throw new DeflectorError('MODEL_DIGEST_MISMATCH', message);
      }
      resumed = false;
    }
    await rename(part, target);
  } catch (error) {
    throw options.signal?.aborted ? interrupted(error) : faultOf(error, target);
  } finally {
    await lock.release();
  }
}

/**
 * A small file whole.
 *
 * @throws DeflectorError DOWNLOAD_FAILED, also where it is larger than `maxBytes`; INTERRUPTED
 */
export async function fetchSmall(address: URL, maxBytes: number, signal?: AbortSignal): Promise<Buffer> {
  const stall = new Stall(PATIENCE.stall, signal);
  try {
    const response = await request(address, {}, stall.signal);
    if (response.status !== 200) throw refused(address, response.status);
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of bodyOf(response)) {
      stall.moved();
      bytes += piece.length;
      if (bytes > maxBytes) throw failed(address, `it is larger than ${maxBytes} bytes`);
      pieces.push(piece);
    }
    return Buffer.concat(pieces);
  } catch (error) {
    if (signal?.aborted) throw interrupted(error);
    throw error instanceof DeflectorError ? error : failed(address, reasonOf(error), error);
  } finally {
    stall.end();
  }
}

/** SHA-256 of a file, hexadecimal. */
export async function digestOfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return hash.digest('hex');
}

/** Tries until `part` has all its bytes. */
async function receiveAll(what: Download, part: string, options: DownloadOptions): Promise<void> {
  const { pause, tries } = options.patience ?? PATIENCE;
  let failures = 0;
  for (;;) {
    const before = await sizeOf(part);
    if (before === what.bytes) {
      options.progress?.(before);
      return;
    }
    try {
      await receive(what, part, before, options);
    } catch (error) {
      if (!(error instanceof Cut) || options.signal?.aborted) throw error;
      failures = (await sizeOf(part)) > before ? 0 : failures + 1;
      if (failures >= tries) {
        throw failed(what.address, `${reasonOf(error)}, ${tries} times; ${await sizeOf(part)} bytes are kept`, error);
      }
      await sleep(pause * 2 ** Math.max(0, failures - 1), undefined, { signal: options.signal });
    }
  }
}

/** One request, for what is missing (RFC 9110, section 14). @throws Cut */
async function receive(what: Download, part: string, have: number, options: DownloadOptions): Promise<void> {
  const stall = new Stall((options.patience ?? PATIENCE).stall, options.signal);
  try {
    const response = await request(what.address, have > 0 ? { range: `bytes=${have}-` } : {}, stall.signal).catch(cut);
    const from = response.status === 206 ? startOf(response, what) : 0;
    if (response.status === 416 || from > have) {
      await rm(part, { force: true });
      throw new Cut(`it does not go on at byte ${have}`);
    }
    if (response.status !== 200 && response.status !== 206) {
      await response.body?.cancel();
      if (PASSING.has(response.status)) throw new Cut(`the server answers ${response.status}`);
      throw refused(what.address, response.status);
    }
    const length = response.headers.get('content-length');
    if (response.status === 200 && length !== null && Number(length) !== what.bytes) {
      throw failed(what.address, `it has ${length} bytes, but the catalogue says ${what.bytes}`);
    }
    const file = await open(part, 'a');
    try {
      await file.truncate(from);
      let bytes = from;
      options.progress?.(bytes);
      for await (const piece of cutShort(bodyOf(response))) {
        stall.moved();
        bytes += piece.length;
        if (bytes > what.bytes) {
          await file.truncate(0);
          throw failed(what.address, `it has more bytes than the ${what.bytes} that the catalogue says`);
        }
        await file.writeFile(piece);
        options.progress?.(bytes);
      }
      await file.sync();
      if (bytes < what.bytes) throw new Cut(`it ended after ${bytes} of ${what.bytes} bytes`);
    } finally {
      await file.close();
    }
  } finally {
    stall.end();
  }
}

/** First byte of a partial answer. */
function startOf(response: Response, what: Download): number {
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '') ?? [];
  if (start === undefined) throw new Cut('the server does not say which part it gives');
  if (total !== '*' && Number(total) !== what.bytes) {
    throw failed(what.address, `it has ${total} bytes, but the catalogue says ${what.bytes}`);
  }
  return Number(start);
}

/** Follows redirections itself, since each step has to be safe. */
async function request(address: URL, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
  let at = address;
  for (let step = 0; step <= MAX_REDIRECTS; step++) {
    // Compressed bytes have another length, and ranges of them are of no use.
    const response = await fetch(at, {
      headers: { 'accept-encoding': 'identity', ...headers },
      redirect: 'manual',
      signal,
    });
    const location = response.headers.get('location');
    if (location === null || response.status < 300 || response.status > 399) return response;
    await response.body?.cancel();
    const next = safeAddress(location, at);
    if (next === undefined || (at.protocol === 'https:' && next.protocol !== 'https:')) {
      throw failed(address, `it leads to ${shorten(location)}, which is not https`);
    }
    at = next;
  }
  throw failed(address, `it leads on more than ${MAX_REDIRECTS} times`);
}

/** Ends a connection on which nothing moves. */
class Stall {
  readonly #limit: number;
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #onAbort = () => this.#controller.abort();
  #timer: NodeJS.Timeout;

  constructor(limit: number, outer: AbortSignal | undefined) {
    this.#limit = limit;
    this.#outer = outer;
    if (outer?.aborted) this.#controller.abort();
    outer?.addEventListener('abort', this.#onAbort, { once: true });
    this.#timer = this.#start();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  moved(): void {
    clearTimeout(this.#timer);
    this.#timer = this.#start();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener('abort', this.#onAbort);
    // Lets go of a body that nobody read to its end.
    this.#controller.abort();
  }

  #start(): NodeJS.Timeout {
    return setTimeout(() => this.#controller.abort(new Error(`nothing came for ${this.#limit / 1000} s`)), this.#limit);
  }
}

function bodyOf(response: Response): AsyncIterable<Uint8Array> {
  return (response.body ?? []) as AsyncIterable<Uint8Array>;
}

/** Any fault of the connection is one that may pass. */
async function* cutShort(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]();
  for (;;) {
    const next = await iterator.next().catch(cut);
    if (next.done) return;
    yield next.value;
  }
}

function cut(error: unknown): never {
  if (error instanceof DeflectorError) throw error;
  throw new Cut(reasonOf(error), { cause: error });
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    found => found.size,
    () => 0,
  );
}

/** Why a fetch failed: its error only says that it did, the cause says why. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  if (!(cause instanceof Error) || error instanceof Cut) return message;
  return cause.message || systemCode(cause) || message;
}

function refused(address: URL, status: number): DeflectorError {
  return failed(address, `the server answers ${status}`);
}

function failed(address: URL, why: string, cause?: unknown): DeflectorError {
  return new DeflectorError('DOWNLOAD_FAILED', `${shown(address)} cannot be had: ${why}`, { cause });
}

/** An address without the password and the signatures that it may carry. */
function shown({ origin, pathname }: URL): string {
  return `${origin}${pathname}`;
}

function shorten(text: string): string {
  return text.length > 100 ? `${text.slice(0, 97)}...` : text;
}

function interrupted(cause: unknown): DeflectorError {
  const message = 'The download was interrupted; what has come is kept for the next call';
  return new DeflectorError('INTERRUPTED', message, { cause });
}

function faultOf(error: unknown, target: string): unknown {
  return error instanceof DeflectorError || systemCode(error) === undefined ? error : writeFault(error, target);
}
