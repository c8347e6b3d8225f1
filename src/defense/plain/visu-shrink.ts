/**
 * VisuShrink, the universal threshold sigma sqrt(2 ln N) (Donoho and Johnstone 1994; the paper, section 7.2).
 *
 * @param sigma standard deviation of the noise
 * @param pixels N: pixels of the whole plane, for all of its sub-bands
 */
export function visuThreshold(sigma: number, pixels: number): number {
  return sigma * Math.sqrt(2 * Math.log(pixels));
}
