/** The fast implementation of the defence: WebAssembly with SIMD, single precision. */
import { invalid } from '../../errors.js';
import type { RgbImage } from '../../types.js';
import type { Defender } from '../defender.js';
import { type FindStep, isOwn, NO_DRAWS, ownStepsOnly, toBytes, toPlanar } from '../order.js';
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
      if ('data' in start && isHaarPath(settings)) return prepareHaar(kernel, start, map, settings);
      return preparePlanes(kernel, start, map, settings, find);
    },
  };
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
