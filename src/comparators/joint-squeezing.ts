/**
 * Joint feature squeezing. Xu, Evans, Qi, NDSS 2018. Table 4's `best model` joins 5 bits, median 2x2 and non-local means
 * 13-3-4. Xu et al. join squeezers as a detector: the score of an image is the largest L1 distance between the
 * probabilities of the image and those of a squeezed image (section V-C). A destruction rate needs a label as well: as a
 * step of an order the three squeezers are applied one after another.
 */
import type { UniformSource } from '../defense/defender.js';
import { bitDepth } from './bit-depth.js';
import { medianSmoothing } from './median.js';
import { nonLocalMeansTable4 } from './non-local-means-lab.js';
import { type BoundStep, defineStep } from './step.js';

/** Table 4's squeezers (b), (c) and (f), in that order. */
export const JOINT_SQUEEZERS: readonly BoundStep[] = Object.freeze([
  bitDepth.parse('5'),
  medianSmoothing.parse('2'),
  nonLocalMeansTable4.parse('13-3-4'),
]);

/**
 * How far squeezing moves the model's answer, in [0, 2].
 *
 * @param original probabilities of the image as it came
 * @param squeezed probabilities of each squeezed image, of the same length
 */
export function jointSqueezeScore(original: Float32Array, squeezed: readonly Float32Array[]): number {
  let largest = 0;
  for (const probabilities of squeezed) {
    let distance = 0;
    for (let i = 0; i < original.length; i++) distance += Math.abs(original[i]! - probabilities[i]!);
    largest = Math.max(largest, distance);
  }
  return largest;
}

const NO_DRAWS: UniformSource = {
  uniform: () => {
    throw new Error('squeezers draw nothing');
  },
};

export const jointSqueezing = defineStep({
  name: 'squeeze',
  parameters: {},
  apply(planes, width, height) {
    for (const squeezer of JOINT_SQUEEZERS) squeezer.apply(planes, width, height, NO_DRAWS);
  },
});
