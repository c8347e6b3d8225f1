/** Rates with their intervals, and what a defence's outcomes come to. */
import type { Measurement, Outcome } from './measurement.js';
import { defenceOutcome, mcNemarTest, wilsonInterval } from './statistics.js';

/** A proportion. Field order is the order of the printed JSON. */
export interface Rate {
  readonly n: number;
  readonly correct: number;
  /** correct / n; `null` where nothing is counted, and then so is the interval. */
  readonly rate: number | null;
  /** Wilson's 95 % interval. */
  readonly low: number | null;
  readonly high: number | null;
}

export function rateOf(correct: number, n: number): Rate {
  if (n === 0) return { n, correct, rate: null, low: null, high: null };
  const { low, high } = wilsonInterval(correct, n);
  return { n, correct, rate: correct / n, low, high };
}

/** One defence on a set of images under one attack. */
export interface Cell {
  /** Right under attack without a defence, and with it: by run 0 alone, and by the vote. */
  readonly undefended: Rate;
  readonly single: Rate;
  readonly vote: Rate;
  /** Of the images that the attack fools, those that are put right. */
  readonly destroyedSingle: Rate;
  readonly destroyedVote: Rate;
}

/** An image with what a defence made of it. */
export interface Case {
  readonly measurement: Measurement;
  readonly outcome: Outcome;
}

export function cellOf(cases: readonly Case[]): Cell {
  const counted = (defended: (outcome: Outcome) => number) =>
    defenceOutcome(
      cases.map(({ measurement: { label, clean, attacked }, outcome }) => ({
        label,
        clean,
        attacked,
        defended: defended(outcome),
      })),
    );
  const single = counted(outcome => outcome.first);
  const vote = counted(outcome => outcome.voted);
  const n = vote.correctClean;
  const right = (of: (outcome: Outcome) => number) =>
    cases.filter(({ measurement, outcome }) => of(outcome) === measurement.label).length;
  return {
    undefended: rateOf(n - vote.fooled, n),
    single: rateOf(
      right(outcome => outcome.first),
      n,
    ),
    vote: rateOf(
      right(outcome => outcome.voted),
      n,
    ),
    destroyedSingle: rateOf(single.recovered, single.fooled),
    destroyedVote: rateOf(vote.recovered, vote.fooled),
  };
}

/** Two defences on the same images, by their votes. */
export interface Comparison {
  /** Images that both were tried on. */
  readonly n: number;
  readonly onlyFirst: number;
  readonly onlySecond: number;
  /** Of McNemar's exact test. */
  readonly p: number;
}

/** @param first right or wrong, image by image; `second` likewise; the longer one is cut */
export function compare(first: readonly boolean[], second: readonly boolean[]): Comparison {
  const n = Math.min(first.length, second.length);
  let [onlyFirst, onlySecond] = [0, 0];
  for (let i = 0; i < n; i++) {
    if (first[i] && !second[i]) onlyFirst++;
    if (second[i] && !first[i]) onlySecond++;
  }
  return { n, onlyFirst, onlySecond, p: mcNemarTest(onlyFirst, onlySecond) };
}

/** Whether the vote was right. */
export function isRight({ measurement, outcome }: Case): boolean {
  return outcome.voted === measurement.label;
}

/** Figures over the images that an attack fooled. `null` where there is none. */
export interface Strength {
  readonly l2: number | null;
  readonly linf: number | null;
  readonly ssim: number | null;
  readonly margin: number | null;
  /** Mean over all images. */
  readonly gradients: number | null;
}

export function strengthOf(measurements: readonly Measurement[]): Strength {
  const fooled = measurements.filter(({ attacked, label }) => attacked !== label);
  const middle = (of: (m: Measurement) => number) => median(fooled.map(of));
  const gradients = measurements.reduce((sum, { calls }) => sum + calls.gradients, 0);
  return {
    l2: middle(m => m.l2),
    linf: middle(m => m.linf),
    ssim: middle(m => m.ssim),
    margin: middle(m => m.margin),
    gradients: measurements.length === 0 ? null : gradients / measurements.length,
  };
}

export function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  if (sorted.length === 0) return null;
  return sorted.length % 2 === 1 ? sorted[Math.floor(half)]! : (sorted[half - 1]! + sorted[half]!) / 2;
}
