/**
 * SureShrink: the threshold that minimises Stein's unbiased estimate of the risk, with the hybrid rule of Donoho and
 * Johnstone, "Adapting to unknown smoothness via wavelet shrinkage", JASA 1995.
 *
 * With y = x / sigma and d coefficients, a sub-band is sparse where mean(y^2 - 1) <= log2(d)^1.5 / sqrt(d): it gets the
 * universal threshold sqrt(2 ln d). Any other gets the t among 0 and the |y| up to the universal threshold that minimises
 * SURE(t) = d - 2 #{|y| <= t} + sum min(|y|, t)^2, the first where several do.
 *
 * @param coefficients of one detail sub-band
 * @param sigma standard deviation of the noise, in the coefficients' unit
 */
export function sureThreshold(coefficients: Float64Array, sigma: number): number {
  if (sigma === 0) return 0;
  const d = coefficients.length;
  const magnitudes = coefficients
    .map(value => Math.abs(value))
    .sort()
    .map(value => value / sigma);
  const universal = Math.sqrt(2 * Math.log(d));
  let excess = 0;
  for (const y of magnitudes) excess += y * y - 1;
  if (excess / d <= Math.log2(d) ** 1.5 / Math.sqrt(d)) return universal * sigma;

  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  let below = 0;
  let count = 0;
  for (let t = 0; t <= universal; t = magnitudes[count]!) {
    for (; count < d && magnitudes[count]! <= t; count++) below += magnitudes[count]! ** 2;
    const risk = d - 2 * count + below + (d - count) * t * t;
    if (risk < least) {
      least = risk;
      best = t;
    }
    if (count === d) break;
  }
  return best * sigma;
}
