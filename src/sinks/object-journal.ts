/**
 * A file of lines in an object store, which knows no appending. While it is written it consists of parts beside it:
 *
 *     NAME.parts/000000001200.jsonl                   the lines of one append, named by the number of the first
 *     NAME.parts/000000001000-000000001200.jsonl      a segment: lines 1000 to 1199, in place of their parts
 *     NAME                                            all lines, made from the parts by `seal`, which then removes them
 *
 * A part is only ever created where none is, so that of two writers that go on behind the same line one loses, and
 * knows it. Parts and segments of the same lines hold the same bytes; wherever a crash leaves both, a reader takes the
 * longest that begins where it stands. After `seal` the file itself is the first segment of a journal that is opened
 * again.
 */
import { DeflectorError } from '../errors.js';
import { type Line, splitLines } from '../storage/lines.js';
import type { ConditionalStore } from '../types.js';
import { GroupCommit } from './group-commit.js';
import type { Existing, Journal } from './journal.js';

/** Parts are joined to a segment when they hold this many bytes, or are this many. */
const SEGMENT_BYTES = 256 * 1024;
const PARTS_A_SEGMENT = 200;

/** Longest part that is read back; a group of appended lines is far shorter. */
const MAX_PART_BYTES = 256 * 1024 * 1024;

const DIGITS = 12;

/** Some consecutive lines, and the object that holds them. */
interface Extent {
  readonly key: string;
  readonly first: number;
  /** One more than the last. */
  readonly end: number;
}

interface Part {
  readonly key: string;
  readonly first: number;
  /** Known of segments only. */
  readonly end: number | undefined;
}

export class ObjectJournal implements Journal {
  readonly #store: ConditionalStore;
  readonly #name: string;
  /** Where the file is, for messages. */
  readonly #place: string;
  readonly #commit = new GroupCommit(lines => this.#persist(lines));
  /** Objects that hold all lines before the tail, in order. */
  #extents: Extent[] = [];
  /** The lines behind the last segment, and the parts that hold them. */
  #tail: string[] = [];
  #tailBytes = 0;
  #tailParts: string[] = [];
  #lines = 0;
  /** What was there when the journal was opened. */
  #resumed: { readonly extents: readonly Extent[]; readonly tail: readonly string[] } = { extents: [], tail: [] };

  private constructor(store: ConditionalStore, name: string, place: string) {
    this.#store = store;
    this.#name = name;
    this.#place = place;
  }

  /**
   * Opens the journal for one writer. Whether another one is still at work cannot be told here: it is found out by the
   * first line that both want to write, where one of them fails with OUTPUT_LOCKED.
   *
   * @param place where the file is, for messages
   * @throws DeflectorError OUTPUT_EXISTS, and the codes of a failed read or write
   */
  static async open(store: ConditionalStore, name: string, existing: Existing, place: string): Promise<ObjectJournal> {
    const journal = new ObjectJournal(store, name, place);
    if (existing === 'resume') {
      await journal.#scan();
      return journal;
    }
    if (existing === 'refuse' && (await journal.#isThere())) {
      throw new DeflectorError('OUTPUT_EXISTS', `The output is there already: ${place}`);
    }
    await journal.#remove();
    return journal;
  }

  /** Whether there are lines: what is empty was left by a job that ended before its first, and there is nothing to lose. */
  async #isThere(): Promise<boolean> {
    for await (const { key, size } of this.#store.list(this.#name)) {
      if ((key === this.#name && size !== 0) || key.startsWith(`${this.#name}.parts/`)) return true;
    }
    return false;
  }

  async #remove(): Promise<void> {
    await this.#store.delete(this.#name);
    await this.#removeParts(() => true);
  }

  async #removeParts(unwanted: (part: Part) => boolean): Promise<void> {
    const keys: string[] = [];
    for await (const part of this.#parts()) if (unwanted(part)) keys.push(part.key);
    // The last first: what a crash leaves is a journal without holes.
    await this.#store.deleteAll(keys.reverse());
  }

  async *#parts(): AsyncGenerator<Part, void, undefined> {
    const prefix = `${this.#name}.parts/`;
    for await (const { key } of this.#store.list(prefix)) {
      const [, first, end] = /^(\d{12})(?:-(\d{12}))?\.jsonl$/.exec(key.slice(prefix.length)) ?? [];
      if (first !== undefined) yield { key, first: Number(first), end: end === undefined ? undefined : Number(end) };
    }
  }

