import type { Label, OkVerdict } from '../types.js';
import { visibleText } from './visible-text.js';

/** A bar of a chart of votes. */
export interface VoteBar {
  readonly name: string;
  /** Runs that voted for the label. */
  readonly count: number;
  /** Part of the executed runs, 0 to 1. */
  readonly share: number;
  /** `undefended`: the label of the undefended image where the vote went elsewhere. */
  readonly role: 'voted' | 'undefended' | 'other';
}

/** The name of a label for people: its name, or its id, or its index. */
export function labelName(label: Label): string {
  return visibleText(label.name || label.id) || `class ${label.index}`;
}

/**
 * At most `limit` bars: the voted label first, then by votes; the label of the undefended image is always among
 * them (if `limit` is 2 or more), with no votes too, because its absence is what a reader looks for.
 *
 * @returns the bars, and the votes for labels that were left out
 */
export function voteBars(
  verdict: OkVerdict,
  labels: readonly Label[] | undefined,
  limit: number,
): { readonly bars: readonly VoteBar[]; readonly others: number } {
  const known = new Map<number, Label>([
    [verdict.undefended.index, verdict.undefended],
    [verdict.label.index, verdict.label],
  ]);
  const bar = (index: number, count: number): VoteBar => ({
    name: labelName(known.get(index) ?? labels?.[index] ?? { index, id: '', name: '' }),
    count,
    share: verdict.runsExecuted > 0 ? count / verdict.runsExecuted : 0,
    role: index === verdict.label.index ? 'voted' : index === verdict.undefended.index ? 'undefended' : 'other',
  });
  const all = verdict.votes.map(vote => bar(vote.index, vote.count));
  for (const label of [verdict.label, verdict.undefended]) {
    if (
      !verdict.votes.some(vote => vote.index === label.index) &&
      !all.some(({ role }) => role === bar(label.index, 0).role)
    ) {
      all.push(bar(label.index, 0));
    }
  }
  const rank = { voted: 0, undefended: 1, other: 2 } as const;
  const kept = [...all].sort((a, b) => rank[a.role] - rank[b.role] || b.count - a.count).slice(0, limit);
  const bars = kept.sort((a, b) => Number(b.role === 'voted') - Number(a.role === 'voted') || b.count - a.count);
  const drawn = bars.reduce((sum, { count }) => sum + count, 0);
  return { bars, others: all.reduce((sum, { count }) => sum + count, 0) - drawn };
}
