/** Wavelet denoising of an RGB image in YCbCr (the paper, sections 7 and 8), in the two ways scikit-image has had. */
import type { ActivationMap } from '../../types.js';
import { YCBCR_FROM_RGB } from '../colour.js';
import type { Grid, Planes } from '../grid.js';
import { levelMaps } from '../level-maps.js';
import type { DefenceSettings } from '../settings.js';
import { defaultLevels, type WaveletFilters, waveletFilters } from '../wavelet-filters.js';
import { bayesThreshold } from './bayes-shrink.js';
import { estimateSigma } from './noise-estimate.js';
import { sureThreshold } from './sure-shrink.js';
import { hardThreshold, softThreshold } from './threshold.js';
import { visuThreshold } from './visu-shrink.js';
import { decompose, reconstruct } from './wavelet-transform.js';
import { rgbToYcbcr, ycbcrToRgb } from './ycbcr.js';

/** The settings that denoising reads. */
export type DenoiseSettings = Pick<
  DefenceSettings,
  'sigma' | 'wavelet' | 'levels' | 'shrink' | 'threshold' | 'variant'
>;

/** How one plane is denoised. */
interface PlaneSettings extends Pick<DefenceSettings, 'wavelet' | 'levels' | 'threshold'> {
  readonly shrink: Exclude<DefenceSettings['shrink'], 'none'>;
}

/** What a run decides beside the settings. */
export interface Shrinkage {
  /** Factor on sigma, given or estimated. */
  readonly strength: number;
  /** A map of the plane's size, and the share of the threshold that it takes off where it is 1: T (1 - share M). */
  readonly spare?: { readonly map: ActivationMap; readonly share: number } | undefined;
}

/** As the paper has it. */
const PLAIN_SHRINKAGE: Shrinkage = { strength: 1 };

/**
 * A plane of Y, Cb or Cr with less range than this, of 255, is constant but for rounding: Cb and Cr of a grey image. It has
 * no scale to stretch to and stays as it is, where scikit-image up to 0.15 made the whole image NaN.
 */
export const CONSTANT_RANGE = 1e-9;

/**
 * Denoises one plane.
 *
 * @param plane in any unit
 * @param sigma standard deviation of its noise in the same unit; `null` estimates it from the finest diagonal sub-band
 */
export function denoisePlane(
  plane: Grid,
  settings: PlaneSettings,
  sigma: number | null,
  { strength, spare }: Shrinkage = PLAIN_SHRINKAGE,
): Grid {
  const filters = waveletFilters(settings.wavelet);
  const decomposition = decompose(plane, filters, levelsOf(plane, settings, filters));
  const deviation = strength * (sigma ?? estimateSigma(decomposition.details[0]!.diagonal.data));
  const shares = sharesOf(spare, filters, decomposition.details.length);
  const apply = settings.threshold === 'soft' ? softThreshold : hardThreshold;
  for (const [level, { horizontal, vertical, diagonal }] of decomposition.details.entries()) {
    for (const { data } of [horizontal, vertical, diagonal]) {
      apply(data, thresholdOf(settings.shrink, data, deviation, plane.data.length), shares[level]);
    }
  }
  return reconstruct(decomposition, filters);
}

/** Of each level the shares of the thresholds that hold where its coefficients lie; none where nothing is spared. */
function sharesOf(spare: Shrinkage['spare'], filters: WaveletFilters, levels: number): Float64Array[] {
  if (spare === undefined) return [];
  return levelMaps(spare.map, filters, levels).map(({ data }) => data.map(value => 1 - spare.share * value));
}

function levelsOf(plane: Grid, settings: Pick<DenoiseSettings, 'levels'>, filters: WaveletFilters): number {
  return settings.levels ?? defaultLevels(plane.width, plane.height, filters.length);
}

function thresholdOf(
  shrink: PlaneSettings['shrink'],
  coefficients: Float64Array,
  sigma: number,
  pixels: number,
): number {
  if (shrink === 'bayes') return bayesThreshold(coefficients, sigma);
  if (shrink === 'visu') return visuThreshold(sigma, pixels);
  return sureThreshold(coefficients, sigma);
}

/**
 * Denoises an image in YCbCr, each plane stretched to [0,1] by its own least and greatest value.
 *
 * `legacy` (scikit-image up to 0.15, which the paper's authors ran): sigma counts on the stretched planes as it is; each
 * plane and the result are clipped to [0,1]. `modern` (from 0.16, `rescale_sigma`): sigma counts in RGB and is carried over
 * to each plane, see `modernSigma`; nothing is clipped.
 *
 * @param rgb planes in [0,1]
 * @throws DeflectorError SETTINGS_INVALID for an unknown wavelet
 */
export function denoise(rgb: Planes, settings: DenoiseSettings, shrinkage: Shrinkage = PLAIN_SHRINKAGE): Planes {
  const { shrink } = settings;
  if (shrink === 'none') return rgb;
  const legacy = settings.variant === 'legacy';
  const [y, cb, cr] = rgbToYcbcr(rgb);
  const plane = (original: Grid, channel: 0 | 1 | 2): Grid => {
    const { min, range } = rangeOf(original);
    if (range < CONSTANT_RANGE) return original;
    const sigma = settings.sigma === null || legacy ? settings.sigma : modernSigma(settings.sigma, channel, range);
    const stretched = { ...original, data: original.data.map(value => (value - min) / range) };
    const denoised = denoisePlane(stretched, { ...settings, shrink }, sigma, shrinkage);
    const { data } = legacy ? clipPlane(denoised) : denoised;
    return { ...original, data: data.map(value => value * range + min) };
  };
  const [red, green, blue] = ycbcrToRgb([plane(y, 0), plane(cb, 1), plane(cr, 2)]);
  return legacy ? [clipPlane(red), clipPlane(green), clipPlane(blue)] : [red, green, blue];
}

/**
 * Sigma of `modern` on a stretched plane: independent noise of deviation sigma in R, G and B has deviation
 * sigma |row of the RGB to YCbCr matrix| in the plane, which stretching divides by the plane's range.
 *
 * @param channel 0 Y, 1 Cb, 2 Cr
 * @param range greatest less least value of the plane before stretching
 */
export function modernSigma(sigma: number, channel: 0 | 1 | 2, range: number): number {
  const variance = YCBCR_FROM_RGB[channel].reduce((sum, weight) => sum + weight ** 2 * sigma ** 2, 0);
  return Math.sqrt(variance) / range;
}

/** Least value of a plane, and the greatest less the least. */
export function rangeOf(plane: Grid): { readonly min: number; readonly range: number } {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (const value of plane.data) {
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return { min, range: max - min };
}

function clipPlane(plane: Grid): Grid {
  return { ...plane, data: plane.data.map(value => Math.min(Math.max(value, 0), 1)) };
}
