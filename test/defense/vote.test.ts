import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { softmax } from '../../src/defense/softmax.js';
import { VoteTally } from '../../src/defense/vote.js';

type Kind = 'majority' | 'mean' | 'pool';

/** Of ten runs, with the head start of class 0. */
const voting = (vote: Kind, trust = 0) => ({ vote, trust, runs: 10 });

function tally(kind: Kind, runs: readonly (readonly number[])[], trust = 0): VoteTally {
  const votes = new VoteTally(voting(kind, trust), runs[0]!.length, 0);
  for (const run of runs) votes.add(Float64Array.from(run));
  return votes;
}

describe('majority vote', () => {
  it('gives the label with most votes', () => {
    assert.equal(
      tally(
        'majority',
        [
          [0.9, 0.1],
          [0.4, 0.6],
          [0.45, 0.55],
        ].slice(),
      ).winner(),
      1,
    );
  });
  it('breaks a tie by the higher summed probability', () => {
    assert.equal(
      tally('majority', [
        [0.6, 0.4],
        [0.1, 0.9],
      ]).winner(),
      1,
    );
  });
  it('breaks a tie of equal sums by the lower index', () => {
    assert.equal(
      tally('majority', [
        [0, 0.25, 0.75],
        [0, 0.75, 0.25],
      ]).winner(),
      1,
    );
  });
  it('of ten runs is settled by six equal votes, and by no five of the kind that a tie could still overturn', () => {
    const votes = new VoteTally(voting('majority'), 3, 0);
    for (let run = 0; run < 5; run++) {
      votes.add(Float64Array.of(0.2, 0.5, 0.3));
      assert.equal(votes.settled(9 - run), false);
    }
    votes.add(Float64Array.of(0.2, 0.5, 0.3));
    assert.equal(votes.settled(4), true);
  });
  it('is settled by a lead equal to the runs left where the sums of probability cannot be made up', () => {
    const votes = tally('majority', [
      [1, 0],
      [1, 0],
      [0.4, 0.6],
    ]);
    assert.equal(votes.settled(1), true);
  });
});

describe('mean vote', () => {
  it('gives the label with the highest mean probability, whatever most runs say', () => {
    const votes = tally('mean', [
      [0.51, 0.49],
      [0.51, 0.49],
      [0.1, 0.9],
    ]);
    assert.equal(votes.winner(), 1);
    assert.equal(votes.count(0), 2);
    assert.ok(Math.abs(votes.probability(1) - (0.49 + 0.49 + 0.9) / 3) < 1e-15);
  });
});

describe('pooled vote', () => {
  it('gives the label whose probability plus a thousandth has the highest geometric mean', () => {
    const runs = [
      [0.999, 0.001],
      [0.3, 0.7],
      [0.3, 0.7],
    ];
    // (0.001 + 0.001)(0.701)^2 = 0.00098 against (1)(0.301)^2 = 0.0906; the mean says the same, most runs do not.
    assert.equal(tally('pool', runs).winner(), 0);
    assert.equal(tally('majority', runs).winner(), 1);
  });
  it('lets no single run decide that rules out what all others find likely', () => {
    const runs = [[0, 1], ...new Array(4).fill([0.95, 0.05])];
    // log(1) + 4 log(951) = 27.4 against log(1001) + 4 log(51) = 22.6; without the floor the first would be minus infinity.
    assert.equal(tally('pool', runs).winner(), 0);
  });
});

describe('trust', () => {
  it('gives the label of the undefended image a head start for each of all runs, in the score of the vote', () => {
    const against = [
      [0.4, 0.6],
      [0.4, 0.6],
    ];
    // Of ten runs 0.2 each are the two votes that the others have; then the sums decide.
    assert.equal(tally('majority', against, 0.2).winner(), 1);
    assert.equal(tally('majority', against, 0.3).winner(), 0);
    assert.equal(tally('mean', against, 0.03).winner(), 1);
    assert.equal(tally('mean', against, 0.05).winner(), 0);
    // 2 log(601 / 401) = 0.809.
    assert.equal(tally('pool', against, 0.08).winner(), 1);
    assert.equal(tally('pool', against, 0.082).winner(), 0);
  });
  it('leaves the counts of votes as they are', () => {
    assert.deepEqual(tally('majority', [[0.4, 0.6]], 1).votes(), [{ index: 1, count: 1 }]);
  });
});

describe('VoteTally', () => {
  it('lists labels with votes, most first, then the lower index', () => {
    const votes = tally('majority', [
      [0, 0, 1],
      [0, 1, 0],
      [1, 0, 0],
      [0, 0, 1],
    ]);
    assert.deepEqual(votes.votes(), [
      { index: 2, count: 2 },
      { index: 0, count: 1 },
      { index: 1, count: 1 },
    ]);
    assert.equal(votes.runs, 4);
  });
  it('lets a run with equal probabilities vote for the lower index', () => {
    assert.equal(new VoteTally(voting('majority'), 3, 0).add(Float32Array.of(0.4, 0.4, 0.2)), 0);
  });
  it('reads a row of a batch from its offset', () => {
    assert.equal(new VoteTally(voting('majority'), 2, 0).add(Float32Array.of(1, 0, 0, 1), 2), 1);
  });
  it('once settled, never changes its winner, whatever the rest of the runs say', () => {
    const run = fc
      .array(fc.nat({ max: 4 }), { minLength: 3, maxLength: 3 })
      .map(weights => weights.map(weight => (weight + 0.01) / (weights.reduce((a, b) => a + b, 0) + 0.03)));
    fc.assert(
      fc.property(
        fc.constantFrom<Kind>('majority', 'mean', 'pool'),
        fc.constantFrom(0, 0.1, 0.3, 1.7),
        fc.array(run, { minLength: 1, maxLength: 12 }),
        (kind, trust, runs) => {
          const votes = new VoteTally(voting(kind, trust), 3, 0);
          const final = tally(kind, runs, trust).winner();
          runs.forEach((probabilities, i) => {
            votes.add(Float64Array.from(probabilities));
            if (votes.settled(runs.length - 1 - i)) assert.equal(votes.winner(), final);
          });
          assert.ok(votes.settled(0));
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('softmax', () => {
  it('gives probabilities that add to 1, for logits that would overflow too', () => {
    const values = softmax(Float32Array.of(9, 1000, 1001, 999, 9), 1, 3);
    assert.ok(Math.abs(values.reduce((a, b) => a + b) - 1) < 1e-15);
    assert.ok(Math.abs(values[0]! / values[1]! - Math.exp(-1)) < 1e-15);
  });
});
