/** The statistics of the evaluation: rates with intervals, comparison of two defences, size of a perturbation. */
import { invalid } from '../errors.js';

/** 97.5 % quantile of the standard normal law: two-sided 95 %. */
const Z_95 = 1.959963984540054;

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * Wilson's 95 % interval of a proportion, without continuity correction. Wilson, 'Probable Inference, the Law of
 * Succession, and Statistical Inference', JASA 22, 1927.
 *
 * @param successes 0 to n
 * @param n at least 1
 * @throws DeflectorError SETTINGS_INVALID
 */
export function wilsonInterval(successes: number, n: number): Interval {
  if (!Number.isInteger(n) || n < 1) throw invalid('n', 'an integer of at least 1', n);
  if (!Number.isInteger(successes) || successes < 0 || successes > n) {
    throw invalid('successes', `an integer from 0 to ${n}`, successes);
  }
  const share = successes / n;
  const square = Z_95 ** 2;
  const middle = share + square / (2 * n);
  const spread = Z_95 * Math.sqrt((share * (1 - share) + square / (4 * n)) / n);
  const scale = 1 + square / n;
  // At the ends the interval touches 0 or 1; rounding must not take it past them.
  return {
    low: successes === 0 ? 0 : (middle - spread) / scale,
    high: successes === n ? 1 : (middle + spread) / scale,
  };
}

/**
 * 95 % interval of a share that is no simple proportion, by the jackknife (Tukey, 'Bias and Confidence in Not-quite Large
 * Samples', 1958): its deviation follows from how far it moves as each unit is left out. Cut off at 0 and 1.
 *
 * @param share of all units
 * @param n number of units
 * @param leaving the share without one of them
 * @returns [0, 1] where there are fewer than two units
 */
export function jackknifeInterval(share: number, n: number, leaving: (unit: number) => number): Interval {
  if (n < 2) return { low: 0, high: 1 };
  const shares = Array.from({ length: n }, (_, unit) => leaving(unit));
  const middle = shares.reduce((sum, x) => sum + x, 0) / n;
  const variance = ((n - 1) / n) * shares.reduce((sum, x) => sum + (x - middle) ** 2, 0);
  const spread = Z_95 * Math.sqrt(variance);
  return { low: Math.max(0, share - spread), high: Math.min(1, share + spread) };
}

/** Class indices of one image: the truth and what the model says in three conditions. */
export interface LabelledOutcome {
  readonly label: number;
  readonly clean: number;
  readonly attacked: number;
  /** Of the attacked image, defended. */
  readonly defended: number;
}

/** What a defence does to a set of attacked images. Rates are `null` where nothing is counted. */
export interface DefenceOutcome {
  /** Images that the undefended model gets right when clean; only these count. */
  readonly correctClean: number;
  /** Of these, the ones that the attack fools. */
  readonly fooled: number;
  /** Of the fooled ones, those that the defence puts right. */
  readonly recovered: number;
  /** recovered / fooled (Kurakin et al., 'Adversarial Examples in the Physical World', 2017, as the Pixel Deflection paper, section 10.2, restates it). */
  readonly destructionRate: number | null;
  /** Share of `correctClean` that is right under attack, without and with the defence. */
  readonly undefendedAccuracy: number | null;
  readonly defendedAccuracy: number | null;
}

/** Counts the outcomes of one attack and one defence. Images that the model gets wrong when clean are left out. */
export function defenceOutcome(outcomes: Iterable<LabelledOutcome>): DefenceOutcome {
  let correctClean = 0;
  let fooled = 0;
  let recovered = 0;
  let defended = 0;
  for (const outcome of outcomes) {
    if (outcome.clean !== outcome.label) continue;
    correctClean++;
    const right = outcome.defended === outcome.label;
    if (right) defended++;
    if (outcome.attacked === outcome.label) continue;
    fooled++;
    if (right) recovered++;
  }
  const share = (count: number, of: number): number | null => (of > 0 ? count / of : null);
  return {
    correctClean,
    fooled,
    recovered,
    destructionRate: share(recovered, fooled),
    undefendedAccuracy: share(correctClean - fooled, correctClean),
    defendedAccuracy: share(defended, correctClean),
  };
}

/**
 * McNemar's exact test: whether two defences on the same images are right equally often. McNemar, 'Note on the Sampling
 * Error of the Difference Between Correlated Proportions or Percentages', Psychometrika 12, 1947; two-sided binomial.
 *
 * @param onlyFirst images that only the first gets right
 * @param onlySecond images that only the second gets right
 * @returns the p-value, in (0, 1]
 * @throws DeflectorError SETTINGS_INVALID
 */
export function mcNemarTest(onlyFirst: number, onlySecond: number): number {
  for (const count of [onlyFirst, onlySecond]) {
    if (!Number.isInteger(count) || count < 0) throw invalid('discordant images', 'an integer of at least 0', count);
  }
  const n = onlyFirst + onlySecond;
  const fewer = Math.min(onlyFirst, onlySecond);
  // In logarithms: 2^-n leaves the range of a double beyond n = 1074.
  let logTerm = -n * Math.LN2;
  let tail = 0;
  for (let k = 0; k <= fewer; k++) {
    tail += Math.exp(logTerm);
    logTerm += Math.log((n - k) / (k + 1));
  }
  return Math.min(1, 2 * tail);
}

