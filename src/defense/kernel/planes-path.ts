/**
 * The general path: any wavelet, any rule, any order of steps, from scratch in every run. Steps before the first that
 * draws give every run the same and are computed once.
 */
import type { ActivationMap, RgbImage } from '../../types.js';
import {
  PLAIN_RGB,
  type PreparedImage,
  type TensorFormat,
  type UniformSource,
  type WatchDeflections,
} from '../defender.js';
import { addUnshifted, type Denoising, drawDenoising, movedMap, type Shift, shiftInto } from '../denoise-draws.js';
import {
  applyForeign,
  type FindStep,
  type ForeignStep,
  isRandom,
  NO_DRAWS,
  ownStepsOnly,
  type Step,
  stepsOf,
  toBytes,
} from '../order.js';
import type { DefenceSettings } from '../settings.js';
import { defaultLevels, waveletFilters } from '../wavelet-filters.js';
import { isHaarPath, prepareHaar } from './haar-path.js';
import { filtersBytes, type Kernel } from './kernel.js';
import { placeShares, sharesBytes } from './shares.js';
import { configureSlot, REPLACE } from './slot-settings.js';

/** Pixels to begin with: of 8 bits, or float32 [3, height, width], RGB in [0,1]. */
export type Start = RgbImage | { readonly width: number; readonly height: number; readonly planes: Float32Array };

class PlanesImage implements PreparedImage {
  readonly isRandom: boolean;
  readonly #kernel: Kernel;
  readonly #width: number;
  readonly #height: number;
  readonly #map: ActivationMap | undefined;
  readonly #settings: DefenceSettings;
  readonly #planes: number;
  readonly #slot: number;
  readonly #sparseLimit: number;
  /** Steps that each run takes. */
  readonly #steps: readonly Step[];
  /** The run's image outside the kernel, where a step needs it there. */
  readonly #foreign: Float32Array;
  /** Whether runs begin with the 8-bit image; otherwise with planes that were kept. */
  readonly #startsWithBytes: boolean;
  /** Whether the run's image is still of 8 bits. */
  #isBytes = true;
  /** Deflections of its 8-bit pixels. */
  #byteDeflections = 0;
  #isReleased = false;

