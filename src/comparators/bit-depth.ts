/**
 * Bit depth reduction. Xu, Evans, Qi, 'Feature Squeezing: Detecting Adversarial Examples in Deep Neural Networks',
 * NDSS 2018, section III-A: x -> round(x (2^b - 1)) / (2^b - 1), channel by channel.
 */
import { defineStep, integer } from './step.js';

/**
 * The nearest of the 2^bits levels of [0, 1]; a tie goes to the even level, as IEEE 754 and NumPy round.
 *
 * @param value in [0, 1]
 * @param bits 1 to 8
 */
export function reduceBitDepth(value: number, bits: number): number {
  const top = (1 << bits) - 1;
  const scaled = value * top;
  const below = Math.floor(scaled);
  const rest = scaled - below;
  return (rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below) / top;
}

export const bitDepth = defineStep({
  name: 'bits',
  parameters: { bits: integer(5, 1, 8) },
  apply(planes, _width, _height, { bits }) {
    for (let i = 0; i < planes.length; i++) planes[i] = reduceBitDepth(planes[i]!, bits);
  },
});
