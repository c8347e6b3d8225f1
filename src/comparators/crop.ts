/**
 * Random crops, resized back. Guo et al., 'Countering Adversarial Images Using Input Transformations', ICLR 2018, section
 * 4.1: 30 crops of 90x90 out of 224x224, resized to 224x224; the model's answers are averaged. As a step it makes one crop:
 * the ensemble comes from `--runs 30 --vote mean`.
 */
import type { UniformSource } from '../defense/defender.js';
import { plane } from './planes.js';
import { resampleBilinear } from './resample.js';
import { decimal, defineStep } from './step.js';

/**
 * Replaces the image by a random crop of it, resized back bilinearly. Two draws: column, row.
 *
 * @param planes float32, planar [3, height, width]; in place
 * @param share side of the crop as a share of the image's, in (0, 1]
 */
function cropAndResize(
  planes: Float32Array,
  width: number,
  height: number,
  share: number,
  source: UniformSource,
): void {
  const size = [width, height].map(length => Math.max(1, Math.round(length * share))) as [number, number];
  const left = Math.floor(source.uniform() * (width - size[0] + 1));
  const top = Math.floor(source.uniform() * (height - size[1] + 1));
  for (let c = 0; c < 3; c++) {
    const values = plane(planes, c, width, height);
    values.set(resampleBilinear(values, top * width + left, width, size, [width, height]));
  }
}

export const crop = defineStep({
  name: 'crop',
  random: true,
  parameters: { share: decimal(0.4, 0.01, 1) },
  apply(planes, width, height, { share }, source) {
    cropAndResize(planes, width, height, share, source);
  },
});
