/**
 * BayesShrink (Chang, Yu, Vetterli 2000; the paper, equation 6): T = sigma^2 / sigma_x, with sigma_x^2 the mean square of
 * the sub-band less sigma^2. As in scikit-image sigma_x^2 is at least 2^-52: a sub-band that is all noise gets a threshold
 * above all of its coefficients.
 *
 * @param coefficients of one detail sub-band
 * @param sigma standard deviation of the noise, in the coefficients' unit
 */
export function bayesThreshold(coefficients: Float64Array, sigma: number): number {
  let energy = 0;
  for (const value of coefficients) energy += value * value;
  const variance = energy / coefficients.length - sigma * sigma;
  return (sigma * sigma) / Math.sqrt(Math.max(variance, Number.EPSILON));
}
