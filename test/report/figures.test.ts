import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { FIGURE_LIMITS, FigureCounter } from '../../src/report/figures.js';
import type { Verdict } from '../../src/types.js';
import { SUSPICIOUS, testVerdict } from '../helpers/explanations.js';
import { testCounts, testVerdicts } from '../helpers/reports.js';

describe('figures of a run', () => {
  it('put an agreement of k in n runs into the bin of its tenth, and unanimity apart', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }).chain(n => fc.tuple(fc.integer({ min: 0, max: n }), fc.constant(n))),
        ([k, n]) => {
          const counter = new FigureCounter();
          counter.add(testVerdict('a', { agreement: k / n }));
          // Integer arithmetic is the oracle: floor(10 k / n).
          assert.equal(counter.figures(1).agreement.indexOf(1), Math.floor((10 * k) / n));
        },
      ),
    );
  });

  it('count what came, whatever its order', async () => {
    const verdicts: Verdict[] = [];
    for await (const verdict of testVerdicts(500)) verdicts.push(verdict);
    const [forward, backward] = [new FigureCounter(), new FigureCounter()];
    for (const verdict of verdicts) forward.add(verdict);
    for (const verdict of [...verdicts].reverse()) backward.add(verdict);
    assert.deepEqual(forward.figures(10), backward.figures(10));
    const { ok, suspicious, failed, agreement, labels } = forward.figures(10);
    assert.deepEqual({ ok, suspicious, failed }, testCounts(500));
    assert.equal(
      agreement.reduce((sum, count) => sum + count),
      ok,
    );
    assert.equal(
      labels.reduce((sum, { count }) => sum + count, 0),
      ok,
    );
  });

  it('remember a bounded number of labels and changes, and say what they did not tell apart', () => {
    const counter = new FigureCounter();
    const more = 1000;
    for (let index = 0; index < FIGURE_LIMITS.labelChanges + more; index++) {
      counter.add(testVerdict('a', { ...SUSPICIOUS, label: { index, id: '', name: `class ${index}` } }));
    }
    const figures = counter.figures(5);
    assert.equal(figures.distinctLabels, FIGURE_LIMITS.labels);
    assert.equal(figures.distinctLabelChanges, FIGURE_LIMITS.labelChanges);
    assert.equal(figures.labelChangesNotTracked, more);
    assert.equal(figures.labelChanges.length, 5);
    assert.equal(figures.suspicious, FIGURE_LIMITS.labelChanges + more);
  });
});
