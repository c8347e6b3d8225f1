import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { defaultLevels, WAVELET_NAMES, waveletFilters } from '../../src/defense/wavelet-filters.js';
import { assertClose } from '../helpers/goldens.js';

/** The symlets stand in the common tables with about 12 digits; the others are exact. */
const digits = (name: string) => (name.startsWith('sym') ? 1e-11 : 1e-14);

/** Vanishing moments of the wavelet (Daubechies 1988 and 1993). */
function moments(name: string): number {
  if (name === 'haar') return 1;
  const order = Number(/\d+$/.exec(name)![0]);
  return name.startsWith('coif') ? 2 * order : order;
}

describe('wavelet filters', () => {
  it('holds Haar, db1 to db10, sym2 to sym8 and coif1 to coif3', () => {
    assert.equal(WAVELET_NAMES.length, 1 + 10 + 7 + 3);
  });
  for (const name of WAVELET_NAMES) {
    it(`${name} is orthonormal, sums to the square root of 2 and has ${moments(name)} vanishing moments`, () => {
      const { recLow, recHigh, decLow, decHigh, length } = waveletFilters(name);
      assert.equal(length, (name.startsWith('coif') ? 3 : 2) * moments(name));
      for (const [a, b, atZero] of [
        [recLow, recLow, 1],
        [recHigh, recHigh, 1],
        [recLow, recHigh, 0],
      ] as const) {
        for (let shift = 0; shift < length; shift += 2) {
          const product = a.subarray(shift).reduce((sum, tap, k) => sum + tap * b[k]!, 0);
          assertClose([product], [shift === 0 ? atZero : 0], digits(name));
        }
      }
      assertClose([recLow.reduce((a, b) => a + b)], [Math.SQRT2], digits(name));
      for (let power = 0; power < moments(name); power++) {
        // Distances are taken in filter lengths, so that high powers do not magnify the last digit.
        const moment = recHigh.reduce((sum, tap, k) => sum + tap * (k / length) ** power, 0);
        assertClose([moment], [0], digits(name));
      }
      assert.deepEqual(decLow, recLow.toReversed());
      assert.deepEqual(decHigh, recHigh.toReversed());
    });
  }
  it('refuses an unknown name, one of an object property too', () => {
    for (const name of ['db11', 'bior2.2', '', 'toString']) {
      assert.throws(() => waveletFilters(name), { message: /^Expected one of haar, db1.* for wavelet but received "/ });
    }
  });
  it('takes 4 levels for 224 pixels and 5 for 299 under db1, and 1 for a single pixel', () => {
    assert.equal(defaultLevels(224, 224, 2), 4);
    assert.equal(defaultLevels(500, 299, 2), 5);
    assert.equal(defaultLevels(1, 1, 2), 1);
  });
});