  /** Finds the lines that are there. */
  async #scan(): Promise<void> {
    await this.#scanFile();
    // A segment stands before the part that begins with the same line ('-' before '.'), the longest last.
    const segments = new Map<number, Extent>();
    const parts = new Map<number, string>();
    for await (const { key, first, end } of this.#parts()) {
      if (first < this.#lines) continue;
      if (end === undefined) parts.set(first, key);
      else segments.set(first, { key, first, end });
    }
    for (let next = segments.get(this.#lines); next !== undefined; next = segments.get(this.#lines)) {
      this.#extents.push(next);
      this.#lines = next.end;
    }
    for (let key = parts.get(this.#lines); key !== undefined; key = parts.get(this.#lines)) {
      const text = Buffer.from(await this.#store.read(key, MAX_PART_BYTES)).toString();
      this.#hold(text.slice(0, -1).split('\n'), key, text.length);
    }
    this.#resumed = { extents: [...this.#extents], tail: [...this.#tail] };
  }

  /** Counts the lines of the sealed file, where there is one. */
  async #scanFile(): Promise<void> {
    let lines = 0;
    try {
      for await (const { complete } of splitLines(this.#store.stream(this.#name), 0)) if (complete) lines++;
    } catch (error) {
      if (error instanceof DeflectorError && error.code === 'IMAGE_NOT_FOUND') return;
      throw error;
    }
    this.#extents.push({ key: this.#name, first: 0, end: lines });
    this.#lines = lines;
  }

  resumed(maxLineBytes: number): AsyncGenerator<Line, void, undefined> {
    return splitLines(this.#bytes(this.#resumed.extents, this.#resumed.tail), maxLineBytes);
  }

  async *#bytes(extents: readonly Extent[], tail: readonly string[]): AsyncGenerator<Uint8Array, void, undefined> {
    for (const { key } of extents) yield* this.#store.stream(key);
    if (tail.length > 0) yield Buffer.from(`${tail.join('\n')}\n`);
  }

  async cutBehind(lines: number): Promise<boolean> {
    if (lines > this.#lines) return false;
    if (lines === this.#lines) return true;
    await this.#removeParts(({ first }) => first >= lines);
    await this.#store.writeStream(this.#name, this.#firstLines(lines));
    await this.#removeParts(() => true);
    this.#lines = lines;
    this.#becomeFile();
    this.#resumed = { extents: [...this.#extents], tail: [] };
    return true;
  }

  async *#firstLines(count: number): AsyncGenerator<Uint8Array, void, undefined> {
    let left = count;
    for await (const bytes of this.#bytes(this.#extents, this.#tail)) {
      for (let start = 0; left > 0; left--) {
        const feed = bytes.indexOf(0x0a, start);
        if (feed < 0) {
          yield bytes.subarray(start);
          break;
        }
        yield bytes.subarray(start, feed + 1);
        start = feed + 1;
      }
      if (left === 0) return;
    }
  }

  append(lines: readonly string[]): Promise<void> {
    return this.#commit.append(lines);
  }

  async #persist(lines: readonly string[]): Promise<void> {
    const bytes = Buffer.from(`${lines.join('\n')}\n`);
    const key = `${this.#name}.parts/${padded(this.#lines)}.jsonl`;
    if (!(await this.#store.create(key, bytes))) {
      throw new DeflectorError('OUTPUT_LOCKED', `The output is being written by another process: ${this.#place}`);
    }
    this.#hold(lines, key, bytes.length);
    if (this.#tailBytes >= SEGMENT_BYTES || this.#tailParts.length >= PARTS_A_SEGMENT) await this.#join();
  }

  #hold(lines: readonly string[], key: string, bytes: number): void {
    for (const line of lines) this.#tail.push(line);
    this.#lines += lines.length;
    this.#tailBytes += bytes;
    this.#tailParts.push(key);
  }

  /** Writes the tail as a segment in place of its parts. */
  async #join(): Promise<void> {
    const first = this.#lines - this.#tail.length;
    const key = `${this.#name}.parts/${padded(first)}-${padded(this.#lines)}.jsonl`;
    await this.#store.write(key, Buffer.from(`${this.#tail.join('\n')}\n`));
    await this.#store.deleteAll(this.#tailParts);
    this.#extents.push({ key, first, end: this.#lines });
    this.#clearTail();
  }

  async seal(): Promise<void> {
    await this.#commit.settled();
    const whole = this.#extents.length === 1 && this.#extents[0]?.key === this.#name && this.#tail.length === 0;
    if (!whole) await this.#store.writeStream(this.#name, this.#bytes(this.#extents, this.#tail));
    await this.#removeParts(() => true);
    this.#becomeFile();
  }

  /** All lines are in the file itself. */
  #becomeFile(): void {
    this.#extents = [{ key: this.#name, first: 0, end: this.#lines }];
    this.#clearTail();
  }

  #clearTail(): void {
    this.#tail = [];
    this.#tailBytes = 0;
    this.#tailParts = [];
  }

  sealed(maxLineBytes: number): AsyncGenerator<Line, void, undefined> {
    return splitLines(this.#store.stream(this.#name), maxLineBytes);
  }

  close(): Promise<void> {
    return this.#commit.settled();
  }
}

function padded(line: number): string {
  return String(line).padStart(DIGITS, '0');
}
