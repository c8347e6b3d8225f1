import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Measurement, Outcome } from '../../src/evaluation/measurement.js';
import { type Case, cellOf, compare, median, rateOf, strengthOf } from '../../src/evaluation/rates.js';
import { mcNemarTest, wilsonInterval } from '../../src/evaluation/statistics.js';

function caseOf(label: number, attacked: number, first: number, voted: number, l2 = 0): Case {
  const measurement = {
    label,
    clean: label,
    attacked,
    l2,
    linf: 0,
    ssim: 1,
    margin: 0,
    calls: { gradients: 1, scores: 2 },
    ms: 4,
  };
  return {
    measurement: measurement as unknown as Measurement,
    outcome: { first, voted } as unknown as Outcome,
  };
}

describe('the figures of a cell', () => {
  it('count what is right, and of the fooled images those that are put right, by run 0 and by the vote', () => {
    const cell = cellOf([
      caseOf(1, 1, 1, 1),
      // The defence spoils an image that the attack did not fool.
      caseOf(1, 1, 2, 2),
      caseOf(1, 3, 1, 1),
      caseOf(1, 3, 3, 1),
      caseOf(1, 3, 3, 3),
    ]);
    assert.deepEqual(cell.undefended, { n: 5, correct: 2, rate: 0.4, ...wilsonInterval(2, 5) });
    assert.deepEqual(cell.single, { n: 5, correct: 2, rate: 0.4, ...wilsonInterval(2, 5) });
    assert.deepEqual(cell.vote, { n: 5, correct: 3, rate: 0.6, ...wilsonInterval(3, 5) });
    assert.deepEqual([cell.destroyedSingle.correct, cell.destroyedSingle.n], [1, 3]);
    assert.deepEqual([cell.destroyedVote.correct, cell.destroyedVote.n], [2, 3]);
  });

  it('are empty, not zero, where nothing is counted', () => {
    assert.deepEqual(rateOf(0, 0), { n: 0, correct: 0, rate: null, low: null, high: null });
    const cell = cellOf([caseOf(1, 1, 1, 1)]);
    assert.equal(cell.destroyedVote.rate, null);
    assert.equal(strengthOf([caseOf(1, 1, 1, 1).measurement]).l2, null);
    assert.equal(median([]), null);
  });

  it('take medians of an attack over the fooled images, and the mean of its cost over all', () => {
    const { l2, gradients } = strengthOf(
      [caseOf(1, 2, 0, 0, 0.1), caseOf(1, 2, 0, 0, 0.3), caseOf(1, 1, 0, 0, 9)].map(({ measurement }) => measurement),
    );
    assert.deepEqual([l2, gradients], [0.2, 1]);
  });

  it('compare two defences on the images that both were tried on', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean()), fc.array(fc.boolean()), (first, second) => {
        const { n, onlyFirst, onlySecond, p } = compare(first, second);
        assert.equal(n, Math.min(first.length, second.length));
        const pairs = Array.from({ length: n }, (_, i) => [first[i], second[i]] as const);
        assert.equal(onlyFirst, pairs.filter(([a, b]) => a && !b).length);
        assert.equal(onlySecond, pairs.filter(([a, b]) => b && !a).length);
        assert.equal(p, mcNemarTest(onlyFirst, onlySecond));
      }),
    );
  });
});
