import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DeflectorError } from '../../src/errors.js';
import { decodeNpyImage } from '../../src/images/npy.js';
import { encodeNpy } from '../../src/images/write.js';

/** A .npy file of version 1.0 as NumPy writes it. */
function npy(descr: string, shape: string, body: Uint8Array, order = 'False'): Uint8Array {
  const header = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${shape}), }`.padEnd(117);
  const head = Buffer.from(`\x93NUMPY\x01\x00\x00\x00${header}\n`, 'latin1');
  head.writeUInt16LE(118, 8);
  return Buffer.concat([head, body]);
}

const refuses = (code: string) => (error: unknown) => error instanceof DeflectorError && error.code === code;

describe('decodeNpyImage', () => {
  it('reads what `attack --npy` writes, to the level', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), levels => {
        const values = Float32Array.from(levels, level => level / 255);
        const image = decodeNpyImage(encodeNpy(values, [1, 2, 3]));
        assert.deepEqual(image, { width: 2, height: 1, data: Uint8Array.from(levels) });
      }),
    );
  });

  it('reads bytes and double precision, and cuts off what lies outside of [0,1]', () => {
    assert.deepEqual(decodeNpyImage(npy('|u1', '1, 1, 3', Uint8Array.of(7, 8, 9))).data, Uint8Array.of(7, 8, 9));
    const doubles = new Uint8Array(Float64Array.of(-0.5, 0.5, 1.5).buffer);
    assert.deepEqual(decodeNpyImage(npy('<f8', '1, 1, 3', doubles)).data, Uint8Array.of(0, 128, 255));
  });

  it('refuses other types, shapes and orders, and says when the file is cut off', () => {
    const body = new Uint8Array(12);
    assert.throws(() => decodeNpyImage(npy('<i4', '1, 1, 3', body)), refuses('IMAGE_UNSUPPORTED'));
    assert.throws(() => decodeNpyImage(npy('<f4', '3, 1, 1', body)), refuses('IMAGE_UNSUPPORTED'));
    assert.throws(() => decodeNpyImage(npy('<f4', '3,', body)), refuses('IMAGE_UNSUPPORTED'));
    assert.throws(() => decodeNpyImage(npy('<f4', '1, 1, 3', body, 'True')), refuses('IMAGE_UNSUPPORTED'));
    assert.throws(() => decodeNpyImage(Buffer.from('GIF89a and more')), refuses('IMAGE_UNSUPPORTED'));
    assert.throws(() => decodeNpyImage(npy('<f4', '1, 2, 3', body)), refuses('IMAGE_TRUNCATED'));
  });
});
