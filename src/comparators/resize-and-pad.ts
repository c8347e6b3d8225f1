/**
 * Random resizing and padding. Xie et al., 'Mitigating Adversarial Effects Through Randomization', ICLR 2018: the image of
 * side 299 is resized (nearest neighbour) to a random side from 299 to 330 and put at a random place of a black image of
 * side 331, which the network reads. A network of fixed input size reads as many pixels as before, so all lengths
 * are divided by 331/299: the side becomes random from 0.903 of the input's to one pixel below it.
 */
import type { UniformSource } from '../defense/defender.js';
import { plane } from './planes.js';
import { resampleNearest, resampleNearestBack } from './resample.js';
import { choice, decimal, defineStep } from './step.js';

export interface ResizePadParameters {
  /** Least side after the resize, as a share of the input's; Xie et al.: 299/331. */
  readonly least: number;
  /** `pad`: always the least size, at a random place. `resize`: a random size, always in the middle. */
  readonly draw: 'both' | 'pad' | 'resize';
}

/**
 * Draws size and place of the small image; width and height shrink by the same share. Draws: one for the size, two for
 * the place, as `draw` says.
 */
function drawPlace(width: number, height: number, { least, draw }: ResizePadParameters, source: UniformSource) {
  const longer = Math.max(width, height);
  const shortest = Math.min(longer, Math.max(1, Math.round(least * longer)));
  // Sizes from the shortest to one pixel below the full one, as Xie et al. have them.
  const sizes = Math.max(1, longer - shortest);
  const side = shortest + (draw === 'pad' ? 0 : Math.floor(source.uniform() * sizes));
  const small = [width, height].map(length => Math.max(1, Math.round((length * side) / longer))) as [number, number];
  const spare = [width - small[0], height - small[1]] as const;
  const left = draw === 'resize' ? spare[0] >> 1 : Math.floor(source.uniform() * (spare[0] + 1));
  const top = draw === 'resize' ? spare[1] >> 1 : Math.floor(source.uniform() * (spare[1] + 1));
  return { small, left, top };
}

export const resizePad = defineStep({
  name: 'resizepad',
  random: true,
  parameters: { least: decimal(0.9, 0.1, 1), draw: choice('both', 'pad', 'resize') },
  apply(planes, width, height, parameters, source) {
    const { small, left, top } = drawPlace(width, height, parameters, source);
    for (let c = 0; c < 3; c++) {
      const values = plane(planes, c, width, height);
      const resized = resampleNearest(values, 0, width, [width, height], small);
      values.fill(0);
      for (let y = 0; y < small[1]; y++) {
        values.set(resized.subarray(y * small[0], (y + 1) * small[0]), (y + top) * width + left);
      }
    }
  },
  back(gradient, _planes, width, height, parameters, source) {
    const { small, left, top } = drawPlace(width, height, parameters, source);
    for (let c = 0; c < 3; c++) {
      const values = plane(gradient, c, width, height);
      const inner = new Float32Array(small[0] * small[1]);
      for (let y = 0; y < small[1]; y++) {
        const from = (y + top) * width + left;
        inner.set(values.subarray(from, from + small[0]), y * small[0]);
      }
      values.fill(0);
      resampleNearestBack(inner, values, 0, width, [width, height], small);
    }
  },
});
