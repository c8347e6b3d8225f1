/** The figures of a run, gathered from its verdicts one at a time in memory that does not grow with their number. */
import type { ErrorCode } from '../errors.js';
import type { Label, OkVerdict, Verdict } from '../types.js';

/** Agreement of less than 10 %, 20 % ... 100 %, and of exactly 100 %. */
const AGREEMENT_BINS = 11;

/** A label with the number of images that were given it. */
interface LabelCount {
  readonly label: Label;
  readonly count: number;
}

/** From the label of the undefended image to the label of the vote. */
interface LabelChange {
  readonly from: Label;
  readonly to: Label;
  readonly count: number;
}

export interface RunFigures {
  readonly total: number;
  readonly ok: number;
  readonly suspicious: number;
  readonly failed: number;
  /** Most frequent first, then by code. */
  readonly errors: readonly { readonly code: ErrorCode; readonly count: number }[];
  /** Images by agreement: `AGREEMENT_BINS` counts; bin i < 10 holds [i/10, (i+1)/10), the last one exactly 1. */
  readonly agreement: readonly number[];
  /** Runs executed, and asked for, over all images that are ok. */
  readonly runsExecuted: number;
  readonly runsAsked: number;
  /** Most frequent first, then by index; at most the limit that was asked for. */
  readonly labels: readonly LabelCount[];
  readonly distinctLabels: number;
  readonly labelChanges: readonly LabelChange[];
  readonly distinctLabelChanges: number;
  /** Label changes of pairs that came after {@link FIGURE_LIMITS}.labelChanges other pairs: counted, not told apart. */
  readonly labelChangesNotTracked: number;
}

/** How much is remembered, whatever the number of verdicts. */
export const FIGURE_LIMITS = Object.freeze({
  /** Different labels told apart. */
  labels: 50_000,
  /** Different pairs (undefended label, voted label) told apart. */
  labelChanges: 50_000,
});

/** Takes verdicts in any order, and gives their figures at any time. */
export class FigureCounter {
  #ok = 0;
  #suspicious = 0;
  #failed = 0;
  #runsExecuted = 0;
  #runsAsked = 0;
  #changesNotTracked = 0;
  readonly #agreement = new Array<number>(AGREEMENT_BINS).fill(0);
  readonly #errors = new Map<ErrorCode, number>();
  readonly #labels = new Map<number, { label: Label; count: number }>();
  readonly #changes = new Map<string, { from: Label; to: Label; count: number }>();

  add(verdict: Verdict): void {
    if (verdict.status === 'error') {
      this.#failed++;
      this.#errors.set(verdict.error.code, (this.#errors.get(verdict.error.code) ?? 0) + 1);
      return;
    }
    this.#ok++;
    this.#runsExecuted += verdict.runsExecuted;
    this.#runsAsked += verdict.runs;
    this.#agreement[agreementBin(verdict.agreement)]!++;
    const seen = this.#labels.get(verdict.label.index);
    if (seen !== undefined) seen.count++;
    else if (this.#labels.size < FIGURE_LIMITS.labels) {
      this.#labels.set(verdict.label.index, { label: verdict.label, count: 1 });
    }
    if (verdict.suspicious) this.#addChange(verdict);
  }

  #addChange(verdict: OkVerdict): void {
    this.#suspicious++;
    const pair = `${verdict.undefended.index} ${verdict.label.index}`;
    const seen = this.#changes.get(pair);
    if (seen !== undefined) seen.count++;
    else if (this.#changes.size < FIGURE_LIMITS.labelChanges) {
      const { index, id, name } = verdict.undefended;
      this.#changes.set(pair, { from: { index, id, name }, to: verdict.label, count: 1 });
    } else this.#changesNotTracked++;
  }

  /** @param limit how many labels and label changes to list */
  figures(limit: number): RunFigures {
    return {
      total: this.#ok + this.#failed,
      ok: this.#ok,
      suspicious: this.#suspicious,
      failed: this.#failed,
      errors: [...this.#errors]
        .map(([code, count]) => ({ code, count }))
        .sort((a, b) => b.count - a.count || (a.code < b.code ? -1 : 1)),
      agreement: [...this.#agreement],
      runsExecuted: this.#runsExecuted,
      runsAsked: this.#runsAsked,
      labels: [...this.#labels.values()]
        .sort((a, b) => b.count - a.count || a.label.index - b.label.index)
        .slice(0, limit)
        .map(({ label, count }) => ({ label, count })),
      distinctLabels: this.#labels.size,
      labelChanges: [...this.#changes.values()]
        .sort((a, b) => b.count - a.count || a.from.index - b.from.index || a.to.index - b.to.index)
        .slice(0, limit)
        .map(({ from, to, count }) => ({ from, to, count })),
      distinctLabelChanges: this.#changes.size,
      labelChangesNotTracked: this.#changesNotTracked,
    };
  }
}

function agreementBin(agreement: number): number {
  // 0.7 is 7/10 in binary no more exactly than 0.1 is: shares of runs are compared with room for that.
  return Math.min(Math.max(Math.floor(agreement * 10 + 1e-9), 0), AGREEMENT_BINS - 1);
}