  constructor(kernel: Kernel, start: Start, map: ActivationMap | undefined, settings: DefenceSettings, find: FindStep) {
    const { width, height } = start;
    const { exports, memory } = kernel;
    this.#kernel = kernel;
    this.#width = width;
    this.#height = height;
    this.#map = map;
    this.#settings = settings;
    const steps = stepsOf(settings, find);
    const firstRandom = steps.findIndex(step => isRandom(step, settings));
    const shared = firstRandom < 0 ? steps : steps.slice(0, firstRandom);
    this.#steps = steps.slice(shared.length);
    this.isRandom = this.#steps.length > 0;
    this.#foreign = new Float32Array(steps.some(isForeign) ? width * height * 3 : 0);
    const filters = waveletFilters(settings.wavelet);
    const levels = settings.levels ?? defaultLevels(width, height, filters.length);
    const planesBytes = Math.ceil(exports.planesBytes(width, height, levels, filters.length) / 64) * 64;
    // One block: an image is allocated whole or not at all.
    const filterBytes = Math.ceil(filtersBytes(filters) / 64) * 64;
    const spares = settings.spare > 0 && settings.spin === 0 && map !== undefined;
    const shareBytes = spares ? sharesBytes(width, height, filters, levels) : 0;
    this.#planes = memory.allocate(planesBytes + filterBytes + shareBytes);
    const filtersAt = this.#planes + planesBytes;
    kernel.placeFilters(filters, filtersAt);
    // WebAssembly gives its 32-bit addresses with a sign.
    const arrival = exports.preparePlanes(this.#planes, width, height, levels, filtersAt) >>> 0;
    if (spares) {
      placeShares(memory.buffer, filtersAt + filterBytes, map, settings.spare, filters, levels);
      exports.usePlaneShares(this.#planes, filtersAt + filterBytes);
    }
    if ('data' in start) new Uint8Array(memory.buffer, arrival, width * height * 3).set(start.data);
    this.#slot = exports.planesSlot(this.#planes);
    // Planes are kept as what they exceed their least values by.
    configureSlot(exports, this.#slot, settings, width * height, true);
    this.#sparseLimit = exports.sparseLimit(this.#slot);
    if ('planes' in start) this.#load(start.planes);

    try {
      for (const step of shared) this.#carryOut(step, NO_DRAWS);
    } catch (error) {
      this.release();
      throw error;
    }
    this.#startsWithBytes = this.#isBytes;
    if (!this.#startsWithBytes) exports.keepStart(this.#planes);
  }

  run(source: UniformSource, out: Float32Array, offset: number, format: TensorFormat, watch?: WatchDeflections): void {
    const { exports } = this.#kernel;
    this.#isBytes = this.#startsWithBytes;
    if (!this.#isBytes) exports.takeStart(this.#planes);
    for (const step of this.#steps) this.#carryOut(step, source, watch);
    this.#leaveBytes();
    this.#write(out, offset, format);
  }

  #carryOut(step: Step, source: UniformSource, watch?: WatchDeflections): void {
    if (step === 'denoise') {
      this.#denoise(drawDenoising(this.#settings, this.#width, this.#height, source));
    } else if (step === 'deflect') {
      this.#kernel.draw(this.#width, this.#height, this.#map, this.#settings, source);
      watch?.(this.#kernel.list);
      // Later deflections read what earlier ones left, and a mean is no 8-bit value.
      if (this.#isBytes && this.#byteDeflections === 0 && this.#settings.replace !== 'mean') this.#deflectBytes();
      else this.#deflectPlanes();
    } else {
      this.#leaveBytes();
      this.#write(this.#foreign, 0, PLAIN_RGB);
      applyForeign(step, this.#foreign, this.#width, this.#height, source);
      this.#load(this.#foreign);
    }
  }

  #write(out: Float32Array, offset: number, format: TensorFormat): void {
    const kernel = this.#kernel;
    const formatAt = kernel.usePlainFormat(format);
    kernel.write(this.#width, this.#height, out, offset, format, (first, end, at, planeBytes, layout) => {
      kernel.exports.writePlanes(this.#planes, formatAt, first, end, at, planeBytes, layout);
    });
  }

  /** Takes an image from outside as the current one. */
  #load(planes: Float32Array): void {
    const { exports, memory } = this.#kernel;
    const [at, channel, stride] = [
      exports.currentPlanes(this.#planes) >>> 0,
      exports.channelBytes(this.#planes) / 4,
      exports.strideBytes(this.#planes) / 4,
    ];
    const current = new Float32Array(memory.buffer, at, 3 * channel);
    const [width, height] = [this.#width, this.#height];
    for (let row = 0; row < 3 * height; row++) {
      const to = Math.floor(row / height) * channel + (row % height) * stride;
      current.set(planes.subarray(row * width, (row + 1) * width), to);
    }
    this.#isBytes = false;
  }

  #deflectBytes(): void {
    const { exports, list, targetsAt, sourcesAt } = this.#kernel;
    const { replace, window } = this.#settings;
    this.#byteDeflections = list.count;
    this.#kernel.handOver(list, (count, channelsAt) => {
      exports.deflectPixels(this.#slot, targetsAt, sourcesAt, channelsAt, count, REPLACE[replace], window, 0);
    });
  }

  /** Whether what the deflections of bytes touch is less than the image. */
  get #isSparse(): number {
    return this.#byteDeflections <= this.#sparseLimit ? 1 : 0;
  }

  /** The image is planes from now on; its bytes become the original's again. */
  #endBytes(): void {
    const { exports, targetsAt } = this.#kernel;
    if (this.#byteDeflections > 0) exports.endRun(this.#slot, targetsAt, this.#byteDeflections, this.#isSparse);
    this.#byteDeflections = 0;
    this.#isBytes = false;
  }

  #deflectPlanes(): void {
    const { exports, list, targetsAt, sourcesAt } = this.#kernel;
    const { replace, window } = this.#settings;
    this.#leaveBytes();
    exports.keepOriginal(this.#planes);
    this.#kernel.handOver(list, (count, channelsAt) => {
      exports.deflectPlanes(this.#planes, targetsAt, sourcesAt, channelsAt, count, REPLACE[replace], window);
    });
  }

  #denoise({ strength, shifts }: Denoising): void {
    if (shifts.length > 0) {
      this.#spin(strength, shifts);
      return;
    }
    const { exports, targetsAt } = this.#kernel;
    exports.setStrength(this.#slot, strength);
    if (this.#isBytes) {
      if (this.#isSparse) exports.beginSparse(this.#slot);
      exports.boundColours(this.#slot, targetsAt, this.#byteDeflections, this.#isSparse);
    }
    exports.denoisePlanes(this.#planes, this.#isBytes ? 1 : 0, this.#kernel.matrixAt);
    if (this.#isBytes) this.#endBytes();
  }

  /** The mean of the image denoised on each of the grids. */
  #spin(strength: number, shifts: readonly Shift[]): void {
    const [width, height] = [this.#width, this.#height];
    this.#leaveBytes();
    const planes = new Float32Array(3 * width * height);
    this.#write(planes, 0, PLAIN_RGB);
    const settings: DefenceSettings = {
      ...this.#settings,
      order: ['denoise'],
      spin: 0,
      strength: [strength, strength],
    };
    const sum = new Float32Array(planes.length);
    const moved = new Float32Array(planes.length);
    for (const shift of shifts) {
      eachPlane(planes, moved, (from, to) => shiftInto(from, to, width, shift));
      const start = toBytes(moved, width, height) ?? { width, height, planes: moved };
      const map = this.#map && movedMap(this.#map, shift);
      const image =
        'data' in start && isHaarPath(settings)
          ? prepareHaar(this.#kernel, start, map, settings)
          : preparePlanes(this.#kernel, start, map, settings);
      image.run(NO_DRAWS, moved, 0, PLAIN_RGB);
      image.release();
      eachPlane(moved, sum, (from, to) => addUnshifted(from, to, width, shift));
    }
    for (let i = 0; i < sum.length; i++) sum[i]! /= shifts.length;
    this.#load(sum);
  }

  #leaveBytes(): void {
    if (!this.#isBytes) return;
    this.#kernel.exports.pixelsToPlanes(this.#planes);
    this.#endBytes();
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#kernel.memory.free(this.#planes);
  }
}

/** Does something with each plane of one image and the same plane of another. */
function eachPlane(a: Float32Array, b: Float32Array, act: (a: Float32Array, b: Float32Array) => void): void {
  const size = a.length / 3;
  for (let at = 0; at < a.length; at += size) act(a.subarray(at, at + size), b.subarray(at, at + size));
}

function isForeign(step: Step): step is ForeignStep {
  return typeof step === 'object';
}

/** Makes an image ready. */
export function preparePlanes(
  kernel: Kernel,
  start: Start,
  map: ActivationMap | undefined,
  settings: DefenceSettings,
  find: FindStep = ownStepsOnly,
): PreparedImage {
  return new PlanesImage(kernel, start, map, settings, find);
}
