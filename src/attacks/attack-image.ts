/** One image attacked, rounded to 8 bits, and measured again: what an attack is worth once it is a picture. */
import type { UniformSource } from '../defense/defender.js';
import { imageDistance, structuralSimilarity } from '../evaluation/statistics.js';
import type { RgbImage } from '../types.js';
import { type Attack, marginOf, topClass } from './attack.js';
import type { Calls, ModelQueries } from './model-queries.js';

export interface AttackedImage {
  /** Rounded to 8 bits. */
  readonly image: RgbImage;
  /** Class of the rounded image. */
  readonly adversarial: number;
  readonly fooled: boolean;
  readonly fooledBeforeRounding: boolean;
  /** max z_other - z_label, of the rounded image. */
  readonly margin: number;
  /** |x - x'| / |x| of the rounded image, and its largest change, on the [0,1] scale. */
  readonly l2: number;
  readonly linf: number;
  readonly ssim: number;
  readonly calls: Calls;
}

/**
 * Attacks an image of the model's input size.
 *
 * @param label the class to lead away from; `undefined`: the model's own
 * @returns the attacked image, or the class that the model gives where that is not `label`: then there is nothing to attack
 * @throws DeflectorError INFERENCE_FAILED
 */
export async function attackImage(
  attack: Attack,
  values: Readonly<Record<string, unknown>>,
  queries: ModelQueries,
  image: RgbImage,
  label: number | undefined,
  random: UniformSource,
): Promise<{ readonly label: number; readonly attacked: AttackedImage } | { readonly predicted: number }> {
  const { width, height } = image;
  const clean = planesOf(image);
  const predicted = topClass(await queries.subject(clean, 0, random).subject.scores(clean));
  if (label !== undefined && label !== predicted) return { predicted };
  const { subject, calls } = queries.subject(clean, predicted, random);
  const found = await attack.run(subject, values);
  const spent = { ...calls };
  const fooledBeforeRounding = marginOf(await subject.scores(found), predicted) > 0;
  const rounded = roundedImage(found, width, height);
  const pixels = planesOf(rounded);
  const scores = await subject.scores(pixels);
  const { l2Normalised, linf } = imageDistance(clean, pixels);
  const attacked = {
    image: rounded,
    adversarial: topClass(scores),
    fooled: topClass(scores) !== predicted,
    fooledBeforeRounding,
    margin: marginOf(scores, predicted),
    l2: l2Normalised,
    linf,
    ssim: structuralSimilarity(clean, pixels, width, height),
    calls: spent,
  };
  return { label: predicted, attacked };
}

/** 8 bits to float32 [3, height, width] in [0,1]. */
function planesOf({ width, height, data }: RgbImage): Float32Array {
  const area = width * height;
  const planes = new Float32Array(3 * area);
  for (let p = 0; p < area; p++) for (let c = 0; c < 3; c++) planes[c * area + p] = data[3 * p + c]! / 255;
  return planes;
}

function roundedImage(planes: Float32Array, width: number, height: number): RgbImage {
  const area = width * height;
  const data = new Uint8Array(3 * area);
  for (let p = 0; p < area; p++) for (let c = 0; c < 3; c++) data[3 * p + c] = Math.round(planes[c * area + p]! * 255);
  return { width, height, data };
}
