/** One live kernel: its exports, its memory, and what its images share while one of them runs. */

import type { ActivationMap } from '../../types.js';
import { RGB_FROM_YCBCR } from '../colour.js';
import type { TensorFormat, UniformSource } from '../defender.js';
import { DeflectionList, type DeflectionSettings, drawDeflections } from '../deflection.js';
import { type BlockMaker, PhiloxSource } from '../random.js';
import type { WaveletFilters } from '../wavelet-filters.js';
import { instantiateKernel, type KernelExports } from './instance.js';
import { KernelMemory } from './memory.js';
import { FORMAT_LENGTH, layoutOf, writeFormat } from './output-format.js';

/** Bytes of finished rows that wait for their way out of the kernel's memory, if one pair of rows is not more. */
const STAGING_BYTES = 2 ** 20;

/** Bytes of `Filters`, to a multiple of a double. */
const FILTERS_HEAD = 24;

/** Bytes of a wavelet's filters: four in single precision and one in double. */
export function filtersBytes({ length }: WaveletFilters): number {
  return FILTERS_HEAD + length * (4 * 4 + 8);
}

/** Blocks of random words that are made at a time: enough for 100 deflections. */
const RANDOM_BLOCKS = 128;

/** Writes pairs of rows `first` to `end` at address `at`; `planeBytes` lie between two channels of a planar layout. */
export type RowWriter = (first: number, end: number, at: number, planeBytes: number, layout: number) => void;

export class Kernel {
  readonly exports: KernelExports;
  readonly memory: KernelMemory;
  /** The draws of the current run. */
  readonly list = new DeflectionList();
  /** Entries that one hand-over to the kernel takes. */
  readonly #listLength: number;
  /** Nine numbers: RGB from Y, Cb, Cr. */
  readonly matrixAt: number;
  readonly targetsAt: number;
  readonly sourcesAt: number;
  readonly #channelsAt: number;
  readonly #randomAt: number;
  readonly #formatAt: number;
  #format: TensorFormat | undefined;
  #stagingAt: number;
  #stagingBytes = STAGING_BYTES;
  #scratchAt = 0;
  #scratchBytes = 0;

