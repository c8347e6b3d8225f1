/**
 * Shrinking by chance, and back to size: the finest details go, how many each run draws. Shrinking weighs all samples that a
 * pixel covers (triangle filter), growing interpolates bilinearly.
 */
import type { UniformSource } from '../defense/defender.js';
import { plane } from './planes.js';
import { resampleBilinear, resampleBilinearBack, shrinkTriangle, shrinkTriangleBack } from './resample.js';
import { decimal, defineStep } from './step.js';

interface RescaleParameters {
  readonly least: number;
  readonly most: number;
}

/** One draw: the share of the side, uniform between the two, whichever is the larger. @returns the smaller size */
function drawSize(
  width: number,
  height: number,
  { least, most }: RescaleParameters,
  source: UniformSource,
): readonly [number, number] {
  const share = least + (most - least) * source.uniform();
  return [Math.max(1, Math.round(width * share)), Math.max(1, Math.round(height * share))];
}

export const rescale = defineStep({
  name: 'rescale',
  random: true,
  shown: 2,
  parameters: { least: decimal(0.5, 0.01, 1), most: decimal(0.8, 0.01, 1) },
  apply(planes, width, height, parameters, source) {
    const size = drawSize(width, height, parameters, source);
    for (let c = 0; c < 3; c++) {
      const values = plane(planes, c, width, height);
      values.set(resampleBilinear(shrinkTriangle(values, [width, height], size), 0, size[0], size, [width, height]));
    }
  },
  back(gradient, _planes, width, height, parameters, source) {
    const size = drawSize(width, height, parameters, source);
    for (let c = 0; c < 3; c++) {
      const values = plane(gradient, c, width, height);
      const small = new Float32Array(size[0] * size[1]);
      resampleBilinearBack(values, small, 0, size[0], size, [width, height]);
      values.set(shrinkTriangleBack(small, [width, height], size));
    }
  },
});
