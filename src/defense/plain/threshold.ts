/** T of each coefficient. */
const thresholdAt = (threshold: number, shares: Float64Array | undefined, i: number): number =>
  shares === undefined ? threshold : threshold * shares[i]!;

/**
 * Soft thresholding: sign(x) max(|x| - T, 0) (the paper, section 7.1).
 *
 * @param coefficients changed in place
 * @param shares where given, the share of the threshold that holds for each coefficient
 */
export function softThreshold(coefficients: Float64Array, threshold: number, shares?: Float64Array): void {
  for (let i = 0; i < coefficients.length; i++) {
    const value = coefficients[i]!;
    coefficients[i] = Math.sign(value) * Math.max(Math.abs(value) - thresholdAt(threshold, shares, i), 0);
  }
}

/**
 * Hard thresholding: what lies below T becomes 0. A coefficient of magnitude T stays, as in PyWavelets; the paper's text
 * would drop it.
 *
 * @param coefficients changed in place
 * @param shares as above
 */
export function hardThreshold(coefficients: Float64Array, threshold: number, shares?: Float64Array): void {
  for (let i = 0; i < coefficients.length; i++) {
    if (Math.abs(coefficients[i]!) < thresholdAt(threshold, shares, i)) coefficients[i] = 0;
  }
}
