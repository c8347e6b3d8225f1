/**
 * Sorts any number of names in bounded memory: names are gathered up to a limit, sorted and written to a
 * temporary file as a run; the runs are merged while they are read back (external merge sort, Knuth, The Art
 * of Computer Programming, volume 3, section 5.4).
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeflectorError } from '../errors.js';
import { withDescriptor, writeFault } from './faults.js';

/** Names held in memory at once, where nothing else is said. */
const NAMES_IN_MEMORY = 50_000;

const RUN_BUFFER_BYTES = 16 * 1024;
/** No name holds it: file systems forbid it. */
const END_OF_NAME = '\0';

/** A stretch of the temporary file that holds sorted names. */
interface Extent {
  readonly start: number;
  readonly end: number;
}

/** Names, each a latin1 string of bytes without NUL, put in with `add` and given back in byte order by `sorted`. */
export class SortedNames {
  readonly #limit: number;
  #names: string[] = [];
  #file: FileHandle | undefined;
  #path: string | undefined;
  #size = 0;
  readonly #runs: Extent[] = [];

  /** @param limit names held in memory at once, at least 1 */
  constructor(limit = NAMES_IN_MEMORY) {
    this.#limit = limit;
  }

  /** Whether the next `add` may have to wait for the disk. */
  get full(): boolean {
    return this.#names.length >= this.#limit;
  }

  add(name: string): void {
    this.#names.push(name);
  }

  /** Moves the names in memory to the disk. @throws DeflectorError STORE_FULL, STORE_UNAVAILABLE */
  async spill(): Promise<void> {
    try {
      await this.#writeRun();
    } catch (error) {
      throw writeFault(error, `${tmpdir()} (temporary file of a sorted listing)`);
    }
  }

  async #writeRun(): Promise<void> {
    if (this.#file === undefined) {
      this.#path = join(tmpdir(), `deflector-names-${process.pid}-${randomBytes(6).toString('hex')}`);
      const path = this.#path;
      this.#file = await withDescriptor(() => open(path, 'wx+', 0o600));
      // Where the system allows it the file has no name from here on, so that not even a crash leaves it behind.
      await rm(path, { force: true }).catch(() => undefined);
    }
    const bytes = Buffer.from(this.#names.sort().join(END_OF_NAME) + END_OF_NAME, 'latin1');
    this.#names = [];
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.#size + done);
      done += bytesWritten;
    }
    this.#runs.push({ start: this.#size, end: this.#size + bytes.length });
    this.#size += bytes.length;
  }

  /** All names in byte order; to be called once, after the last `add`. */
  async *sorted(): AsyncGenerator<string, void, undefined> {
    this.#names.sort();
    const file = this.#file;
    if (file === undefined) {
      yield* this.#names;
      return;
    }
    const heads: { name: string; rest: AsyncIterator<string> }[] = [];
    for (const rest of [...this.#runs.map(run => readRun(file, run)), once(this.#names)]) {
      const first = await rest.next();
      if (!first.done) heads.push({ name: first.value, rest });
    }
    heads.sort((a, b) => (a.name < b.name ? 1 : -1));
    // The smallest head is the last; a head that moved on sinks to its place, found by bisection.
    for (let head = heads.pop(); head !== undefined; head = heads.pop()) {
      yield head.name;
      const next = await head.rest.next();
      if (next.done) continue;
      head.name = next.value;
      let low = 0;
      for (let high = heads.length; low < high; ) {
        const middle = (low + high) >>> 1;
        if (heads[middle]!.name > head.name) low = middle + 1;
        else high = middle;
      }
      heads.splice(low, 0, head);
    }
  }

  /** Gives disk and memory back. */
  async close(): Promise<void> {
    this.#names = [];
    await this.#file?.close();
    this.#file = undefined;
    if (this.#path !== undefined) await rm(this.#path, { force: true });
    this.#path = undefined;
  }
}

async function* once(names: readonly string[]): AsyncGenerator<string, void, undefined> {
  yield* names;
}

async function* readRun(file: FileHandle, run: Extent): AsyncGenerator<string, void, undefined> {
  const buffer = Buffer.allocUnsafe(RUN_BUFFER_BYTES);
  let torn = '';
  for (let position = run.start; position < run.end; ) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, run.end - position), position);
    if (bytesRead === 0)
      throw new DeflectorError('STORE_UNAVAILABLE', 'The temporary file of a sorted listing was cut off');
    position += bytesRead;
    const names = (torn + buffer.toString('latin1', 0, bytesRead)).split(END_OF_NAME);
    torn = names.pop()!;
    yield* names;
  }
}