/** How far two images are apart; values on the [0,1] scale. */
export interface ImageDistance {
  /** |x - y|_2 / |x|_2; 0 where both are black, infinite where only x is. */
  readonly l2Normalised: number;
  /** Largest difference of a value. */
  readonly linf: number;
  readonly rmse: number;
  /** Peak signal-to-noise ratio in decibels; `null` (infinite) for equal images. */
  readonly psnrDb: number | null;
}

/**
 * @param x the original, [0,1]; any layout
 * @param y the other image, same layout
 */
export function imageDistance(x: ArrayLike<number>, y: ArrayLike<number>): ImageDistance {
  if (x.length !== y.length || x.length === 0) throw invalid('second image', `${x.length} values`, y.length);
  let squares = 0;
  let norm = 0;
  let linf = 0;
  for (let i = 0; i < x.length; i++) {
    const difference = Math.abs(x[i]! - y[i]!);
    squares += difference * difference;
    norm += x[i]! * x[i]!;
    if (difference > linf) linf = difference;
  }
  const rmse = Math.sqrt(squares / x.length);
  return {
    l2Normalised: squares === 0 ? 0 : Math.sqrt(squares / norm),
    linf,
    rmse,
    psnrDb: rmse === 0 ? null : -20 * Math.log10(rmse),
  };
}

/**
 * Structural similarity, the mean over channels and over all pixels whose window lies inside the image. Wang, Bovik,
 * Sheikh, Simoncelli, 'Image Quality Assessment: From Error Visibility to Structural Similarity', IEEE Trans. Image Processing
 * 13(4), 2004, with K1 = 0.01, K2 = 0.03, data range 1.
 *
 * @param x planar [channels, height, width], [0,1]
 * @param y same layout
 * @param window `gaussian`: 11x11, deviation 1.5, as Wang et al.; `uniform`: 7x7 with the covariance's N - 1, scikit-image's default
 * @throws DeflectorError SETTINGS_INVALID where the image is smaller than the window
 */
export function structuralSimilarity(
  x: ArrayLike<number>,
  y: ArrayLike<number>,
  width: number,
  height: number,
  window: 'gaussian' | 'uniform' = 'gaussian',
): number {
  const profile = window === 'gaussian' ? gaussianWindow() : new Float64Array(7).fill(1 / 7);
  const size = profile.length;
  if (width < size || height < size) {
    throw invalid('image of SSIM', `at least ${size}x${size} pixels`, `${width}x${height}`);
  }
  const correction = window === 'uniform' ? (size * size) / (size * size - 1) : 1;
  const area = width * height;
  const c1 = 0.01 ** 2;
  const c2 = 0.03 ** 2;
  let total = 0;
  let count = 0;
  for (let from = 0; from < x.length; from += area) {
    const filtered = (value: (at: number) => number): Float64Array =>
      filterInside(
        Float64Array.from({ length: area }, (_, i) => value(from + i)),
        width,
        height,
        profile,
      );
    const meanX = filtered(at => x[at]!);
    const meanY = filtered(at => y[at]!);
    const squareX = filtered(at => x[at]! * x[at]!);
    const squareY = filtered(at => y[at]! * y[at]!);
    const product = filtered(at => x[at]! * y[at]!);
    for (let i = 0; i < meanX.length; i++) {
      const mx = meanX[i]!;
      const my = meanY[i]!;
      const varianceX = correction * (squareX[i]! - mx * mx);
      const varianceY = correction * (squareY[i]! - my * my);
      const covariance = correction * (product[i]! - mx * my);
      total += ((2 * mx * my + c1) * (2 * covariance + c2)) / ((mx * mx + my * my + c1) * (varianceX + varianceY + c2));
    }
    count += meanX.length;
  }
  return total / count;
}

function gaussianWindow(): Float64Array {
  const samples = Float64Array.from({ length: 11 }, (_, i) => Math.exp(-0.5 * ((i - 5) / 1.5) ** 2));
  const sum = samples.reduce((a, b) => a + b, 0);
  return samples.map(sample => sample / sum);
}

/** Separable filter at the places whose window lies inside: [height - size + 1, width - size + 1]. */
function filterInside(values: Float64Array, width: number, height: number, profile: Float64Array): Float64Array {
  const size = profile.length;
  const outWidth = width - size + 1;
  const outHeight = height - size + 1;
  const rows = new Float64Array(outWidth * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < outWidth; x++) {
      let sum = 0;
      for (let k = 0; k < size; k++) sum += profile[k]! * values[y * width + x + k]!;
      rows[y * outWidth + x] = sum;
    }
  }
  const out = new Float64Array(outWidth * outHeight);
  for (let y = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++) {
      let sum = 0;
      for (let k = 0; k < size; k++) sum += profile[k]! * rows[(y + k) * outWidth + x]!;
      out[y * outWidth + x] = sum;
    }
  }
  return out;
}
