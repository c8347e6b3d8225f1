/** Blocks of the kernel's linear memory. */
import { DeflectorError } from '../../errors.js';
import type { LinearMemory } from './instance.js';

/** WebAssembly's unit of growth. */
const PAGE = 65_536;
/** What 32-bit addresses reach. */
const MOST_PAGES = 65_536;
/** Every block begins and ends at a multiple of a cache line. */
const ALIGNMENT = 64;

interface Block {
  readonly at: number;
  readonly bytes: number;
}

/**
 * Gives out blocks, first fit, and joins neighbours that come back. Memory grows only when no free block is long enough,
 * so equal images used one after another never make it grow.
 */
export class KernelMemory {
  readonly #memory: LinearMemory;
  /** Free blocks by address; no two touch. */
  #free: Block[] = [];
  /** Where memory that was never given out begins. */
  #top: number;
  readonly #lengths = new Map<number, number>();

  constructor(memory: LinearMemory, base: number) {
    this.#memory = memory;
    this.#top = base;
  }

  /** Changes when memory grows: keep no view across an allocation. */
  get buffer(): ArrayBuffer {
    return this.#memory.buffer;
  }

  /** @returns the block's address @throws DeflectorError IMAGE_TOO_MANY_PIXELS when addresses are exhausted */
  allocate(bytes: number): number {
    // An empty block has a line of its own too: blocks are told apart by where they begin.
    const length = Math.max(1, Math.ceil(bytes / ALIGNMENT)) * ALIGNMENT;
    const index = this.#free.findIndex(block => block.bytes >= length);
    let at: number;
    if (index >= 0) {
      const block = this.#free[index]!;
      at = block.at;
      if (block.bytes === length) this.#free.splice(index, 1);
      else this.#free[index] = { at: at + length, bytes: block.bytes - length };
    } else {
      const last = this.#free.at(-1);
      at = last !== undefined && last.at + last.bytes === this.#top ? last.at : this.#top;
      this.#grow(at + length);
      if (at !== this.#top) this.#free.pop();
      this.#top = at + length;
    }
    this.#lengths.set(at, length);
    return at;
  }

  free(at: number): void {
    const bytes = this.#lengths.get(at);
    if (bytes === undefined) throw new DeflectorError('INTERNAL', `No block of the kernel's memory begins at ${at}`);
    this.#lengths.delete(at);
    let index = this.#free.findIndex(block => block.at > at);
    if (index < 0) index = this.#free.length;
    const before = this.#free[index - 1];
    const after = this.#free[index];
    let joined: Block = { at, bytes };
    let first = index;
    let count = 0;
    if (before !== undefined && before.at + before.bytes === at) {
      joined = { at: before.at, bytes: before.bytes + bytes };
      first--;
      count++;
    }
    if (after !== undefined && at + bytes === after.at) {
      joined = { at: joined.at, bytes: joined.bytes + after.bytes };
      count++;
    }
    this.#free.splice(first, count, joined);
  }

  #grow(end: number): void {
    const missing = Math.ceil((end - this.#memory.buffer.byteLength) / PAGE);
    if (missing <= 0) return;
    try {
      if (end > MOST_PAGES * PAGE) throw new RangeError(`${end} bytes are beyond 32-bit addresses`);
      this.#memory.grow(missing);
    } catch (cause) {
      throw new DeflectorError(
        'IMAGE_TOO_MANY_PIXELS',
        `The kernel needs ${Math.ceil(end / 2 ** 20)} MiB for its images and cannot have them`,
        { cause },
      );
    }
  }
}
