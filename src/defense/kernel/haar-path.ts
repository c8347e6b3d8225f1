/**
 * The fast path: deflection, then shrinkage of the Haar details. What all runs of an image share is computed once; a run
 * computes anew what its deflections touch, then shrinks and transforms back.
 */
import type { ActivationMap, RgbImage } from '../../types.js';
import type { PreparedImage, TensorFormat, UniformSource, WatchDeflections } from '../defender.js';
import { drawDenoising, drawsDenoising, movedMap, type Shift } from '../denoise-draws.js';
import { type DefenceSettings, deflects } from '../settings.js';
import { defaultLevels, type WaveletFilters, waveletFilters } from '../wavelet-filters.js';
import { filtersBytes, type Kernel } from './kernel.js';
import { layoutOf } from './output-format.js';
import { placeShares, sharesBytes } from './shares.js';
import { configureSlot, estimatesSigma, REPLACE } from './slot-settings.js';

/** Levels at which the kernel's integers cannot overflow: 255 * 4^11 < 2^31. */
const MOST_LEVELS = 11;

/** Whether the fast path computes these settings. */
export function isHaarPath(settings: DefenceSettings): boolean {
  const steps = settings.order.join();
  return (
    (settings.wavelet === 'haar' || settings.wavelet === 'db1') &&
    settings.shrink !== 'none' &&
    (steps === 'deflect,denoise' || steps === 'denoise') &&
    // A mean is no 8-bit value.
    settings.replace !== 'mean' &&
    (settings.levels ?? 1) <= MOST_LEVELS
  );
}

class HaarImage implements PreparedImage {
  readonly isRandom: boolean;
  readonly #kernel: Kernel;
  readonly #width: number;
  readonly #height: number;
  readonly #map: ActivationMap | undefined;
  readonly #settings: DefenceSettings;
  readonly #filters: WaveletFilters;
  readonly #levels: number;
  readonly #sparseLimit: number;
  readonly #slot: number;
  /** Where the image lies on other grids than its own, if it does. */
  readonly #moved: number;
  /** Shares of the thresholds, if the map spares any. */
  readonly #shares: number | undefined;
  #isReleased = false;

