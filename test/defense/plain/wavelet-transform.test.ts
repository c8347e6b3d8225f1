import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Grid } from '../../../src/defense/grid.js';
import { decompose, reconstruct } from '../../../src/defense/plain/wavelet-transform.js';
import { WAVELET_NAMES, waveletFilters } from '../../../src/defense/wavelet-filters.js';
import { assertClose } from '../../helpers/goldens.js';

const anyGrid: fc.Arbitrary<Grid> = fc
  .tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), fc.integer())
  .map(([width, height, seed]) => ({
    width,
    height,
    data: Float64Array.from({ length: width * height }, (_, i) => Math.sin(seed + i * i)),
  }));
const anyWavelet = fc.constantFrom(...WAVELET_NAMES);
const anyLevels = fc.integer({ min: 1, max: 7 });

describe('wavelet transform', () => {
  it('gives back any plane, of any size, with any wavelet and number of levels', () => {
    fc.assert(
      fc.property(anyGrid, anyWavelet, anyLevels, (plane, wavelet, levels) => {
        const filters = waveletFilters(wavelet);
        const result = reconstruct(decompose(plane, filters, levels), filters);
        assert.deepEqual([result.width, result.height], [plane.width, plane.height]);
        assertClose(result.data, plane.data, 1e-9);
      }),
    );
  });

  it('keeps the energy of a plane whose sides are divisible by 2^levels under db1', () => {
    fc.assert(
      fc.property(anyGrid, fc.integer({ min: 1, max: 3 }), ({ data }, levels) => {
        const side = 2 ** levels * 3;
        const plane = {
          width: side,
          height: side,
          data: Float64Array.from({ length: side * side }, (_, i) => data[i % data.length]!),
        };
        const { approximation, details } = decompose(plane, waveletFilters('db1'), levels);
        const bands = [approximation, ...details.flatMap(level => [level.horizontal, level.vertical, level.diagonal])];
        const energy = (values: Float64Array) => values.reduce((sum, value) => sum + value * value, 0);
        assertClose([bands.reduce((sum, band) => sum + energy(band.data), 0)], [energy(plane.data)], 1e-9);
      }),
    );
  });

  it('has no details in a constant plane', () => {
    fc.assert(
      fc.property(anyGrid, anyWavelet, anyLevels, (plane, wavelet, levels) => {
        const flat = { ...plane, data: plane.data.map(() => 0.5) };
        for (const level of decompose(flat, waveletFilters(wavelet), levels).details) {
          for (const band of [level.horizontal, level.vertical, level.diagonal]) {
            assert.ok(band.data.every(value => Math.abs(value) < 1e-8));
          }
        }
      }),
    );
  });

  it('halves 299 to 150, 75, 38, 19, 10 under db1', () => {
    const plane = { width: 299, height: 1, data: new Float64Array(299) };
    const { details } = decompose(plane, waveletFilters('db1'), 5);
    assert.deepEqual(
      details.map(level => level.diagonal.width),
      [150, 75, 38, 19, 10],
    );
  });

  it('puts vertical edges into the vertical band and horizontal ones into the horizontal band', () => {
    const across = { width: 4, height: 4, data: Float64Array.from({ length: 16 }, (_, i) => i % 2) };
    const down = { width: 4, height: 4, data: Float64Array.from({ length: 16 }, (_, i) => Math.floor(i / 4) % 2) };
    const [stripes] = decompose(across, waveletFilters('db1'), 1).details;
    assert.ok(stripes!.vertical.data.every(value => Math.abs(value) > 0.9));
    assert.ok(stripes!.horizontal.data.every(value => Math.abs(value) < 1e-12));
    const [rungs] = decompose(down, waveletFilters('db1'), 1).details;
    assert.ok(rungs!.horizontal.data.every(value => Math.abs(value) > 0.9));
    assert.ok(rungs!.vertical.data.every(value => Math.abs(value) < 1e-12));
  });
});
