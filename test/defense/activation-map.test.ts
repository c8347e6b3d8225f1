import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { activationMap, topClasses } from '../../src/defense/activation-map.js';
import type { DefenceSettings } from '../../src/defense/settings.js';

const RCAM: Pick<DefenceSettings, 'map' | 'mapClasses'> = { map: 'rcam', mapClasses: 5 };

/** Two channels of 2 x 2: one fires at the upper left, one at the lower right; each class looks at one of them. */
const FEATURES = { channels: 2, height: 2, width: 2, data: Float32Array.of(1, 0, 0, 0, 0, 0, 0, 1) };
const HEAD = { classes: 2, channels: 2, weights: Float32Array.of(1, 0, 0, 1) };

describe('topClasses', () => {
  it('agrees with a stable descending sort', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 30 }),
        fc.integer({ min: 1, max: 8 }),
        (scores, k) => {
          const sorted = scores.map((_, c) => c).sort((a, b) => scores[b]! - scores[a]! || a - b);
          assert.deepEqual(topClasses(Float32Array.from(scores), k), sorted.slice(0, k));
        },
      ),
    );
  });
});

describe('activationMap', () => {
  it('rcam weighs the second class half as much as the first (equation 5) and divides by the maximum', () => {
    const map = activationMap(RCAM, FEATURES, HEAD, Float32Array.of(2, 1), 2, 2)!;
    assert.deepEqual([...map.data], [1, 0, 0, 0.5]);
  });
  it('cam looks at the top class alone', () => {
    const map = activationMap({ ...RCAM, map: 'cam' }, FEATURES, HEAD, Float32Array.of(1, 2), 2, 2)!;
    assert.deepEqual([...map.data], [0, 0, 0, 1]);
  });
  it('official stretches each class map and weighs them .5 .25 .125 .0625 .075', () => {
    const features = { channels: 5, height: 1, width: 6, data: new Float32Array(30) };
    const weights = new Float32Array(25);
    for (let k = 0; k < 5; k++) {
      features.data[k * 6 + k] = 10 * (k + 1);
      weights[k * 5 + k] = 1;
    }
    const head = { classes: 5, channels: 5, weights };
    const map = activationMap({ ...RCAM, map: 'official' }, features, head, Float32Array.of(5, 4, 3, 2, 1), 6, 1)!;
    const expected = [0.5, 0.25, 0.125, 0.0625, 0.075, 0].map(value => value / 0.5);
    assert.deepEqual([...map.data], [...Float32Array.from(expected)]);
  });
  it('uniform has no map: everything is deflected', () => {
    assert.equal(activationMap({ ...RCAM, map: 'uniform' }, FEATURES, HEAD, Float32Array.of(2, 1), 2, 2), undefined);
  });
  it('has no map where no value is positive, or none at all is a number', () => {
    for (const sign of [-1, 0, Number.NaN]) {
      const features = { ...FEATURES, data: FEATURES.data.map(value => value * sign) };
      for (const map of ['rcam', 'cam'] as const) {
        assert.equal(activationMap({ ...RCAM, map }, features, HEAD, Float32Array.of(2, 1), 2, 2), undefined);
      }
    }
    const flat = { ...FEATURES, data: FEATURES.data.map(() => 3) };
    assert.equal(
      activationMap({ ...RCAM, map: 'official' }, flat, HEAD, Float32Array.of(2, 1), 2, 2),
      undefined,
      'constant class maps cannot be stretched',
    );
  });
  it('stays in [0,1]: what lies below 0 counts as 0', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -2, max: 2, noNaN: true }), { minLength: 12, maxLength: 12 }),
        fc.constantFrom('rcam', 'cam', 'official'),
        (values, kind) => {
          const features = { channels: 2, height: 2, width: 3, data: Float32Array.from(values) };
          const settings = { ...RCAM, map: kind as DefenceSettings['map'] };
          const map = activationMap(settings, features, HEAD, Float32Array.of(1, 2), 7, 5);
          if (map === undefined) return;
          assert.equal(map.data.length, 35);
          assert.ok(map.data.every(value => value >= 0 && value <= 1));
          assert.equal(Math.max(...map.data), 1);
        },
      ),
    );
  });
});
