/** The statistics against SciPy, statsmodels and scikit-image (test/goldens/scripts/gen_metrics.py), and against counting. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { DeflectorError } from '../../src/errors.js';
import {
  defenceOutcome,
  imageDistance,
  type LabelledOutcome,
  mcNemarTest,
  structuralSimilarity,
  wilsonInterval,
} from '../../src/evaluation/statistics.js';
import { GOLDENS, type GoldenCase, goldenArray, goldenValues } from '../helpers/goldens.js';

function near(actual: number, expected: number, tolerance: Readonly<Record<string, unknown>>): void {
  const bound = 'rel' in tolerance ? (tolerance.rel as number) * Math.abs(expected) : (tolerance.abs as number);
  assert.ok(Math.abs(actual - expected) <= bound, `${actual} for ${expected}`);
}

function planar(path: string): { data: Float64Array; width: number; height: number } {
  const { shape, data } = goldenValues(path);
  const [height, width] = shape as [number, number, number];
  const area = width * height;
  return { data: data.map((_, i) => data[(i % area) * 3 + Math.floor(i / area)]!), width, height };
}

const CHECKS: Readonly<Record<string, (golden: GoldenCase) => void>> = {
  input: golden => assert.deepEqual(goldenArray(golden.output!).shape, golden.shape),
  wilson_interval: golden => {
    for (const row of golden.expected as { successes: number; n: number; low: number; high: number }[]) {
      const { low, high } = wilsonInterval(row.successes, row.n);
      near(low, row.low, golden.tolerance);
      near(high, row.high, golden.tolerance);
    }
  },
  destruction_rate: golden => {
    const { table } = golden as unknown as { table: LabelledOutcome[] };
    const expected = golden.expected as Record<string, number | null>;
    const actual = defenceOutcome(table);
    assert.equal(actual.fooled, expected.fooled);
    assert.equal(actual.recovered, expected.recovered);
    assert.equal(actual.correctClean, expected.correct_clean);
    for (const [ours, theirs] of [
      [actual.destructionRate, expected.destruction_rate],
      [actual.undefendedAccuracy, expected.no_defense_accuracy],
      [actual.defendedAccuracy, expected.with_defense_accuracy],
    ] as const) {
      if (theirs === null || theirs === undefined || ours === null) assert.equal(ours, theirs);
      else near(ours, theirs, golden.tolerance);
    }
  },
  image_metrics: golden => {
    const [x, y] = (golden.input as readonly [string, string]).map(planar) as [
      ReturnType<typeof planar>,
      ReturnType<typeof planar>,
    ];
    const expected = golden.expected as Record<string, number | null>;
    const distance = imageDistance(x.data, y.data);
    near(distance.l2Normalised, expected.l2_normalised!, golden.tolerance);
    near(distance.linf, expected.linf!, golden.tolerance);
    near(distance.rmse, expected.rmse!, golden.tolerance);
    if (expected.psnr_db === null) assert.equal(distance.psnrDb, null);
    else near(distance.psnrDb!, expected.psnr_db!, golden.tolerance);
    const { width, height } = x;
    near(structuralSimilarity(x.data, y.data, width, height), expected.ssim_gaussian!, golden.tolerance);
    near(structuralSimilarity(x.data, y.data, width, height, 'uniform'), expected.ssim_uniform7!, golden.tolerance);
  },
};

describe('goldens of metrics', () => {
  let executed = 0;
  for (const golden of GOLDENS.cases.filter(golden => golden.group === 'metrics')) {
    it(golden.name, () => {
      const check = CHECKS[golden.operation];
      assert.ok(check !== undefined, `no check for ${golden.operation}`);
      check(golden);
      executed++;
    });
  }
  after(() => assert.equal(executed, GOLDENS.counts.metrics));
});

describe("McNemar's exact test", () => {
  it('is the two-sided binomial test of the discordant images (counted over all 2^n outcomes)', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 12 }), (first, second) => {
        const n = first + second;
        let extreme = 0;
        for (let outcome = 0; outcome < 2 ** Math.min(n, 14); outcome++) {
          const ones = outcome.toString(2).replaceAll('0', '').length;
          if (Math.abs(2 * ones - n) >= Math.abs(first - second)) extreme++;
        }
        if (n <= 14) assert.ok(Math.abs(mcNemarTest(first, second) - extreme / 2 ** n) < 1e-12);
        assert.equal(mcNemarTest(first, second), mcNemarTest(second, first));
      }),
    );
  });

  it('holds for counts whose probability of a single outcome leaves the range of a double', () => {
    // Normal approximation with continuity correction: z = (|1000 - 1100| - 1) / sqrt(2100) = 2.1604, p = 0.03074.
    assert.ok(Math.abs(mcNemarTest(1000, 1100) - 0.03074) < 1e-4);
  });

  it('sees no difference where the defences disagree equally often', () => {
    assert.equal(mcNemarTest(7, 7), 1);
    assert.equal(mcNemarTest(0, 0), 1);
  });
});

describe('statistics refuse what has no meaning', () => {
  const refuses = (act: () => unknown, message: string): void =>
    assert.throws(act, (error: unknown) => error instanceof DeflectorError && error.message === message);

  it('by one grammar', () => {
    refuses(() => wilsonInterval(1, 0), 'Expected an integer of at least 1 for n but received 0');
    refuses(() => wilsonInterval(4, 3), 'Expected an integer from 0 to 3 for successes but received 4');
    refuses(() => mcNemarTest(-1, 2), 'Expected an integer of at least 0 for discordant images but received -1');
    refuses(() => imageDistance([1, 2], [1]), 'Expected 2 values for second image but received 1');
    refuses(
      () => structuralSimilarity(new Float32Array(12), new Float32Array(12), 2, 2),
      'Expected at least 11x11 pixels for image of SSIM but received "2x2"',
    );
  });
});

describe('the Wilson interval', () => {
  it('contains the share and narrows as images are added', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.double({ min: 0, max: 1, noNaN: true }), (n, share) => {
        const successes = Math.round(share * n);
        const few = wilsonInterval(successes, n);
        const many = wilsonInterval(successes * 4, n * 4);
        assert.ok(few.low >= 0 && few.low <= successes / n && successes / n <= few.high && few.high <= 1);
        assert.ok(many.high - many.low < few.high - few.low);
      }),
    );
  });
});
