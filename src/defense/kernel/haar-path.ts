/**
 * The fast path: deflection, then shrinkage of the Haar details (BayesShrink, VisuShrink or none, soft or hard, noise
 * given). What all runs of an image share is computed once; a run computes anew what its deflections touch, then shrinks
 * and transforms back.
 */
import type { ActivationMap, RgbImage } from '../../types.js';
import { YCBCR_FROM_RGB } from '../colour.js';
import type { PreparedImage, TensorFormat, UniformSource } from '../defender.js';
import { type DeflectionList, drawDeflections } from '../deflection.js';
import type { DefenceSettings } from '../settings.js';
import { defaultLevels } from '../wavelet-filters.js';
import type { Kernel } from './kernel.js';

/** Levels at which the kernel's integers cannot overflow: 255 * 4^11 < 2^31. */
const MOST_LEVELS = 11;

/** Taps of the Haar filters. */
const HAAR_LENGTH = 2;

const RULE = { bayes: 0, universal: 1 } as const;
const REPLACE = { random: 0, min: 1, max: 2 } as const;

/** Whether the fast path computes these settings. */
export function isHaarPath(settings: DefenceSettings): boolean {
  const steps = settings.order.join();
  return (
    (settings.wavelet === 'haar' || settings.wavelet === 'db1') &&
    settings.shrink !== 'sure' &&
    (settings.sigma !== null || settings.shrink === 'none') &&
    (steps === 'deflect,denoise' || steps === 'denoise') &&
    settings.replace !== 'mean' &&
    (settings.levels ?? 1) <= MOST_LEVELS
  );
}

/** Standard deviations of the noise of Y, Cb, Cr: as given on the planes scaled to [0,1], or in units of the planes. */
function planeSigmas(settings: DefenceSettings): [number, number, number] {
  const sigma = settings.shrink === 'none' ? 0 : settings.sigma!;
  if (settings.variant === 'legacy') return [sigma, sigma, sigma];
  return YCBCR_FROM_RGB.map(row => sigma * Math.hypot(...row)) as [number, number, number];
}

/**
 * Whether the ranges of the planes can change a result.
 *
 * `legacy` scales the noise by them. `modern` reads them only in the floor of BayesShrink, which rules where the details
 * carry less energy than the noise: |d| <= s sqrt(N) then, and the floor s^2 / (range sqrt(eps)) lies above unless sigma
 * is far below anything of use.
 */
function needsRanges(settings: DefenceSettings, pixels: number): boolean {
  if (settings.variant === 'legacy') return true;
  return settings.shrink === 'bayes' && settings.sigma! * 3e7 < Math.sqrt(pixels);
}

class HaarImage implements PreparedImage {
  readonly #kernel: Kernel;
  readonly #width: number;
  readonly #height: number;
  readonly #map: ActivationMap | undefined;
  readonly #settings: DefenceSettings;
  readonly #slot: number;
  readonly #sparseLimit: number;
  readonly #deflects: boolean;
  #isReleased = false;

  constructor(kernel: Kernel, image: RgbImage, map: ActivationMap | undefined, settings: DefenceSettings) {
    this.#kernel = kernel;
    this.#width = image.width;
    this.#height = image.height;
    this.#map = map;
    this.#settings = settings;
    this.#deflects = settings.order.includes('deflect');
    const { width, height } = image;
    const { exports } = kernel;
    const levels = settings.levels ?? defaultLevels(width, height, HAAR_LENGTH);
    this.#slot = kernel.memory.allocate(exports.slotBytes(width, height, levels));
    const arrival = exports.prepareSlot(this.#slot, width, height, levels);
    new Uint8Array(kernel.memory.buffer, arrival, width * height * 3).set(image.data);
    exports.configureSlot(
      this.#slot,
      settings.shrink === 'bayes' ? RULE.bayes : RULE.universal,
      settings.threshold === 'hard' ? 1 : 0,
      settings.variant === 'legacy' ? 1 : 0,
      needsRanges(settings, width * height) ? 1 : 0,
      ...planeSigmas(settings),
      settings.shrink === 'visu' ? Math.sqrt(2 * Math.log(width * height)) : 0,
    );
    this.#sparseLimit = exports.sparseLimit(this.#slot);
  }

  run(source: UniformSource, out: Float32Array, offset: number, format: TensorFormat): void {
    const kernel = this.#kernel;
    const { exports } = kernel;
    const slot = this.#slot;
    const list = kernel.list;
    if (this.#deflects) {
      drawDeflections(this.#width, this.#height, this.#map, this.#settings, source, list);
    } else {
      list.reset(0, false);
    }
    const sparse = list.count <= this.#sparseLimit ? 1 : 0;
    if (sparse) exports.beginSparse(slot);
    this.#deflect(list, sparse);
    const formatAt = kernel.useFormat(format);
    exports.transform(slot, formatAt, kernel.targetsAt, list.count, sparse);
    kernel.write(this.#width, this.#height, out, offset, format, (first, end, at, planeBytes, layout) => {
      exports.writePixels(slot, formatAt, first, end, at, planeBytes, layout);
    });
    exports.endRun(slot, kernel.targetsAt, list.count, sparse);
  }

  /** Hands the list over, in parts where it is longer than the kernel's: then the run is not sparse. */
  #deflect(list: DeflectionList, sparse: number): void {
    const kernel = this.#kernel;
    const { replace, window } = this.#settings;
    for (let first = 0; first < list.count; first += kernel.listLength) {
      const count = Math.min(kernel.listLength, list.count - first);
      kernel.fillList(list, first, count);
      kernel.exports.deflectPixels(
        this.#slot,
        kernel.targetsAt,
        kernel.sourcesAt,
        list.perChannel ? kernel.channelsAt : 0,
        count,
        REPLACE[replace as keyof typeof REPLACE],
        window,
        sparse,
      );
    }
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
