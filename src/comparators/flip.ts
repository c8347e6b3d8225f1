/** Mirroring left and right by chance: what a network was trained to look past, and a perturbation was not made for. */
import { defineStep } from './step.js';

export const flip = defineStep({
  name: 'flip',
  random: true,
  parameters: {},
  /** One draw: below a half, the image is mirrored. */
  apply(planes, width, _height, _parameters, source) {
    if (source.uniform() >= 0.5) return;
    for (let row = 0; row < planes.length; row += width) planes.subarray(row, row + width).reverse();
  },
});
