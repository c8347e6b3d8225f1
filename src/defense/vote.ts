/** The vote of an image over its runs (the paper, section 10: the label that most of ten runs give). */
import type { VoteCount } from '../types.js';
import type { DefenceSettings } from './settings.js';

/**
 * What is kept between two sums of probabilities before the difference counts as certain: far above the rounding of a
 * sum of 1000 numbers, far below any difference that matters.
 */
const ROUNDING = 1e-9;

/**
 * Probability that is added before a logarithm is taken: a run that all but rules a label out counts against it by
 * log(1 + 1/floor) = 6.9 at most.
 */
const POOL_FLOOR = 1e-3;

/** What a label gets for its probability in one run under `pool`: from 0 to `MOST_OF_POOL`. */
export function poolScore(probability: number): number {
  return Math.log1p(probability / POOL_FLOOR);
}

const MOST_OF_POOL = poolScore(1);

/** Head starts are multiples of this: sums with counts are then exact. */
const GRAIN = 2 ** -20;

/** The settings that a vote reads. */
export type VoteSettings = Pick<DefenceSettings, 'vote' | 'trust' | 'runs'>;

/** What the undefended image's label has in advance of all runs together. */
export function headStart({ trust, runs }: VoteSettings): number {
  return Math.round((trust * runs) / GRAIN) * GRAIN;
}

/**
 * Counts the runs of one image as they come in. The label with the highest score wins:
 *
 * - `majority`: the number of runs that voted for it; ties go to the higher summed probability;
 * - `mean`: the sum over the runs of its probability p;
 * - `pool`: the sum of log(1 + 1000 p), a logarithmic opinion pool (Genest, Zidek, 'Combining Probability Distributions', 1986)
 *   with a floor: one run that is sure of a label outvotes no run that rules it out.
 *
 * Ties that are left go to the lower index. The undefended image's label begins with `trust` for each of all runs.
 */
export class VoteTally {
  readonly #kind: DefenceSettings['vote'];
  readonly #undefended: number;
  readonly #counts: Uint32Array;
  readonly #sums: Float64Array;
  readonly #scores: Float64Array;
  /** The most that one run can add to a score. */
  readonly #most: number;
  readonly #headStart: number;
  #runs = 0;

  /**
   * @param classes number of classes of the model, at least 1
   * @param undefended the undefended image's label
   */
  constructor(settings: VoteSettings, classes: number, undefended: number) {
    this.#kind = settings.vote;
    this.#undefended = undefended;
    this.#counts = new Uint32Array(classes);
    this.#sums = new Float64Array(classes);
    this.#scores = settings.vote === 'mean' ? this.#sums : new Float64Array(classes);
    this.#most = settings.vote === 'pool' ? MOST_OF_POOL : 1;
    this.#headStart = headStart(settings);
  }

  /** Runs counted so far. */
  get runs(): number {
    return this.#runs;
  }

  /**
   * Counts one run.
   *
   * @param probabilities one for each class, from `offset`
   * @returns the label that the run votes for: the highest probability, the lower index where two are equal
   */
  add(probabilities: Float32Array | Float64Array, offset = 0): number {
    const sums = this.#sums;
    let label = 0;
    for (let c = 0; c < sums.length; c++) {
      const probability = probabilities[offset + c]!;
      sums[c]! += probability;
      if (probability > probabilities[offset + label]!) label = c;
    }
    if (this.#kind === 'pool') {
      for (let c = 0; c < sums.length; c++) this.#scores[c]! += poolScore(probabilities[offset + c]!);
    } else if (this.#kind === 'majority') {
      this.#scores[label]!++;
    }
    this.#counts[label]!++;
    this.#runs++;
    return label;
  }

  /** The label that leads by the rules above; before the first run the undefended one where it has a head start, else 0. */
  winner(): number {
    let best = 0;
    for (let c = 1; c < this.#counts.length; c++) if (this.#beats(c, best)) best = c;
    return best;
  }

  #beats(a: number, b: number): boolean {
    const lead = this.#score(a) - this.#score(b);
    return lead !== 0 ? lead > 0 : this.#kind === 'majority' && this.#sums[a]! > this.#sums[b]!;
  }

  #score(label: number): number {
    return label === this.#undefended ? this.#scores[label]! + this.#headStart : this.#scores[label]!;
  }

  /**
   * Whether no outcome of `remaining` further runs can change the winner.
   *
   * A further run adds to a score from 0 to the most that it can, and moves the difference of two sums by at most 1.
   */
  settled(remaining: number): boolean {
    if (remaining === 0) return true;
    const winner = this.winner();
    const reach = remaining * this.#most;
    for (let c = 0; c < this.#counts.length; c++) {
      if (c === winner) continue;
      const lead = this.#score(winner) - this.#score(c);
      // Votes are counted exactly, sums of probabilities and logarithms are not.
      if (lead > (this.#kind === 'majority' ? reach : reach + ROUNDING)) continue;
      // With a lead that the rest can just make up, the sums decide between equal counts.
      const sums = this.#sums[winner]! - this.#sums[c]!;
      if (this.#kind === 'majority' && lead === reach && sums > remaining + ROUNDING) continue;
      return false;
    }
    return true;
  }

  /** How far the winner leads the next label, in the most that one run can add to a score. A further run moves it by at most 1. */
  lead(): number {
    const winner = this.winner();
    let next = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < this.#counts.length; c++) if (c !== winner) next = Math.max(next, this.#score(c));
    // With a single class there is no other.
    return (this.#score(winner) - Math.max(next, 0)) / this.#most;
  }

  /** Runs that voted for `label`. */
  count(label: number): number {
    return this.#counts[label]!;
  }

  /** Mean over the runs of the probability of `label`; 0 before the first run. */
  probability(label: number): number {
    return this.#runs === 0 ? 0 : this.#sums[label]! / this.#runs;
  }

  /** Labels with votes: most votes first, then the lower index. */
  votes(): VoteCount[] {
    const votes: VoteCount[] = [];
    this.#counts.forEach((count, index) => {
      if (count > 0) votes.push({ index, count });
    });
    return votes.sort((a, b) => b.count - a.count || a.index - b.index);
  }
}
