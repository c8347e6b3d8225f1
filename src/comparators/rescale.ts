/**
 * Shrinking by chance, and back to size: the finest details go, how many each run draws. Shrinking weighs all samples that a
 * pixel covers (triangle filter), growing interpolates bilinearly.
 */
import { plane } from './planes.js';
import { resampleBilinear, shrinkTriangle } from './resample.js';
import { decimal, defineStep } from './step.js';

export const rescale = defineStep({
  name: 'rescale',
  random: true,
  shown: 2,
  parameters: { least: decimal(0.5, 0.01, 1), most: decimal(0.8, 0.01, 1) },
  /** One draw: the share of the side, uniform between the two, whichever is the larger. */
  apply(planes, width, height, { least, most }, source) {
    const share = least + (most - least) * source.uniform();
    const size = [width, height].map(length => Math.max(1, Math.round(length * share))) as [number, number];
    for (let c = 0; c < 3; c++) {
      const values = plane(planes, c, width, height);
      values.set(resampleBilinear(shrinkTriangle(values, [width, height], size), 0, size[0], size, [width, height]));
    }
  },
});
