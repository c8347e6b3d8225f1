/**
 * Soft thresholding: sign(x) max(|x| - T, 0) (the paper, section 7.1).
 *
 * @param coefficients changed in place
 */
export function softThreshold(coefficients: Float64Array, threshold: number): void {
  for (let i = 0; i < coefficients.length; i++) {
    const value = coefficients[i]!;
    coefficients[i] = Math.sign(value) * Math.max(Math.abs(value) - threshold, 0);
  }
}

/**
 * Hard thresholding: what lies below T becomes 0. A coefficient of magnitude T stays, as in PyWavelets; the paper's text
 * would drop it.
 *
 * @param coefficients changed in place
 */
export function hardThreshold(coefficients: Float64Array, threshold: number): void {
  for (let i = 0; i < coefficients.length; i++) {
    if (Math.abs(coefficients[i]!) < threshold) coefficients[i] = 0;
  }
}
