/**
 * Wiener-Hunt deconvolution. Hunt, 'A Matrix Theory Proof of the Discrete Convolution Theorem', IEEE Trans. Audio and
 * Electroacoustics 19(4), 1971; Orieux, Giovannelli, Rodet, JOSA A 27(7), 2010, equation 30: in the Fourier domain
 * X = conj(H) Y / (|H|^2 + balance |L|^2), H a Gaussian blur, L the Laplacian; periodic, each channel by itself.
 * Table 9 of the Pixel Deflection paper (`Deconv`); its parameters are not known.
 */
import { fourier2d, type Spectrum } from './fourier.js';
import { clampToUnit } from './planes.js';
import { blurTransfer, gaussianProfile, laplacianTransfer } from './point-spread.js';
import { decimal, defineStep, integer } from './step.js';

/**
 * Restores in place; the result is clipped to [-1, 1].
 *
 * @param planes float32, planar [channels, height, width]
 * @param profile the blur along rows and along columns, symmetric, sum 1
 * @param balance weight of smoothness against fidelity
 */
export function wienerDeconvolve(
  planes: Float32Array,
  width: number,
  height: number,
  profile: Float64Array,
  balance: number,
): void {
  const area = width * height;
  const filter = wienerFilter(width, height, profile, balance);
  // Two real planes ride in one complex transform: the filter belongs to a real kernel, so they stay apart.
  for (let first = 0; first < planes.length; first += 2 * area) {
    const one = planes.subarray(first, first + area);
    const other = planes.subarray(first + area, first + 2 * area);
    const pair = { re: Float64Array.from(one), im: new Float64Array(area) };
    pair.im.set(other);
    fourier2d(pair, width, height, 1);
    multiply(pair, filter);
    fourier2d(pair, width, height, -1);
    for (let i = 0; i < area; i++) one[i] = clip(pair.re[i]! / area);
    for (let i = 0; i < other.length; i++) other[i] = clip(pair.im[i]! / area);
  }
}

function wienerFilter(width: number, height: number, profile: Float64Array, balance: number): Spectrum {
  const blur = blurTransfer(profile, width, height);
  const smooth = laplacianTransfer(width, height);
  for (let i = 0; i < blur.re.length; i++) {
    const power = blur.re[i]! ** 2 + blur.im[i]! ** 2 + balance * (smooth.re[i]! ** 2 + smooth.im[i]! ** 2);
    blur.re[i]! /= power;
    blur.im[i]! /= -power;
  }
  return blur;
}

function multiply(target: Spectrum, by: Spectrum): void {
  for (let i = 0; i < target.re.length; i++) {
    const re = target.re[i]!;
    const im = target.im[i]!;
    target.re[i] = re * by.re[i]! - im * by.im[i]!;
    target.im[i] = re * by.im[i]! + im * by.re[i]!;
  }
}

function clip(value: number): number {
  return value > 1 ? 1 : value < -1 ? -1 : value;
}

export const wiener = defineStep({
  name: 'wiener',
  parameters: { balance: decimal(0.1, 0.000001, 1000), sigma: decimal(1, 0.1, 20), radius: integer(2, 1, 50) },
  apply(planes, width, height, { balance, sigma, radius }) {
    wienerDeconvolve(planes, width, height, gaussianProfile(2 * radius + 1, sigma), balance);
    clampToUnit(planes);
  },
});