  private constructor(exports: KernelExports) {
    this.exports = exports;
    this.memory = new KernelMemory(exports.memory, exports.heapBase());
    this.#listLength = exports.listLength();
    this.targetsAt = this.memory.allocate(this.#listLength * 4);
    this.sourcesAt = this.memory.allocate(this.#listLength * 4);
    this.#channelsAt = this.memory.allocate(this.#listLength);
    this.#randomAt = this.memory.allocate(RANDOM_BLOCKS * 16);
    this.#formatAt = this.memory.allocate(FORMAT_LENGTH * 4);
    this.matrixAt = this.memory.allocate(9 * 4);
    this.#stagingAt = this.memory.allocate(STAGING_BYTES);
    new Float32Array(this.memory.buffer, this.matrixAt, 9).set(RGB_FROM_YCBCR.flat());
  }

  static async create(): Promise<Kernel> {
    return new Kernel(await instantiateKernel());
  }

  /** Draws the deflections of one run into `list`. */
  draw(
    width: number,
    height: number,
    map: ActivationMap | undefined,
    settings: DeflectionSettings,
    source: UniformSource,
  ): void {
    if (source instanceof PhiloxSource) source.makeBlocksBy(this.#makeBlocks);
    drawDeflections(width, height, map, settings, source, this.list);
  }

  readonly #makeBlocks: BlockMaker = ([c0, c1, c2, c3], [k0, k1]) => {
    this.exports.philox(this.#randomAt, RANDOM_BLOCKS, c0!, c1!, c2!, c3!, k0!, k1!);
    return new Uint32Array(this.memory.buffer, this.#randomAt, RANDOM_BLOCKS * 4).slice();
  };

  /**
   * Puts a list where the kernel reads it, in parts where it is too long for one.
   *
   * @param take given the length of a part, and the address of its channels or 0
   */
  handOver(list: DeflectionList, take: (count: number, channelsAt: number) => void): void {
    const { buffer } = this.memory;
    for (let first = 0; first < list.count; first += this.#listLength) {
      const count = Math.min(this.#listLength, list.count - first);
      new Uint32Array(buffer, this.targetsAt, count).set(list.targets.subarray(first, first + count));
      new Uint32Array(buffer, this.sourcesAt, count).set(list.sources.subarray(first, first + count));
      if (list.perChannel) {
        new Uint8Array(buffer, this.#channelsAt, count).set(list.channels.subarray(first, first + count));
      }
      take(count, list.perChannel ? this.#channelsAt : 0);
    }
  }

  /** Writes a wavelet's filters at an address with room for `filtersBytes`: `Filters` in assembly/wavelet.ts. */
  placeFilters(filters: WaveletFilters, at: number): void {
    const { length, decLow, decHigh, recLow, recHigh } = filters;
    const single = [decLow, decHigh, recLow, recHigh];
    const { buffer } = this.memory;
    const exactAt = at + FILTERS_HEAD;
    const singleAt = single.map((_, i) => exactAt + length * (8 + i * 4));
    new Uint32Array(buffer, at, 6).set([length, ...singleAt, exactAt]);
    new Float64Array(buffer, exactAt, length).set(decHigh);
    for (const [i, taps] of single.entries()) new Float32Array(buffer, singleAt[i]!, length).set(taps);
  }

  /** @returns the address of the format's numbers; they are written anew only when the format is another than before */
  useFormat(format: TensorFormat): number {
    if (format !== this.#format) {
      this.#format = undefined;
      writeFormat(format, new Float32Array(this.memory.buffer, this.#formatAt, FORMAT_LENGTH));
      this.#format = format;
    }
    return this.#formatAt;
  }

  /** @returns the address of three scales and three biases */
  usePlainFormat({ scale, bias }: TensorFormat): number {
    this.#format = undefined;
    new Float32Array(this.memory.buffer, this.#formatAt, 6).set([...scale, ...bias]);
    return this.#formatAt;
  }

  /** Writes a whole image to `out` from `offset`, straight where `out` lies in the kernel's memory, else by stages. */
  write(
    width: number,
    height: number,
    out: Float32Array,
    offset: number,
    format: TensorFormat,
    writeRows: RowWriter,
  ): void {
    const layout = layoutOf(format);
    const pairs = Math.ceil(height / 2);
    const pixels = width * height;
    if (out.buffer === this.memory.buffer) {
      writeRows(0, pairs, out.byteOffset + offset * 4, pixels * 4, layout);
      return;
    }
    const pairBytes = width * 2 * 3 * 4;
    const stagedPairs = Math.min(pairs, Math.max(1, Math.floor(STAGING_BYTES / pairBytes)));
    this.#stage(stagedPairs * pairBytes);
    for (let first = 0; first < pairs; first += stagedPairs) {
      const end = Math.min(pairs, first + stagedPairs);
      const pixel = first * 2 * width;
      const count = Math.min(pixels, end * 2 * width) - pixel;
      writeRows(first, end, this.#stagingAt, count * 4, layout);
      const staged = new Float32Array(this.memory.buffer, this.#stagingAt, count * 3);
      if (format.layout === 'nhwc') {
        out.set(staged, offset + pixel * 3);
      } else if (count === pixels) {
        out.set(staged, offset);
      } else {
        for (let c = 0; c < 3; c++) out.set(staged.subarray(c * count, (c + 1) * count), offset + c * pixels + pixel);
      }
    }
  }

  /** Memory between runs' images that belongs to none of them: `bytes` of it, good until it is asked for again. */
  scratch(bytes: number): number {
    if (bytes > this.#scratchBytes) {
      if (this.#scratchBytes > 0) this.memory.free(this.#scratchAt);
      // Until there is another: the allocation may fail.
      this.#scratchBytes = 0;
      this.#scratchAt = this.memory.allocate(bytes);
      this.#scratchBytes = bytes;
    }
    return this.#scratchAt;
  }

  #stage(bytes: number): void {
    if (bytes <= this.#stagingBytes) return;
    if (this.#stagingBytes > 0) this.memory.free(this.#stagingAt);
    // Until there is another: the allocation may fail.
    this.#stagingBytes = 0;
    this.#stagingAt = this.memory.allocate(bytes);
    this.#stagingBytes = bytes;
  }
}
