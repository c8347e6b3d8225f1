/**
 * When the vote of an image may end early, and how many runs to execute next.
 *
 * Runs are executed in their order, and how many is a function of the image's own runs alone, so that batching, threads
 * and workers cannot change a verdict.
 */
import type { EarlyStop } from './settings.js';
import type { VoteTally } from './vote.js';
import type { VoteRisk } from './vote-risk.js';

/**
 * The fewest further runs that can settle the vote by its counts, when all of them vote for the leader: none of them can be
 * left out, so they may be executed together. Six of ten at the beginning; none once the vote is settled.
 *
 * @param runs all runs of the image
 */
export function runsNeeded(tally: VoteTally, runs: number): number {
  const remaining = runs - tally.runs;
  if (tally.settled(remaining)) return 0;
  // After x runs for the leader its lead has grown by x and remaining - x are left: x > (remaining - lead) / 2.
  const fewest = Math.floor((remaining - tally.lead()) / 2) + 1;
  return Math.min(Math.max(fewest, 1), remaining);
}

/**
 * Runs to execute next; 0 when the vote may end.
 *
 * @param runs all runs of the image
 * @param risk the evidence that `earlyStop.kind` `risk` is decided by; it holds the runs that `tally` holds
 */
export function nextRuns(tally: VoteTally, runs: number, earlyStop: EarlyStop, risk: VoteRisk | undefined): number {
  const remaining = runs - tally.runs;
  if (earlyStop.kind === 'off') return remaining;
  const needed = runsNeeded(tally, runs);
  if (earlyStop.kind === 'exact' || risk === undefined || needed === 0) return needed;
  const leader = tally.winner();
  return risk.of(leader, tally.count(leader)) <= earlyStop.probability ? 0 : 1;
}
