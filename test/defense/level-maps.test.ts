import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { levelMaps } from '../../src/defense/level-maps.js';
import { decompose } from '../../src/defense/plain/wavelet-transform.js';
import { WAVELET_NAMES, waveletFilters } from '../../src/defense/wavelet-filters.js';

describe('the activation map at the levels of a transform', () => {
  it('is the mean over the block of a Haar coefficient', () => {
    const map = { width: 4, height: 4, data: Float32Array.from({ length: 16 }, (_, i) => i / 16) };
    const [finest, next] = levelMaps(map, waveletFilters('haar'), 2);
    // Blocks of 2 x 2 of 0 to 15, over 16: the first is (0 + 1 + 4 + 5) / 4.
    assert.deepEqual(
      [...finest!.data],
      [2.5, 4.5, 10.5, 12.5].map(value => value / 16),
    );
    assert.deepEqual([...next!.data], [7.5 / 16]);
  });

  it('has the sizes of the sub-bands, and of a constant map the constant, for every wavelet and odd sizes', () => {
    const map = { width: 37, height: 22, data: new Float32Array(37 * 22).fill(0.5) };
    for (const name of WAVELET_NAMES) {
      const filters = waveletFilters(name);
      const { details } = decompose({ ...map, data: Float64Array.from(map.data) }, filters, 3);
      for (const [level, { width, height, data }] of levelMaps(map, filters, 3).entries()) {
        assert.deepEqual([width, height], [details[level]!.diagonal.width, details[level]!.diagonal.height]);
        assert.ok(data.every(value => value === 0.5));
      }
    }
  });

  it('lies where its coefficient does: a step in the image and in the map meet, whatever the filter', () => {
    for (const name of ['haar', 'db4', 'sym8', 'coif3']) {
      const filters = waveletFilters(name);
      const width = 256;
      const row = Float32Array.from({ length: width }, (_, x) => (x < 100 ? 0 : 1));
      const [map] = levelMaps({ width, height: 1, data: row }, filters, 1);
      const half = map!.data.slice(0, map!.width).findIndex(value => value >= 0.5);
      // The first coefficient past the middle of the step, in samples: twice its index, less the filter's delay.
      assert.ok(Math.abs(2 * half + 1 - filters.length / 2 + 0.5 - 100) <= 2, `${name}: ${half}`);
    }
  });
});
