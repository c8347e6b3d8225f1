/** The upper quartile of the standard normal distribution: the median of |x| for x of deviation 1. */
export const NORMAL_QUARTILE = 0.6744897501960817;

/**
 * Standard deviation of white noise: the median magnitude of the finest diagonal sub-band over 0.6745 (Donoho and
 * Johnstone 1994). Exact zeros are left out, as in scikit-image: they come from flat, often clipped, areas.
 *
 * @param diagonal coefficients of the finest diagonal sub-band
 * @returns 0 where all coefficients are 0
 */
export function estimateSigma(diagonal: Float64Array): number {
  const magnitudes = diagonal
    .filter(value => value !== 0)
    .map(value => Math.abs(value))
    .sort();
  if (magnitudes.length === 0) return 0;
  const middle = magnitudes.length >>> 1;
  const median =
    magnitudes.length % 2 === 1 ? magnitudes[middle]! : (magnitudes[middle - 1]! + magnitudes[middle]!) / 2;
  return median / NORMAL_QUARTILE;
}
