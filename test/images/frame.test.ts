import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { framed } from '../../src/images/frame.js';
import { preprocess } from '../../src/images/preprocess.js';
import type { Preprocessing } from '../../src/types.js';

const BASE: Preprocessing = {
  ...{
    width: 24,
    height: 24,
    fit: 'crop-then-resize',
    cropFraction: 0.875,
    resizeShortest: 0,
    interpolation: 'bicubic',
  },
  ...{ mean: [0, 0, 0], std: [1, 1, 1], channels: 'rgb', layout: 'nchw' },
};

describe('a frame around pixels of the input size', () => {
  it('is taken off by the preprocessing, byte for byte', () => {
    const side = fc.integer({ min: 8, max: 40 });
    const geometry = fc.oneof(
      fc.record({
        fit: fc.constant('crop-then-resize' as const),
        cropFraction: fc.double({ min: 0.5, max: 1, noNaN: true }),
      }),
      fc.record({ fit: fc.constant('resize-then-crop' as const), more: fc.integer({ min: 0, max: 30 }) }),
      fc.record({ fit: fc.constant('stretch' as const) }),
    );
    fc.assert(
      fc.property(side, geometry, fc.constantFrom('bilinear', 'bicubic', 'lanczos'), (size, chosen, interpolation) => {
        const resizeShortest = 'more' in chosen ? size + chosen.more : 0;
        const p = { ...BASE, ...chosen, width: size, height: size, resizeShortest, interpolation } as Preprocessing;
        const data = Uint8Array.from({ length: 3 * size * size }, (_, i) => (i * 7919) % 256);
        const image = framed({ width: size, height: size, data }, p);
        assert.ok(image !== undefined);
        assert.deepEqual(preprocess(image, p).data, data);
      }),
    );
  });

  it('is refused where the crop has another shape', () => {
    const p = { ...BASE, width: 24, height: 12 };
    assert.equal(
      framed({ width: 24, height: 12, data: new Uint8Array(3 * 24 * 12).map((_, i) => i % 251) }, p),
      undefined,
    );
  });
});
