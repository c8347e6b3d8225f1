import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeImage } from '../../src/images/decode.js';
import { tensorFormat, writeTensor } from '../../src/images/tensor.js';
import { encodeNpy, encodePng } from '../../src/images/write.js';
import type { Preprocessing } from '../../src/types.js';
import { noise } from './fixtures.js';

describe('images out', () => {
  it('a PNG reads back to the same pixels', async () => {
    const image = noise(31, 17);
    assert.deepEqual(new Uint8Array((await decodeImage(await encodePng(image))).data), image.data);
  });
});

describe('.npy', () => {
  it('has the bytes that NumPy 2.4 writes for float32 [1, 2, 3]', () => {
    // numpy.save of numpy.array([[[0, .5, 1], [.25, -1, 2]]], dtype=numpy.float32)
    const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3), }";
    const expected = Buffer.concat([
      Buffer.from('\x93NUMPY\x01\x00\x76\x00', 'latin1'),
      Buffer.from(`${header.padEnd(117)}\n`, 'latin1'),
      Buffer.from('000000000000003f0000803f0000803e000080bf00000040', 'hex'),
    ]);
    assert.deepEqual(Buffer.from(encodeNpy(new Float32Array([0, 0.5, 1, 0.25, -1, 2]), [1, 2, 3])), expected);
  });
  it('puts the values at a multiple of 64, whatever the shape', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 4 }), shape => {
        const size = shape.reduce((a, b) => a * b);
        const bytes = Buffer.from(encodeNpy(new Float32Array(size).fill(0.75), shape));
        const begin = 10 + bytes.readUInt16LE(8);
        assert.equal(begin % 64, 0);
        assert.equal(bytes[begin - 1], 0x0a);
        assert.equal(bytes.length, begin + 4 * size);
        assert.equal(bytes.readFloatLE(bytes.length - 4), 0.75);
      }),
    );
  });
});

describe('tensors', () => {
  const base: Preprocessing = {
    width: 5,
    height: 4,
    fit: 'stretch',
    cropFraction: 1,
    resizeShortest: 5,
    interpolation: 'bicubic',
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
    channels: 'rgb',
    layout: 'nchw',
  };
  for (const layout of ['nchw', 'nhwc'] as const) {
    for (const channels of ['rgb', 'bgr'] as const) {
      it(`${layout}, ${channels}: every value is (pixel / 255 - mean) / std of its channel`, () => {
        const image = noise(5, 4);
        const out = new Float32Array(7 + 60 + 3).fill(Number.NaN);
        writeTensor(image, tensorFormat({ ...base, layout, channels }), out, 7);
        for (let y = 0; y < 4; y++) {
          for (let x = 0; x < 5; x++) {
            for (let c = 0; c < 3; c++) {
              const expected = (image.data[(y * 5 + x) * 3 + c]! / 255 - base.mean[c]!) / base.std[c]!;
              const place = channels === 'rgb' ? c : 2 - c;
              const at = 7 + (layout === 'nchw' ? place * 20 + y * 5 + x : (y * 5 + x) * 3 + place);
              assert.ok(Math.abs(out[at]! - expected) < 1e-6);
            }
          }
        }
        assert.ok(out.subarray(0, 7).every(Number.isNaN) && out.subarray(67).every(Number.isNaN));
      });
    }
  }
});
