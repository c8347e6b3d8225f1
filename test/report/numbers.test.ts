import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { printDefence } from '../../src/config/settings.js';
import { type DefenceSettings, PAPER_SETTINGS } from '../../src/defense/settings.js';
import { describeDefence } from '../../src/report/describe-defence.js';
import { duration, percent, rate } from '../../src/report/numbers.js';
import { failedCount } from '../../src/report/run-summary.js';
import { testRun } from '../helpers/reports.js';

describe('numbers for people', () => {
  it('never round a share to none or all', () => {
    assert.deepEqual([0, 0.0004, 0.8312, 0.99951, 1].map(percent), ['0 %', '<0.1 %', '83.1 %', '>99.9 %', '100 %']);
  });

  it('give a duration in the units that it deserves, carried over where it rounds up', () => {
    assert.deepEqual([0, 9940, 9960, 59_400, 59_600, 125_000, 3_599_700, 7_620_000].map(duration), [
      '0.0 s',
      '9.9 s',
      '10 s',
      '59 s',
      '1 min 00 s',
      '2 min 05 s',
      '1 h 00 min',
      '2 h 07 min',
    ]);
  });

  it('give a rate two digits, and none where there is none', () => {
    assert.deepEqual(
      [rate(5, 10_000), rate(95, 10_000), rate(12_345, 1000), rate(0, 10), rate(5, 0)],
      ['0.50', '9.5', '12,345', '–', '–'],
    );
  });

  it('add up the failed images of all codes', () => {
    assert.equal(failedCount({ ...testRun(1).counts, errors: { IMAGE_EMPTY: 2, IMAGE_CORRUPT: 3 } }), 5);
  });
});

describe('a defence in one line', () => {
  const line = (changes: Partial<DefenceSettings>) =>
    describeDefence(printDefence({ ...PAPER_SETTINGS, seed: 's', ...changes }));

  it('names what makes the difference', () => {
    assert.equal(
      line({}),
      '10 runs · 100 deflections, window 10, map rcam · db1, bayes, σ 0.04, legacy · majority vote',
    );
    assert.equal(
      line({ runs: 1, deflection: 'none', sigma: null, threshold: 'hard' }),
      '1 run · no deflection · db1, bayes, hard, σ auto, legacy · majority vote',
    );
    assert.match(line({ shrink: 'none' }), / · no shrinkage · /);
  });

  it("names an order other than the paper's, and of its own steps those that stand in it", () => {
    assert.equal(
      line({ order: ['jpeg:75', 'denoise'] }),
      '10 runs · order jpeg:75,denoise · db1, bayes, σ 0.04, legacy · majority vote',
    );
    assert.equal(line({ order: ['none'] }), '10 runs · order none · majority vote');
  });

  it('is empty for a record that holds none of it', () => {
    assert.equal(describeDefence({}), '');
    assert.equal(describeDefence({ runs: { odd: 1 }, wavelet: null }), '');
  });
});
