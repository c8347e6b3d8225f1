/**
 * Unsupervised Wiener-Hunt deconvolution: the Gibbs sampler of Orieux, Giovannelli, Rodet, 'Bayesian Estimation of
 * Regularization and Point Spread Function Parameters for Wiener-Hunt Deconvolution', JOSA A 27(7), 2010. It draws, in
 * turn, the image's spectrum (equations 27 to 30) and the precisions of noise and image (equation 31), and returns the
 * mean of the images after a burn-in (equation 44). Each channel by itself, with its own chain.
 */
import type { UniformSource } from '../defense/defender.js';
import { fourier2d, type Spectrum } from './fourier.js';
import { clampToUnit, plane } from './planes.js';
import { blurTransfer, gaussianProfile, laplacianTransfer } from './point-spread.js';
import { decimal, defineStep, integer } from './step.js';

const BURN_IN = 15;
const LEAST_ITERATIONS = 30;
const MOST_ITERATIONS = 200;
const THRESHOLD = 1e-4;

/**
 * Restores one plane in place; the result is clipped to [-1, 1].
 *
 * @param values float32 [height, width]
 * @param profile the blur along rows and along columns, symmetric, sum 1
 * @param source draws; about width height a sampled image
 */
export function unsupervisedWiener(
  values: Float32Array,
  width: number,
  height: number,
  profile: Float64Array,
  source: UniformSource,
): void {
  const area = width * height;
  const blur = blurTransfer(profile, width, height);
  const smooth = laplacianTransfer(width, height);
  const data = { re: Float64Array.from(values), im: new Float64Array(area) };
  fourier2d(data, width, height, 1);
  const unitary = 1 / Math.sqrt(area);
  const sample = zeros(area);
  const sum = zeros(area);
  const normal = normals(source);
  const blurPower = power(blur);
  const smoothPower = power(smooth);
  let noise = 1;
  let prior = 1;
  let count = 0;
  for (let iteration = 0; iteration < MOST_ITERATIONS; iteration++) {
    let misfit = 0;
    let roughness = 0;
    drawNoise(sample, width, height, normal);
    for (let i = 0; i < area; i++) {
      const precision = noise * blurPower[i]! + prior * smoothPower[i]!;
      const deviation = 1 / Math.sqrt(precision);
      const gain = (noise * unitary) / precision;
      const hr = blur.re[i]!;
      const hi = blur.im[i]!;
      const dr = data.re[i]!;
      const di = data.im[i]!;
      const re = gain * (hr * dr + hi * di) + deviation * sample.re[i]!;
      const im = gain * (hr * di - hi * dr) + deviation * sample.im[i]!;
      sample.re[i] = re;
      sample.im[i] = im;
      misfit += (unitary * dr - hr * re + hi * im) ** 2 + (unitary * di - hr * im - hi * re) ** 2;
      roughness += smoothPower[i]! * (re * re + im * im);
    }
    noise = (gamma(area / 2, source, normal) * 2) / misfit;
    prior = (gamma((area - 1) / 2, source, normal) * 2) / roughness;
    if (iteration <= BURN_IN) continue;
    const change = add(sum, sample, count);
    count++;
    if (iteration > LEAST_ITERATIONS && change / count < THRESHOLD) break;
  }
  fourier2d(sum, width, height, -1);
  for (let i = 0; i < area; i++) values[i] = Math.min(1, Math.max(-1, (sum.re[i]! * unitary) / count));
}

/** The unitary spectrum of white noise of a real plane: X(-f) = conj X(f), mean square 1. */
function drawNoise({ re, im }: Spectrum, width: number, height: number, normal: () => number): void {
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      const mirrored = ((height - y) % height) * width + ((width - x) % width);
      if (mirrored < at) continue;
      const own = mirrored === at;
      re[at] = normal() * (own ? 1 : Math.SQRT1_2);
      im[at] = own ? 0 : normal() * Math.SQRT1_2;
      re[mirrored] = re[at];
      im[mirrored] = -im[at]!;
    }
  }
}

/** Adds a sample; returns how far the mean moved, relative to the sum. */
function add(sum: Spectrum, sample: Spectrum, count: number): number {
  let moved = 0;
  let size = 0;
  for (let i = 0; i < sum.re.length; i++) {
    const re = sum.re[i]!;
    const im = sum.im[i]!;
    const newRe = re + sample.re[i]!;
    const newIm = im + sample.im[i]!;
    sum.re[i] = newRe;
    sum.im[i] = newIm;
    size += Math.sqrt(newRe * newRe + newIm * newIm);
    if (count === 0) continue;
    const stepRe = newRe / (count + 1) - re / count;
    const stepIm = newIm / (count + 1) - im / count;
    moved += Math.sqrt(stepRe * stepRe + stepIm * stepIm);
  }
  return count > 0 ? moved / size : Number.POSITIVE_INFINITY;
}

function zeros(area: number): Spectrum {
  return { re: new Float64Array(area), im: new Float64Array(area) };
}

function power({ re, im }: Spectrum): Float64Array {
  return re.map((value, i) => value * value + im[i]! * im[i]!);
}

/** Standard normal numbers, two for two draws (Box and Muller, 1958). */
function normals(source: UniformSource): () => number {
  let kept: number | undefined;
  return () => {
    if (kept !== undefined) {
      const value = kept;
      kept = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - source.uniform()));
    const angle = 2 * Math.PI * source.uniform();
    kept = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

/** A number of the gamma law with this shape, at least 1, and scale 1 (Marsaglia and Tsang, ACM TOMS 26(3), 2000). */
function gamma(shape: number, source: UniformSource, normal: () => number): number {
  const d = Math.max(shape, 1) - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - source.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}

export const unsupervisedWienerStep = defineStep({
  name: 'uwiener',
  random: true,
  parameters: { sigma: decimal(1, 0.1, 20), radius: integer(2, 1, 50) },
  apply(planes, width, height, { sigma, radius }, source) {
    const profile = gaussianProfile(2 * radius + 1, sigma);
    for (let c = 0; c < 3; c++) unsupervisedWiener(plane(planes, c, width, height), width, height, profile, source);
    clampToUnit(planes);
  },
});
