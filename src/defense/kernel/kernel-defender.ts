/** The fast implementation of the defence: WebAssembly with SIMD, single precision. */
import { invalid } from '../../errors.js';
import { writePlanes } from '../../images/tensor.js';
import type { RgbImage } from '../../types.js';
import {
  type Defender,
  PLAIN_RGB,
  type PreparedImage,
  type TensorFormat,
  type UniformSource,
  type WatchDeflections,
} from '../defender.js';
import {
  applyForeign,
  type FindStep,
  type ForeignStep,
  isOwn,
  NO_DRAWS,
  ownStepsOnly,
  toBytes,
  toPlanar,
} from '../order.js';
import type { DefenceSettings } from '../settings.js';
import { isHaarPath, prepareHaar } from './haar-path.js';
import { Kernel } from './kernel.js';
import { preparePlanes, type Start } from './planes-path.js';

/**
 * Makes a defender with a kernel of its own: one for each thread, used by one caller at a time. Several images may be
 * prepared at once.
 *
 * Results agree with the plain defender to 1e-5 on the [0,1] scale and depend on image, map, settings and draws alone.
 *
 * @param find finds the steps of an order that are not the defence's own
 */
export async function createKernelDefender(find: FindStep = ownStepsOnly): Promise<Defender> {
  const kernel = await Kernel.create();
  return {
    prepare(image, map, given) {
      if (image.data.length !== image.width * image.height * 3 || image.data.length === 0) {
        throw invalid('image', `${image.width} x ${image.height} RGB pixels`, `${image.data.length} bytes`);
      }
      if (map !== undefined && (map.width !== image.width || map.height !== image.height)) {
        throw invalid('map', `a map of ${image.width} x ${image.height}`, `${map.width} x ${map.height}`);
      }
      const { start, settings } = takeLeadingSteps(image, given, find);
      const { head, tail } = splitTail(settings, find);
      if ('data' in start && isHaarPath(head)) {
        const runs = prepareHaar(kernel, start, map, head);
        return tail.length === 0 ? runs : new TailedImage(runs, tail, image.width, image.height);
      }
      return preparePlanes(kernel, start, map, settings, find);
    },
  };
}

/** The order up to the last of the defence's own steps, and the foreign steps behind it. */
function splitTail(
  settings: DefenceSettings,
  find: FindStep,
): { readonly head: DefenceSettings; readonly tail: readonly ForeignStep[] } {
  const { order } = settings;
  const length = order.findLastIndex(isOwn) + 1;
  return { head: { ...settings, order: order.slice(0, length) }, tail: order.slice(length).map(find) };
}

/** An image whose runs are taken further, outside of the kernel. */
class TailedImage implements PreparedImage {
  readonly isRandom: boolean;
  readonly #image: PreparedImage;
  readonly #steps: readonly ForeignStep[];
  readonly #width: number;
  readonly #height: number;
  readonly #planes: Float32Array;

  constructor(image: PreparedImage, steps: readonly ForeignStep[], width: number, height: number) {
    this.#image = image;
    this.#steps = steps;
    this.#width = width;
    this.#height = height;
    this.#planes = new Float32Array(3 * width * height);
    this.isRandom = image.isRandom || steps.some(step => step.random);
  }

  run(source: UniformSource, out: Float32Array, offset: number, format: TensorFormat, watch?: WatchDeflections): void {
    this.#image.run(source, this.#planes, 0, PLAIN_RGB, watch);
    for (const step of this.#steps) applyForeign(step, this.#planes, this.#width, this.#height, source);
    writePlanes(this.#planes, this.#width * this.#height, format, out, offset);
  }

  release(): void {
    this.#image.release();
  }
}

/**
 * Carries out the foreign steps that come before any other and draw nothing. Many of them give 8 bits (`jpeg`, `median`
 * ...): what follows is then as fast as on the image itself.
 *
 * @returns what is left to begin with, and the settings with what is left of the order
 */
function takeLeadingSteps(
  image: RgbImage,
  settings: DefenceSettings,
  find: FindStep,
): { readonly start: Start; readonly settings: DefenceSettings } {
  const { width, height } = image;
  const { order } = settings;
  let planes: Float32Array | undefined;
  let taken = 0;
  for (const text of order) {
    if (isOwn(text)) break;
    const step = find(text);
    if (step.random) break;
    planes ??= toPlanar(image);
    step.apply(planes, width, height, NO_DRAWS);
    taken++;
  }
  if (planes === undefined) return { start: image, settings };
  const start = toBytes(planes, width, height) ?? { width, height, planes };
  return { start, settings: { ...settings, order: order.slice(taken) } };
}
