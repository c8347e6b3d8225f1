/**
 * Random crops, resized back. Guo et al., 'Countering Adversarial Images Using Input Transformations', ICLR 2018, section
 * 4.1: 30 crops of 90x90 out of 224x224, resized to 224x224; the model's answers are averaged. As a step it makes one crop:
 * the ensemble comes from `--runs 30 --vote mean`. With `most` the share is drawn too: crops a little smaller than the image
 * move every run to another place on the network's grid, and take hardly anything from the image.
 */
import type { UniformSource } from '../defense/defender.js';
import { plane } from './planes.js';
import { resampleBilinear, resampleBilinearBack } from './resample.js';
import { decimal, decimalOr, defineStep } from './step.js';

/**
 * Draws a crop. Two draws: column, row; before them one for the share, where it is drawn.
 *
 * @param least side of the crop as a share of the image's, in (0, 1]
 * @param most where above `least`, the share is uniform between the two
 * @returns place of its first pixel, and its size
 */
function drawCrop(width: number, height: number, least: number, most: number, source: UniformSource) {
  const share = most > least ? least + (most - least) * source.uniform() : least;
  const size = [width, height].map(length => Math.max(1, Math.round(length * share))) as [number, number];
  const left = Math.floor(source.uniform() * (width - size[0] + 1));
  const top = Math.floor(source.uniform() * (height - size[1] + 1));
  return { origin: top * width + left, size };
}

interface CropParameters {
  readonly share: number;
  readonly most: number | 'same';
}

function boundsOf({ share, most }: CropParameters): readonly [number, number] {
  return [share, most === 'same' ? share : most];
}

export const crop = defineStep({
  name: 'crop',
  random: true,
  parameters: { share: decimal(0.4, 0.01, 1), most: decimalOr('same', 0.01, 1) },
  apply(planes, width, height, parameters, source) {
    const { origin, size } = drawCrop(width, height, ...boundsOf(parameters), source);
    for (let c = 0; c < 3; c++) {
      const values = plane(planes, c, width, height);
      values.set(resampleBilinear(values, origin, width, size, [width, height]));
    }
  },
  back(gradient, _planes, width, height, parameters, source) {
    const { origin, size } = drawCrop(width, height, ...boundsOf(parameters), source);
    for (let c = 0; c < 3; c++) {
      const values = plane(gradient, c, width, height);
      const outer = values.slice();
      values.fill(0);
      resampleBilinearBack(outer, values, origin, width, size, [width, height]);
    }
  },
});
