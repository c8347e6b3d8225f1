/**
 * Denoising (`plain/denoise.ts`) with its transposed Jacobian: colours, stretching by each plane's own least and greatest
 * value, transform, thresholds with what they depend on, clipping. Exact wherever the plain function has a derivative: it
 * has none where a coefficient lies on its threshold, a value on a bound of clipping, or two values share an extreme.
 */
import { RGB_FROM_YCBCR, YCBCR_FROM_RGB } from '../colour.js';
import type { Planes } from '../grid.js';
import { CONSTANT_RANGE, type DenoiseSettings, modernSigma } from '../plain/denoise.js';
import { rgbToYcbcr, ycbcrToRgb } from '../plain/ycbcr.js';
import { defaultLevels, waveletFilters } from '../wavelet-filters.js';
import { traceSigma } from './noise-estimate.js';
import { type ShrinkageSettings, traceShrinkage } from './shrinkage.js';
import { planesLike, type Traced } from './traced.js';
import { WaveletTransform } from './wavelet-transform.js';

/** What a run decides of its denoising beside the settings. */
export interface DenoisingDraw {
  /** Factor on sigma, given or estimated. */
  readonly strength: number;
  /** For each level, the finest first, the share of the threshold that holds for each coefficient; constant on the way back. */
  readonly shares?: readonly Float64Array[] | undefined;
}

/** One plane. */
interface TracedPlane {
  readonly value: Float64Array;
  back(cotangent: Float64Array): Float64Array;
}

/** @param rgb planes in [0,1]; values beyond are taken too */
export function traceDenoising(rgb: Planes, settings: DenoiseSettings, draw: DenoisingDraw): Traced {
  const { shrink } = settings;
  if (shrink === 'none') return { value: rgb, back: cotangent => cotangent };
  const [{ width, height }] = rgb;
  const filters = waveletFilters(settings.wavelet);
  const levels = settings.levels ?? defaultLevels(width, height, filters.length);
  const transform = new WaveletTransform(width, height, filters, levels);
  const legacy = settings.variant === 'legacy';
  const shrinkage = { shrink, threshold: settings.threshold, pixels: width * height };
  const ycbcr = rgbToYcbcr(rgb);
  const trace = (channel: 0 | 1 | 2) =>
    tracePlane(ycbcr[channel].data, transform, shrinkage, { legacy, sigma: settings.sigma, channel }, draw);
  const planes = [trace(0), trace(1), trace(2)] as const;
  const [y, cb, cr] = planes;
  const unclipped = ycbcrToRgb(planesLike(rgb, [y.value, cb.value, cr.value]));
  const value = legacy ? planesLike(rgb, mapped(unclipped, clip)) : unclipped;
  return {
    value,
    back(cotangent) {
      const through = legacy
        ? mapped(cotangent, (data, c) => data.map((slope, p) => (isInside(unclipped[c]!.data[p]!) ? slope : 0)))
        : mapped(cotangent, data => data);
      const back = (channel: 0 | 1 | 2) => planes[channel].back(transposed(RGB_FROM_YCBCR, through, channel));
      const planar = [back(0), back(1), back(2)] as const;
      const from = (channel: 0 | 1 | 2) => transposed(YCBCR_FROM_RGB, planar, channel);
      return planesLike(rgb, [from(0), from(1), from(2)]);
    },
  };
}

