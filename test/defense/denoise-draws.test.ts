import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { addUnshifted, drawDenoising, drawsDenoising, shiftInto } from '../../src/defense/denoise-draws.js';
import { type DefenceSettings, PAPER_SETTINGS } from '../../src/defense/settings.js';

const settings = (changes: Partial<DefenceSettings>): DefenceSettings => ({ ...PAPER_SETTINGS, seed: '', ...changes });
const numbers = (...values: number[]) => ({ uniform: () => values.shift() ?? assert.fail('one draw too many') });

describe('the draws of denoising', () => {
  it('are none under the settings of the paper', () => {
    assert.deepEqual(drawDenoising(settings({}), 224, 224, numbers()), { strength: 1, shifts: [] });
    assert.equal(drawsDenoising(settings({})), false);
  });

  it('are the strength, then column and row of each grid, of which 4 levels know 16 each way', () => {
    const drawn = drawDenoising(settings({ strength: [1, 3], spin: 2 }), 224, 224, numbers(0.25, 0, 0.99, 0.5, 0.0625));
    assert.deepEqual(drawn, {
      strength: 1.5,
      shifts: [
        { x: 0, y: 15 },
        { x: 8, y: 1 },
      ],
    });
  });

  it('keep a shift inside an image smaller than the period of its grids', () => {
    const { shifts } = drawDenoising(settings({ spin: 1, levels: 4 }), 3, 1, numbers(0.99, 0.99));
    assert.deepEqual(shifts, [{ x: 2, y: 0 }]);
  });
});

describe('a shift', () => {
  it('moves to the left and up around the edges, and back to where it was', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        fc.nat(),
        fc.nat(),
        (width, rows, a, b) => {
          const shift = { x: a % width, y: b % rows };
          const plane = Float64Array.from({ length: width * rows }, (_, i) => i);
          const moved = new Float64Array(plane.length);
          shiftInto(plane, moved, width, shift);
          for (let y = 0; y < rows; y++) {
            for (let x = 0; x < width; x++) {
              assert.equal(moved[y * width + x], ((y + shift.y) % rows) * width + ((x + shift.x) % width));
            }
          }
          const back = new Float64Array(plane.length);
          addUnshifted(moved, back, width, shift);
          assert.deepEqual(back, plane);
        },
      ),
    );
  });
});
