/**
 * Richardson-Lucy deconvolution. Richardson, JOSA 62(1), 1972; Lucy, Astronomical Journal 79, 1974: from a constant 0.5,
 * u *= (x / (u * h + 1e-12)) * h', h a Gaussian blur and h' its mirror image; zero beyond the border; each channel by itself.
 */
import { clampToUnit, plane } from './planes.js';
import { gaussianProfile } from './point-spread.js';
import { decimal, defineStep, integer } from './step.js';

/**
 * Restores one plane in place; the result is clipped to [-1, 1].
 *
 * @param values float32 [height, width]
 * @param profile the blur along rows and along columns, symmetric, sum 1
 */
export function richardsonLucy(
  values: Float32Array,
  width: number,
  height: number,
  profile: Float64Array,
  iterations: number,
): void {
  const estimate = new Float64Array(values.length).fill(0.5);
  const ratio = new Float64Array(values.length);
  const spare = new Float64Array(values.length);
  for (let iteration = 0; iteration < iterations; iteration++) {
    ratio.set(estimate);
    blur(ratio, spare, width, height, profile);
    for (let i = 0; i < values.length; i++) ratio[i] = values[i]! / (ratio[i]! + 1e-12);
    blur(ratio, spare, width, height, profile);
    for (let i = 0; i < values.length; i++) estimate[i]! *= ratio[i]!;
  }
  for (let i = 0; i < values.length; i++) values[i] = Math.min(1, Math.max(-1, estimate[i]!));
}

/** Blurs in place, zero beyond the border. */
function blur(values: Float64Array, spare: Float64Array, width: number, height: number, profile: Float64Array): void {
  const half = profile.length >> 1;
  spare.fill(0);
  for (const [k, weight] of profile.entries()) {
    const shift = k - half;
    const first = Math.max(0, -shift);
    const last = Math.min(width, width - shift);
    for (let y = 0; y < height; y++) {
      for (let x = first, at = y * width + first; x < last; x++, at++) spare[at]! += weight * values[at + shift]!;
    }
  }
  values.fill(0);
  for (const [k, weight] of profile.entries()) {
    const shift = k - half;
    const first = Math.max(0, -shift) * width;
    const last = Math.min(height, height - shift) * width;
    for (let at = first; at < last; at++) values[at]! += weight * spare[at + shift * width]!;
  }
}

export const richardsonLucyStep = defineStep({
  name: 'lucy',
  parameters: { iterations: integer(10, 1, 1000), sigma: decimal(1, 0.1, 20), radius: integer(2, 1, 50) },
  apply(planes, width, height, { iterations, sigma, radius }) {
    const profile = gaussianProfile(2 * radius + 1, sigma);
    for (let c = 0; c < 3; c++) richardsonLucy(plane(planes, c, width, height), width, height, profile, iterations);
    clampToUnit(planes);
  },
});