function tracePlane(
  plane: Float64Array,
  transform: WaveletTransform,
  shrinkage: ShrinkageSettings,
  noise: { readonly legacy: boolean; readonly sigma: number | null; readonly channel: 0 | 1 | 2 },
  { strength, shares }: DenoisingDraw,
): TracedPlane {
  const [low, high] = extremes(plane);
  const min = plane[low]!;
  const range = plane[high]! - min;
  if (range < CONSTANT_RANGE) return { value: plane, back: cotangent => cotangent };
  const stretched = plane.map(value => (value - min) / range);
  const bands = transform.decompose(stretched);
  const estimate = noise.sigma === null ? traceSigma(bands.details[0]!.diagonal.data) : undefined;
  const carried = noise.sigma !== null && !noise.legacy;
  const given = carried ? modernSigma(noise.sigma, noise.channel, range) : noise.sigma;
  const sigma = strength * (estimate?.value ?? given!);
  const shrunk = bands.details.map((level, l) => {
    const trace = ({ data }: { readonly data: Float64Array }) => traceShrinkage(data, shrinkage, sigma, shares?.[l]);
    return { horizontal: trace(level.horizontal), vertical: trace(level.vertical), diagonal: trace(level.diagonal) };
  });
  const unclipped = transform.reconstruct({
    approximation: bands.approximation,
    details: bands.details.map((level, l) =>
      eachBand(level, (band, name) => ({ ...band, data: shrunk[l]![name].value })),
    ),
  });
  const denoised = noise.legacy ? clip(unclipped) : unclipped;
  return {
    value: denoised.map(value => value * range + min),
    back(cotangent) {
      let rangeSlope = 0;
      let minSlope = 0;
      const inner = new Float64Array(cotangent.length);
      for (let p = 0; p < cotangent.length; p++) {
        const slope = cotangent[p]!;
        rangeSlope += slope * denoised[p]!;
        minSlope += slope;
        if (!noise.legacy || isInside(unclipped[p]!)) inner[p] = slope * range;
      }
      const back = transform.reconstructBack(inner);
      let sigmaSlope = 0;
      const details = back.details.map((level, l) =>
        eachBand(level, (band, name) => {
          const made = shrunk[l]![name].back(band.data);
          sigmaSlope += made.sigma * strength;
          return { ...band, data: made.coefficients };
        }),
      );
      estimate?.back(sigmaSlope, details[0]!.diagonal.data);
      if (carried) rangeSlope -= (sigmaSlope * given!) / range;
      const gradient = transform.decomposeBack({ approximation: back.approximation, details });
      for (let p = 0; p < gradient.length; p++) {
        const slope = gradient[p]! / range;
        rangeSlope -= slope * stretched[p]!;
        minSlope -= slope;
        gradient[p] = slope;
      }
      gradient[high]! += rangeSlope;
      gradient[low]! += minSlope - rangeSlope;
      return gradient;
    },
  };
}

type Level<T> = { readonly horizontal: T; readonly vertical: T; readonly diagonal: T };

function eachBand<T, U>(level: Level<T>, make: (band: T, name: keyof Level<T>) => U): Level<U> {
  return {
    horizontal: make(level.horizontal, 'horizontal'),
    vertical: make(level.vertical, 'vertical'),
    diagonal: make(level.diagonal, 'diagonal'),
  };
}

type Data3 = readonly [Float64Array, Float64Array, Float64Array];

function mapped([red, green, blue]: Planes, make: (data: Float64Array, channel: 0 | 1 | 2) => Float64Array): Data3 {
  return [make(red.data, 0), make(green.data, 1), make(blue.data, 2)];
}

/** One row of the transpose of a matrix of colours. */
function transposed(matrix: readonly (readonly number[])[], [a, b, c]: Data3, row: 0 | 1 | 2): Float64Array {
  const [p, q, r] = [matrix[0]![row]!, matrix[1]![row]!, matrix[2]![row]!];
  return a.map((value, i) => p * value + q * b[i]! + r * c[i]!);
}

/** Places of the least and of the greatest value; the first ones. */
function extremes(data: Float64Array): readonly [number, number] {
  let low = 0;
  let high = 0;
  for (let p = 1; p < data.length; p++) {
    if (data[p]! < data[low]!) low = p;
    if (data[p]! > data[high]!) high = p;
  }
  return [low, high];
}

function clip(data: Float64Array): Float64Array {
  return data.map(value => Math.min(Math.max(value, 0), 1));
}

function isInside(value: number): boolean {
  return value >= 0 && value <= 1;
}