  constructor(kernel: Kernel, image: RgbImage, map: ActivationMap | undefined, settings: DefenceSettings) {
    const { width, height } = image;
    const { exports, memory } = kernel;
    this.#kernel = kernel;
    this.#width = width;
    this.#height = height;
    this.#map = map;
    this.#settings = settings;
    this.isRandom = deflects(settings) || drawsDenoising(settings);
    const filters = waveletFilters(settings.wavelet);
    const levels = settings.levels ?? defaultLevels(width, height, filters.length);
    this.#filters = filters;
    this.#levels = levels;
    const selects = settings.shrink === 'sure' || estimatesSigma(settings);
    const spares = settings.spare > 0 && map !== undefined;
    const coefficients = selects ? Math.ceil(width / 2) * Math.ceil(height / 2) : 0;
    const [slotBytes, filterBytes, magnitudeBytes, selectBytes, shareBytes] = [
      exports.slotBytes(width, height, levels),
      selects ? filtersBytes(filters) : 0,
      // What vectors write beyond the last magnitude needs room too.
      selects ? coefficients * 4 + 64 : 0,
      selects ? exports.selectBytes(coefficients) : 0,
      spares ? sharesBytes(width, height, filters, levels) : 0,
    ].map(bytes => Math.ceil(bytes / 64) * 64) as [number, number, number, number, number];
    const slots = settings.spin > 0 ? 2 : 1;
    // One block: an image is allocated whole or not at all.
    this.#slot = memory.allocate(slots * slotBytes + filterBytes + magnitudeBytes + selectBytes + shareBytes);
    const filtersAt = this.#slot + slots * slotBytes;
    const magnitudesAt = filtersAt + filterBytes;
    this.#moved = this.#slot + (slots - 1) * slotBytes;
    this.#shares = spares ? magnitudesAt + magnitudeBytes + selectBytes : undefined;
    if (selects) kernel.placeFilters(filters, filtersAt);
    for (let slot = this.#slot; slot < filtersAt; slot += slotBytes) {
      // WebAssembly gives its 32-bit addresses with a sign.
      const arrival = exports.prepareSlot(slot, width, height, levels) >>> 0;
      new Uint8Array(memory.buffer, arrival, width * height * 3).set(image.data);
      configureSlot(exports, slot, settings, width * height);
      if (selects) exports.equipSlot(slot, filtersAt, magnitudesAt, magnitudesAt + magnitudeBytes);
    }
    if (this.#shares !== undefined) {
      this.#placeShares(map!);
      exports.useShares(this.#moved, this.#shares);
    }
    this.#sparseLimit = exports.sparseLimit(this.#slot);
  }

  run(source: UniformSource, out: Float32Array, offset: number, format: TensorFormat, watch?: WatchDeflections): void {
    const kernel = this.#kernel;
    const { exports, list, targetsAt, sourcesAt } = kernel;
    const slot = this.#slot;
    const { replace, window } = this.#settings;
    if (deflects(this.#settings)) {
      kernel.draw(this.#width, this.#height, this.#map, this.#settings, source);
      watch?.(list);
    } else {
      list.reset(0, false);
    }
    const { strength, shifts } = drawDenoising(this.#settings, this.#width, this.#height, source);
    // On other grids nothing is shared between runs.
    const sparse = shifts.length === 0 && list.count <= this.#sparseLimit ? 1 : 0;
    if (sparse) exports.beginSparse(slot);
    kernel.handOver(list, (count, channelsAt) => {
      exports.deflectPixels(slot, targetsAt, sourcesAt, channelsAt, count, REPLACE[replace], window, sparse);
    });
    exports.setStrength(this.#moved, strength);
    const formatAt = kernel.useFormat(format);
    if (shifts.length > 0) {
      this.#spin(shifts, out, offset, format, formatAt);
    } else {
      exports.transform(slot, formatAt, targetsAt, list.count, sparse);
      kernel.write(this.#width, this.#height, out, offset, format, (first, end, at, planeBytes, layout) => {
        exports.writePixels(slot, formatAt, first, end, at, planeBytes, layout);
      });
    }
    exports.endRun(slot, targetsAt, list.count, sparse);
  }

  /** The mean of the image denoised on each of the grids. */
  #spin(shifts: readonly Shift[], out: Float32Array, offset: number, format: TensorFormat, formatAt: number): void {
    const { exports, memory, targetsAt } = this.#kernel;
    const [width, height, moved] = [this.#width, this.#height, this.#moved];
    const values = 3 * width * height;
    const sumAt = this.#kernel.scratch(2 * values * 4);
    const movedAt = sumAt + values * 4;
    new Float32Array(memory.buffer, sumAt, values).fill(0);
    const pairs = Math.ceil(height / 2);
    for (const { x, y } of shifts) {
      exports.shiftPixels(this.#slot, moved, x, y);
      if (this.#shares !== undefined) this.#placeShares(movedMap(this.#map!, { x, y }));
      exports.transform(moved, formatAt, targetsAt, 0, 0);
      exports.writePixels(moved, formatAt, 0, pairs, movedAt, width * height * 4, layoutOf(format));
      if (format.layout === 'nhwc') {
        exports.addShifted(movedAt, sumAt, 3 * width, height, 3 * x, y);
      } else {
        for (let plane = 0; plane < values * 4; plane += width * height * 4) {
          exports.addShifted(movedAt + plane, sumAt + plane, width, height, x, y);
        }
      }
    }
    exports.multiply(sumAt, values, 1 / shifts.length);
    out.set(new Float32Array(memory.buffer, sumAt, values), offset);
  }

  #placeShares(map: ActivationMap): void {
    const { spare } = this.#settings;
    placeShares(this.#kernel.memory.buffer, this.#shares!, map, spare, this.#filters, this.#levels);
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#kernel.memory.free(this.#slot);
  }
}

/** Makes an image ready; the settings satisfy `isHaarPath`. */
export function prepareHaar(
  kernel: Kernel,
  image: RgbImage,
  map: ActivationMap | undefined,
  settings: DefenceSettings,
): PreparedImage {
  return new HaarImage(kernel, image, map, settings);
}
