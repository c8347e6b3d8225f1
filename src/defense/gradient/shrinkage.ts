/** Thresholding of one sub-band with the way back, through the threshold too where it depends on the coefficients. */
import { bayesThreshold } from '../plain/bayes-shrink.js';
import { sureThreshold } from '../plain/sure-shrink.js';
import { visuThreshold } from '../plain/visu-shrink.js';
import type { DefenceSettings } from '../settings.js';

export interface ShrinkageSettings extends Pick<DefenceSettings, 'threshold'> {
  readonly shrink: Exclude<DefenceSettings['shrink'], 'none'>;
  /** Pixels of the plane, which `visu` looks at. */
  readonly pixels: number;
}

export interface TracedShrinkage {
  readonly value: Float64Array;
  /** @returns the gradients with respect to the coefficients and to sigma */
  back(cotangent: Float64Array): { readonly coefficients: Float64Array; readonly sigma: number };
}

/**
 * @param coefficients of one detail sub-band; left as they are
 * @param shares where given, the share of the threshold that holds for each coefficient; constant on the way back
 */
export function traceShrinkage(
  coefficients: Float64Array,
  settings: ShrinkageSettings,
  sigma: number,
  shares: Float64Array | undefined,
): TracedShrinkage {
  const threshold = thresholdOf(coefficients, settings, sigma);
  const soft = settings.threshold === 'soft';
  const value = coefficients.map((coefficient, i) => {
    const over = Math.abs(coefficient) - threshold * (shares?.[i] ?? 1);
    if (!soft) return over < 0 ? 0 : coefficient;
    return over > 0 ? Math.sign(coefficient) * over : 0;
  });
  return {
    value,
    back(cotangent) {
      const gradient = new Float64Array(coefficients.length);
      let slope = 0;
      for (let i = 0; i < gradient.length; i++) {
        if (value[i] === 0) continue;
        gradient[i] = cotangent[i]!;
        // A hard threshold changes nothing where no coefficient lies on it.
        if (soft) slope -= cotangent[i]! * Math.sign(value[i]!) * (shares?.[i] ?? 1);
      }
      return { coefficients: gradient, sigma: addThreshold(coefficients, settings, sigma, threshold, slope, gradient) };
    },
  };
}

function thresholdOf(coefficients: Float64Array, { shrink, pixels }: ShrinkageSettings, sigma: number): number {
  if (shrink === 'bayes') return bayesThreshold(coefficients, sigma);
  return shrink === 'visu' ? visuThreshold(sigma, pixels) : sureThreshold(coefficients, sigma);
}

/**
 * Adds `slope` times the threshold's gradient with respect to the coefficients.
 *
 * @returns `slope` times its derivative with respect to sigma
 */
function addThreshold(
  coefficients: Float64Array,
  { shrink, pixels }: ShrinkageSettings,
  sigma: number,
  threshold: number,
  slope: number,
  gradient: Float64Array,
): number {
  if (slope === 0) return 0;
  if (shrink === 'visu') return slope * visuThreshold(1, pixels);
  if (shrink === 'bayes') {
    let energy = 0;
    for (const value of coefficients) energy += value * value;
    // T = s^2 / sqrt(w), w = mean(d^2) - s^2, at least 2^-52.
    const w = energy / coefficients.length - sigma * sigma;
    if (w <= Number.EPSILON) return (slope * 2 * sigma) / Math.sqrt(Number.EPSILON);
    const root = Math.sqrt(w);
    const turn = (slope * sigma * sigma) / (w * root * coefficients.length);
    for (let i = 0; i < gradient.length; i++) gradient[i]! -= turn * coefficients[i]!;
    return slope * ((2 * sigma) / root + sigma ** 3 / (w * root));
  }
  // Stein's threshold is 0, the magnitude of one coefficient, or the universal one.
  if (threshold === 0) return 0;
  let nearest = 0;
  const off = (i: number) => Math.abs(Math.abs(coefficients[i]!) - threshold);
  for (let i = 1; i < coefficients.length; i++) if (off(i) < off(nearest)) nearest = i;
  if (off(nearest) > 1e-12 * threshold) return (slope * threshold) / sigma;
  gradient[nearest]! += slope * Math.sign(coefficients[nearest]!);
  return 0;
}
