/**
 * The fast path: deflection, then shrinkage of the Haar details. What all runs of an image share is computed once; a run
 * computes anew what its deflections touch, then shrinks and transforms back.
 */
import type { ActivationMap, RgbImage } from '../../types.js';
import type { PreparedImage, TensorFormat, UniformSource, WatchDeflections } from '../defender.js';
import { type DefenceSettings, deflects } from '../settings.js';
import { defaultLevels, waveletFilters } from '../wavelet-filters.js';
import { filtersBytes, type Kernel } from './kernel.js';
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
  readonly #sparseLimit: number;
  readonly #slot: number;
  #isReleased = false;

  constructor(kernel: Kernel, image: RgbImage, map: ActivationMap | undefined, settings: DefenceSettings) {
    const { width, height } = image;
    const { exports, memory } = kernel;
    this.#kernel = kernel;
    this.#width = width;
    this.#height = height;
    this.#map = map;
    this.#settings = settings;
    this.isRandom = deflects(settings);
    const filters = waveletFilters(settings.wavelet);
    const levels = settings.levels ?? defaultLevels(width, height, filters.length);
    const selects = settings.shrink === 'sure' || estimatesSigma(settings);
    const coefficients = selects ? Math.ceil(width / 2) * Math.ceil(height / 2) : 0;
    const [slotBytes, filterBytes, magnitudeBytes] = [
      exports.slotBytes(width, height, levels),
      filtersBytes(filters),
      // What vectors write beyond the last magnitude needs room too.
      coefficients * 4 + 64,
    ].map(bytes => Math.ceil(bytes / 64) * 64) as [number, number, number];
    // One block: an image is allocated whole or not at all.
    this.#slot = memory.allocate(
      slotBytes + (selects ? filterBytes + magnitudeBytes + exports.selectBytes(coefficients) : 0),
    );
    // WebAssembly gives its 32-bit addresses with a sign.
    const arrival = exports.prepareSlot(this.#slot, width, height, levels) >>> 0;
    new Uint8Array(memory.buffer, arrival, width * height * 3).set(image.data);
    configureSlot(exports, this.#slot, settings, width * height);
    if (selects) {
      const filtersAt = this.#slot + slotBytes;
      const magnitudesAt = filtersAt + filterBytes;
      kernel.placeFilters(filters, filtersAt);
      exports.equipSlot(this.#slot, filtersAt, magnitudesAt, magnitudesAt + magnitudeBytes);
    }
    this.#sparseLimit = exports.sparseLimit(this.#slot);
  }

  run(source: UniformSource, out: Float32Array, offset: number, format: TensorFormat, watch?: WatchDeflections): void {
    const kernel = this.#kernel;
    const { exports, list, targetsAt, sourcesAt } = kernel;
    const slot = this.#slot;
    const { replace, window } = this.#settings;
    if (this.isRandom) {
      kernel.draw(this.#width, this.#height, this.#map, this.#settings, source);
      watch?.(list);
    } else {
      list.reset(0, false);
    }
    const sparse = list.count <= this.#sparseLimit ? 1 : 0;
    if (sparse) exports.beginSparse(slot);
    kernel.handOver(list, (count, channelsAt) => {
      exports.deflectPixels(slot, targetsAt, sourcesAt, channelsAt, count, REPLACE[replace], window, sparse);
    });
    const formatAt = kernel.useFormat(format);
    exports.transform(slot, formatAt, targetsAt, list.count, sparse);
    kernel.write(this.#width, this.#height, out, offset, format, (first, end, at, planeBytes, layout) => {
      exports.writePixels(slot, formatAt, first, end, at, planeBytes, layout);
    });
    exports.endRun(slot, targetsAt, list.count, sparse);
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
