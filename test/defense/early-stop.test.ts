import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { nextRuns, runsNeeded } from '../../src/defense/early-stop.js';
import { VoteTally } from '../../src/defense/vote.js';

/** Probabilities of the runs of one image: few classes, so that ties and changes of the lead are common. */
const runs = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 15 })).chain(([classes, count]) =>
  fc.array(
    fc.array(fc.integer({ min: 1, max: 5 }), { minLength: classes, maxLength: classes }).map(weights => {
      const sum = weights.reduce((a, b) => a + b, 0);
      return Float64Array.from(weights, weight => weight / sum);
    }),
    { minLength: count, maxLength: count },
  ),
);

type Kind = 'majority' | 'mean' | 'pool';

const voting = (vote: Kind, runs: number, trust = 0) => ({ vote, trust, runs });

function vote(kind: Kind, trust: number, votes: readonly Float64Array[]): VoteTally {
  const tally = new VoteTally(voting(kind, votes.length, trust), votes[0]!.length, 0);
  for (const probabilities of votes) tally.add(probabilities);
  return tally;
}

describe('a vote that stops early and exactly', () => {
  for (const kind of ['majority', 'mean', 'pool'] as const) {
    it(`gives the label of all runs (${kind})`, () => {
      fc.assert(
        fc.property(runs, fc.constantFrom(0, 0.1, 0.25, 1.3), (all, trust) => {
          const tally = new VoteTally(voting(kind, all.length, trust), all[0]!.length, 0);
          for (let more = -1; more !== 0; ) {
            more = nextRuns(tally, all.length, { kind: 'exact' }, undefined);
            for (let i = 0; i < more; i++) tally.add(all[tally.runs]!);
          }
          assert.equal(tally.winner(), vote(kind, trust, all).winner());
        }),
        { numRuns: 2000 },
      );
    });
  }

  it('asks only for runs that are needed whatever they say', () => {
    fc.assert(
      fc.property(runs, all => {
        const tally = new VoteTally(voting('majority', all.length), all[0]!.length, 0);
        while (tally.runs < all.length) {
          const needed = runsNeeded(tally, all.length);
          if (needed === 0) break;
          for (let i = 0; i < needed; i++) {
            // Summed probabilities may settle a tie one run sooner; that is seen when the runs asked for are in.
            assert.ok(tally.lead() <= all.length - tally.runs, 'a run was asked for that no vote depends on');
            tally.add(all[tally.runs]!);
          }
        }
      }),
    );
  });

  it('is settled by six equal votes of ten', () => {
    const tally = new VoteTally(voting('majority', 10), 3, 0);
    assert.equal(runsNeeded(tally, 10), 6);
    for (let i = 0; i < 6; i++) tally.add(Float64Array.of(0.1, 0.8, 0.1));
    assert.equal(runsNeeded(tally, 10), 0);
  });

  it('executes all runs when it is switched off', () => {
    const tally = new VoteTally(voting('majority', 10), 2, 0);
    for (let i = 0; i < 9; i++) tally.add(Float64Array.of(0.9, 0.1));
    assert.equal(nextRuns(tally, 10, { kind: 'off' }, undefined), 1);
  });
});
