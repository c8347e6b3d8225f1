/**
 * The general path: any wavelet, any rule, any order of steps, from scratch in every run. Steps before the first
 * deflection give every run the same and are computed once.
 */
import type { ActivationMap, RgbImage } from '../../types.js';
import type { PreparedImage, TensorFormat, UniformSource } from '../defender.js';
import type { DefenceSettings, DefenceStep } from '../settings.js';
import { defaultLevels, waveletFilters } from '../wavelet-filters.js';
import { filtersBytes, type Kernel } from './kernel.js';
import { configureSlot, REPLACE } from './slot-settings.js';

class PlanesImage implements PreparedImage {
  readonly #kernel: Kernel;
  readonly #width: number;
  readonly #height: number;
  readonly #map: ActivationMap | undefined;
  readonly #settings: DefenceSettings;
  readonly #planes: number;
  readonly #slot: number;
  readonly #sparseLimit: number;
  /** Steps that each run takes. */
  readonly #steps: readonly DefenceStep[];
  /** Whether runs begin with the 8-bit image; otherwise with planes that were kept. */
  readonly #startsWithBytes: boolean;
  /** Whether the run's image is still of 8 bits. */
  #isBytes = true;
  /** Deflections of its 8-bit pixels. */
  #byteDeflections = 0;
  #isReleased = false;

  constructor(kernel: Kernel, image: RgbImage, map: ActivationMap | undefined, settings: DefenceSettings) {
    const { width, height } = image;
    const { exports, memory } = kernel;
    this.#kernel = kernel;
    this.#width = width;
    this.#height = height;
    this.#map = map;
    this.#settings = settings;
    const filters = waveletFilters(settings.wavelet);
    const levels = settings.levels ?? defaultLevels(width, height, filters.length);
    const planesBytes = Math.ceil(exports.planesBytes(width, height, levels, filters.length) / 64) * 64;
    // One block: an image is allocated whole or not at all.
    this.#planes = memory.allocate(planesBytes + filtersBytes(filters));
    const filtersAt = this.#planes + planesBytes;
    kernel.placeFilters(filters, filtersAt);
    // WebAssembly gives its 32-bit addresses with a sign.
    const arrival = exports.preparePlanes(this.#planes, width, height, levels, filtersAt) >>> 0;
    new Uint8Array(memory.buffer, arrival, width * height * 3).set(image.data);
    this.#slot = exports.planesSlot(this.#planes);
    // Planes are kept as what they exceed their least values by.
    configureSlot(exports, this.#slot, settings, width * height, true);
    this.#sparseLimit = exports.sparseLimit(this.#slot);

    const steps = settings.order.filter(step => step === 'deflect' || settings.shrink !== 'none');
    const firstDeflection = steps.indexOf('deflect');
    const shared = firstDeflection < 0 ? steps : steps.slice(0, firstDeflection);
    this.#steps = steps.slice(shared.length);
    this.#startsWithBytes = shared.length === 0;
    for (const _ of shared) this.#denoise();
    if (!this.#startsWithBytes) exports.keepStart(this.#planes);
  }

  run(source: UniformSource, out: Float32Array, offset: number, format: TensorFormat): void {
    const kernel = this.#kernel;
    const { exports } = kernel;
    this.#isBytes = this.#startsWithBytes;
    if (!this.#isBytes) exports.takeStart(this.#planes);
    for (const [i, step] of this.#steps.entries()) {
      if (step === 'denoise') {
        this.#denoise();
      } else {
        kernel.draw(this.#width, this.#height, this.#map, this.#settings, source);
        // Later deflections read what earlier ones left, and a mean is no 8-bit value.
        if (i === 0 && this.#isBytes && this.#settings.replace !== 'mean') this.#deflectBytes();
        else this.#deflectPlanes();
      }
    }
    this.#leaveBytes();
    const formatAt = kernel.usePlainFormat(format);
    kernel.write(this.#width, this.#height, out, offset, format, (first, end, at, planeBytes, layout) => {
      exports.writePlanes(this.#planes, formatAt, first, end, at, planeBytes, layout);
    });
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

  #denoise(): void {
    const { exports, targetsAt } = this.#kernel;
    if (this.#isBytes) {
      if (this.#isSparse) exports.beginSparse(this.#slot);
      exports.boundColours(this.#slot, targetsAt, this.#byteDeflections, this.#isSparse);
    }
    exports.denoisePlanes(this.#planes, this.#isBytes ? 1 : 0, this.#kernel.matrixAt);
    if (this.#isBytes) this.#endBytes();
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

/** Makes an image ready. */
export function preparePlanes(
  kernel: Kernel,
  image: RgbImage,
  map: ActivationMap | undefined,
  settings: DefenceSettings,
): PreparedImage {
  return new PlanesImage(kernel, image, map, settings);
}
