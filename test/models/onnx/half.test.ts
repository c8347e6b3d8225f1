import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { floatToHalf, halfToFloat } from '../../../src/models/onnx/half.js';

/** IEEE 754-2008, table 3.5 and its extremes. */
const KNOWN: readonly [number, number][] = [
  [0x0000, 0],
  [0x8000, -0],
  [0x3c00, 1],
  [0xc000, -2],
  [0x3555, 0.333251953125],
  [0x0001, 2 ** -24],
  [0x03ff, 1023 * 2 ** -24],
  [0x0400, 2 ** -14],
  [0x7bff, 65504],
  [0x7c00, Number.POSITIVE_INFINITY],
  [0xfc00, Number.NEGATIVE_INFINITY],
];

describe('half precision', () => {
  for (const [half, value] of KNOWN) {
    it(`reads and writes ${Object.is(value, -0) ? '-0' : value}`, () => {
      assert.ok(Object.is(halfToFloat(half), value));
      assert.equal(floatToHalf(value), half);
    });
  }

  it('keeps every half-precision number', () => {
    for (let half = 0; half < 0x10000; half++) {
      const value = halfToFloat(half);
      if (Number.isNaN(value)) assert.ok(Number.isNaN(halfToFloat(floatToHalf(value))));
      else assert.equal(floatToHalf(value), half);
    }
  });

  it('rounds to the nearest, ties to even, and past 65519 to infinity', () => {
    assert.equal(floatToHalf(65519), 0x7bff);
    assert.equal(floatToHalf(65520), 0x7c00);
    assert.equal(floatToHalf(1 + 2 ** -11), 0x3c00);
    assert.equal(floatToHalf(1 + 3 * 2 ** -11), 0x3c02);
    assert.equal(floatToHalf(2 ** -25), 0);
    assert.equal(floatToHalf(3 * 2 ** -25), 2);
    fc.assert(
      fc.property(fc.float({ noNaN: true, min: -65504, max: 65504 }), value => {
        const half = floatToHalf(value);
        const error = Math.abs(halfToFloat(half) - value);
        for (const neighbour of [half - 1, half + 1]) {
          if ((neighbour & 0x7fff) >= 0x7c00) continue;
          assert.ok(error <= Math.abs(halfToFloat(neighbour & 0xffff) - value));
        }
      }),
    );
  });
});
