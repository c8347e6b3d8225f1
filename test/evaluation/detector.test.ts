import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { disagreement, pointAt, rocOf } from '../../src/evaluation/detector.js';
import type { Case } from '../../src/evaluation/rates.js';

const scores = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 30 });

describe('the detector from disagreement', () => {
  it('scores what the runs leave of the undefended label', () => {
    assert.equal(disagreement({ outcome: { probabilityAttacked: 0.25 } } as Case), 0.75);
  });

  it('has the area that counting pairs gives, ties as halves (Mann and Whitney 1947)', () => {
    // Of the six pairs the attacked one is higher in four, equal in one.
    assert.equal(rocOf([1, 3], [2, 3, 5]).auc, 4.5 / 6);
    assert.equal(rocOf([1, 2], [3, 4]).auc, 1);
    assert.equal(rocOf([1, 2], [3, 4]).interval, null);
  });

  it('has the area under its own curve, by trapezoids', () => {
    fc.assert(
      fc.property(scores, scores, (clean, attacked) => {
        const { auc, points } = rocOf(clean, attacked);
        let area = 0;
        for (const [i, { falseAlarms, detected }] of points.entries()) {
          const before = points[i - 1];
          if (before) area += ((falseAlarms - before.falseAlarms) * (detected + before.detected)) / 2;
        }
        assert.ok(Math.abs(area - auc) < 1e-9);
        assert.deepEqual([points.at(-1)!.falseAlarms, points.at(-1)!.detected], [1, 1]);
      }),
    );
  });

  it('turns around when clean and attacked change places', () => {
    fc.assert(
      fc.property(scores, scores, (clean, attacked) => {
        assert.ok(Math.abs(rocOf(clean, attacked).auc + rocOf(attacked, clean).auc - 1) < 1e-9);
      }),
    );
  });

  it('has an interval that holds the true area in 95 % of samples', () => {
    // Two normal laws 1 apart: the area is Phi(1 / sqrt 2) = 0.760250.
    let state = 7;
    const uniform = () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return (state + 0.5) / 4294967296;
    };
    const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    const trials = 600;
    let held = 0;
    for (let trial = 0; trial < trials; trial++) {
      const { interval } = rocOf(
        Array.from({ length: 50 }, normal),
        Array.from({ length: 60 }, () => normal() + 1),
      );
      if (interval !== null && interval.low <= 0.76025 && interval.high >= 0.76025) held++;
    }
    // Four standard deviations of a share of 0.95 over 600 trials: 0.036.
    assert.ok(Math.abs(held / trials - 0.95) < 0.036, `${held} of ${trials}`);
  });

  it('finds the most that is detected at a share of false alarms', () => {
    const roc = rocOf([0, 1, 2, 3], [2, 4, 4, 5]);
    assert.deepEqual(pointAt(roc, 0.3), { threshold: 3, falseAlarms: 0.25, detected: 0.75 });
    assert.equal(pointAt(roc, 0).detected, 0.75);
    assert.equal(pointAt(roc, 1).detected, 1);
  });

  it('refuses nothing to score', () => {
    assert.throws(() => rocOf([], [1]), { code: 'SETTINGS_INVALID' });
    assert.throws(() => rocOf([1], [Number.NaN]), { code: 'SETTINGS_INVALID' });
  });
});
