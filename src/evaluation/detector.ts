/**
 * The detector that every verdict has in it: how far the runs disagree with the undefended image. An attacked image's label
 * does not survive its defence; a clean image's mostly does.
 */
import { invalid } from '../errors.js';
import type { Case } from './rates.js';
import type { Interval } from './statistics.js';

/**
 * How much speaks against the undefended label: 1 less its mean probability over the runs.
 *
 * @returns in [0, 1]; higher means attacked
 */
export function disagreement({ outcome }: Case): number {
  return 1 - outcome.probabilityAttacked;
}

/** One threshold of a detector: what scores at least that much is called attacked. */
export interface OperatingPoint {
  readonly threshold: number;
  /** Share of the clean images that are called attacked. */
  readonly falseAlarms: number;
  /** Share of the attacked images that are called attacked. */
  readonly detected: number;
}

/** A receiver operating characteristic. */
export interface Roc {
  readonly clean: number;
  readonly attacked: number;
  /** Probability that an attacked image scores higher than a clean one, ties as a half: the area under the curve. */
  readonly auc: number;
  /** 95 %; `null` where the sample separates them wholly, or not at all, and so says nothing of its own scatter. */
  readonly interval: Interval | null;
  /** From the highest threshold to the lowest: each score that occurs, and before them a threshold above all. */
  readonly points: readonly OperatingPoint[];
}

/** A characteristic in short. */
export interface DetectorSummary extends Omit<Roc, 'points'> {
  /** At most 1, 5 and 10 % of false alarms. */
  readonly at: readonly OperatingPoint[];
}

/**
 * What the disagreement of the runs tells apart: clean images that the model gets right, and attacked ones that fool it.
 *
 * @returns `undefined` where there is none of one kind
 */
export function detectorOf(clean: readonly Case[], attacked: readonly Case[]): DetectorSummary | undefined {
  const scores = [
    clean.filter(({ measurement: { label, attacked: undefended } }) => undefended === label),
    attacked.filter(({ measurement: { label, attacked: undefended } }) => undefended !== label),
  ].map(cases => cases.map(disagreement));
  if (scores.some(({ length }) => length === 0)) return undefined;
  const roc = rocOf(scores[0]!, scores[1]!);
  const { points: _, ...rest } = roc;
  return { ...rest, at: [0.01, 0.05, 0.1].map(falseAlarms => pointAt(roc, falseAlarms)) };
}

/** 97.5 % quantile of the standard normal law. */
const Z_95 = 1.959963984540054;

/**
 * The characteristic of scores. Variance of the area: DeLong, DeLong, Clarke-Pearson, 'Comparing the Areas under Two or More
 * Correlated Receiver Operating Characteristic Curves', Biometrics 44, 1988; its interval is taken on the logit scale, which
 * keeps it inside (0, 1).
 *
 * @param clean scores of clean images, at least one
 * @param attacked scores of attacked images, at least one
 * @throws DeflectorError SETTINGS_INVALID
 */
export function rocOf(clean: readonly number[], attacked: readonly number[]): Roc {
  for (const [what, scores] of Object.entries({ clean, attacked })) {
    if (scores.length === 0) throw invalid(`${what} scores`, 'at least one', scores.length);
    if (scores.some(score => Number.isNaN(score))) throw invalid(`${what} scores`, 'numbers', Number.NaN);
  }
  const above = attacked.map(score => shareBelow(clean, score));
  const below = clean.map(score => 1 - shareBelow(attacked, score));
  const auc = mean(above);
  const deviation = Math.sqrt(variance(above) / attacked.length + variance(below) / clean.length);
  return {
    clean: clean.length,
    attacked: attacked.length,
    auc,
    interval: deviation === 0 ? null : logitInterval(auc, deviation),
    points: pointsOf(clean, attacked),
  };
}

/** The point that detects most among those with at most this share of false alarms. */
export function pointAt({ points }: Roc, falseAlarms: number): OperatingPoint {
  // Detection only grows as the threshold falls; the first point has no false alarms.
  return points.findLast(point => point.falseAlarms <= falseAlarms) ?? points[0]!;
}

/** Share of the scores that lie below, equal ones as halves. */
function shareBelow(scores: readonly number[], score: number): number {
  let count = 0;
  for (const other of scores) count += other < score ? 1 : other === score ? 0.5 : 0;
  return count / scores.length;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Of a sample; 0 of a single value. */
function variance(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const middle = mean(values);
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1);
}

function logitInterval(auc: number, deviation: number): Interval {
  const logit = Math.log(auc / (1 - auc));
  const spread = (Z_95 * deviation) / (auc * (1 - auc));
  const inverse = (x: number) => 1 / (1 + Math.exp(-x));
  return { low: inverse(logit - spread), high: inverse(logit + spread) };
}

function pointsOf(clean: readonly number[], attacked: readonly number[]): OperatingPoint[] {
  const thresholds = [...new Set([...clean, ...attacked])].sort((a, b) => b - a);
  const share = (scores: readonly number[], threshold: number) =>
    scores.filter(score => score >= threshold).length / scores.length;
  return [Number.POSITIVE_INFINITY, ...thresholds].map(threshold => ({
    threshold,
    falseAlarms: share(clean, threshold),
    detected: share(attacked, threshold),
  }));
}
