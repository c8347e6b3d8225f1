/** Mirroring left and right by chance: what a network was trained to look past, and a perturbation was not made for. */
import type { UniformSource } from '../defense/defender.js';
import { defineStep } from './step.js';

/** One draw: below a half, the image is mirrored. */
function mirrorByChance(planes: Float32Array, width: number, source: UniformSource): void {
  if (source.uniform() >= 0.5) return;
  for (let row = 0; row < planes.length; row += width) planes.subarray(row, row + width).reverse();
}

export const flip = defineStep({
  name: 'flip',
  random: true,
  parameters: {},
  apply(planes, width, _height, _parameters, source) {
    mirrorByChance(planes, width, source);
  },
  back(gradient, _planes, width, _height, _parameters, source) {
    mirrorByChance(gradient, width, source);
  },
});
