/** The vote of an image over its runs (the paper, section 10: the label that most of ten runs give). */
import type { VoteCount } from '../types.js';
import type { DefenceSettings } from './settings.js';

/**
 * What is kept between two sums of probabilities before the difference counts as certain: far above the rounding of a
 * sum of 1000 numbers, far below any difference that matters.
 */
const ROUNDING = 1e-9;

/**
 * Counts the runs of one image as they come in.
 *
 * `majority`: the label with most votes; ties go to the higher summed probability, then to the lower index.
 * `mean`: the label with the highest summed probability; ties go to the lower index.
 */
export class VoteTally {
  readonly #kind: DefenceSettings['vote'];
  readonly #counts: Uint32Array;
  readonly #sums: Float64Array;
  #runs = 0;

  /** @param classes number of classes of the model, at least 1 */
  constructor(kind: DefenceSettings['vote'], classes: number) {
    this.#kind = kind;
    this.#counts = new Uint32Array(classes);
    this.#sums = new Float64Array(classes);
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
    this.#counts[label]!++;
    this.#runs++;
    return label;
  }

  /** The label that leads by the rules above; 0 before the first run. */
  winner(): number {
    let best = 0;
    for (let c = 1; c < this.#counts.length; c++) if (this.#beats(c, best)) best = c;
    return best;
  }

  #beats(a: number, b: number): boolean {
    const lead = this.#kind === 'majority' ? this.#counts[a]! - this.#counts[b]! : 0;
    return lead !== 0 ? lead > 0 : this.#sums[a]! > this.#sums[b]!;
  }

  /**
   * Whether no outcome of `remaining` further runs can change the winner.
   *
   * A further run moves the difference of two counts, and of two sums of probabilities, by at most 1.
   */
  settled(remaining: number): boolean {
    if (remaining === 0) return true;
    const winner = this.winner();
    for (let c = 0; c < this.#counts.length; c++) {
      if (c === winner) continue;
      const lead = this.#kind === 'majority' ? this.#counts[winner]! - this.#counts[c]! : remaining;
      if (lead > remaining) continue;
      // With a lead that the rest can just make up, the sums decide between equal counts.
      if (lead === remaining && this.#sums[winner]! - this.#sums[c]! > remaining + ROUNDING) continue;
      return false;
    }
    return true;
  }

  /** How far the winner leads the next label: in votes (`majority`), or in summed probability (`mean`). A further run moves it by at most 1. */
  lead(): number {
    const winner = this.winner();
    const values: ArrayLike<number> = this.#kind === 'majority' ? this.#counts : this.#sums;
    let next = 0;
    for (let c = 0; c < values.length; c++) if (c !== winner) next = Math.max(next, values[c]!);
    return values[winner]! - next;
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
