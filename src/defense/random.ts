/**
 * Random numbers that can be replayed: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy
 * as 1, 2, 3", SC 2011), a counter-based generator. A number depends on its key and its place in the stream alone, so
 * neither the order of images and runs nor batching nor the number of workers can change a result.
 */
import { createHash } from 'node:crypto';
import { invalid } from '../errors.js';
import type { UniformSource } from './defender.js';

/** Multipliers of the two lanes, split in 16-bit halves, and the Weyl constants of the key (Salmon et al., table 2). */
const M0 = 0xd2511f53 | 0;
const M0_HIGH = 0xd251;
const M0_LOW = 0x1f53;
const M1 = 0xcd9e8d57 | 0;
const M1_HIGH = 0xcd9e;
const M1_LOW = 0x8d57;
const WEYL_0 = 0x9e3779b9 | 0;
const WEYL_1 = 0xbb67ae85 | 0;
const ROUNDS = 10;

/** Upper 32 bits of the 64-bit product (high * 2^16 + low) * b; JavaScript has only the lower ones (Math.imul). */
function multiplyHigh(high: number, low: number, b: number): number {
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const highLow = Math.imul(high, bLow);
  const lowHigh = Math.imul(low, bHigh);
  const middle = (Math.imul(low, bLow) >>> 16) + (highLow & 0xffff) + (lowHigh & 0xffff);
  return (Math.imul(high, bHigh) + (highLow >>> 16) + (lowHigh >>> 16) + (middle >>> 16)) | 0;
}

/**
 * One block of Philox4x32-10.
 *
 * @param counter four 32-bit words
 * @param key two 32-bit words
 * @param out receives four 32-bit words; may be `counter`
 */
export function philox4x32(counter: Uint32Array, key: Uint32Array, out: Uint32Array): void {
  let c0 = counter[0]! | 0;
  let c1 = counter[1]! | 0;
  let c2 = counter[2]! | 0;
  let c3 = counter[3]! | 0;
  let k0 = key[0]! | 0;
  let k1 = key[1]! | 0;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(M0_HIGH, M0_LOW, c0);
    const high1 = multiplyHigh(M1_HIGH, M1_LOW, c2);
    const low0 = Math.imul(M0, c0);
    const low1 = Math.imul(M1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + WEYL_0) | 0;
    k1 = (k1 + WEYL_1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** Makes some blocks of Philox4x32-10 at once, from this counter on, word 0 of it counting; a new array of their words. */
export type BlockMaker = (counter: Uint32Array, key: Uint32Array) => Uint32Array;

/** The stream of one (key, counter) pair; words 0 and 1 of the counter are its place in the stream and its run. */
export class PhiloxSource implements UniformSource {
  readonly #key: Uint32Array;
  readonly #counter: Uint32Array;
  #words: Uint32Array = new Uint32Array(4);
  #used = 4;
  #makeBlocks: BlockMaker | undefined;

  constructor(key: Uint32Array, counter: Uint32Array) {
    this.#key = key;
    this.#counter = counter;
  }

  /** Leaves the making of further blocks to a faster maker; the numbers stay the same. */
  makeBlocksBy(maker: BlockMaker): void {
    this.#makeBlocks = maker;
  }

  uniform(): number {
    if (this.#used === this.#words.length) this.#refill();
    return this.#words[this.#used++]! / 4294967296;
  }

  #refill(): void {
    if (this.#makeBlocks === undefined) philox4x32(this.#counter, this.#key, this.#words);
    else this.#words = this.#makeBlocks(this.#counter, this.#key);
    this.#counter[0]! += this.#words.length / 4;
    this.#used = 0;
  }
}

/**
 * The stream of one run of one image: 2^34 numbers, each a multiple of 2^-32 in [0, 1).
 *
 * SHA-256 over the seed (UTF-8) and the 64 digits of the content hash gives the key (64 bits) and words 2 and 3 of the
 * counter (64 bits); word 1 is the run, word 0 counts blocks of four numbers. Philox maps the counters of one key one to
 * one, so two runs of an image never share a block.
 *
 * @param seed any text
 * @param sha256 content hash of the image: 64 lower-case hexadecimal digits
 * @param run 0-based, below 2^32
 * @throws DeflectorError SETTINGS_INVALID
 */
export function runRandom(seed: string, sha256: string, run: number): UniformSource {
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw invalid('sha256', '64 lower-case hexadecimal digits', sha256);
  if (!Number.isInteger(run) || run < 0 || run > 0xffffffff)
    throw invalid('run', 'an integer from 0 to 4294967295', run);
  // The hash has a fixed length, so no two pairs of seed and hash join to the same text.
  const digest = createHash('sha256').update(seed, 'utf8').update(sha256, 'utf8').digest();
  const key = Uint32Array.of(digest.readUInt32LE(0), digest.readUInt32LE(4));
  return new PhiloxSource(key, Uint32Array.of(0, run, digest.readUInt32LE(8), digest.readUInt32LE(12)));
}
