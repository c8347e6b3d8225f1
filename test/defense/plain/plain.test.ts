import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PLAIN_RGB, type TensorFormat } from '../../../src/defense/defender.js';
import { plainDefender } from '../../../src/defense/plain/plain.js';
import { runRandom } from '../../../src/defense/random.js';
import { type DefenceSettings, PAPER_SETTINGS } from '../../../src/defense/settings.js';
import type { ActivationMap, RgbImage } from '../../../src/types.js';
import { assertClose } from '../../helpers/goldens.js';
import { anyImage, greyImage } from '../../helpers/images.js';

const PAPER: DefenceSettings = { ...PAPER_SETTINGS, seed: 'plain' };
const HASH = 'f'.repeat(64);

function run(
  image: RgbImage,
  settings: DefenceSettings,
  options: { map?: ActivationMap; run?: number; format?: TensorFormat; hash?: string } = {},
): Float32Array {
  const prepared = plainDefender.prepare(image, options.map, settings);
  const out = new Float32Array(image.data.length);
  prepared.run(runRandom(settings.seed, options.hash ?? HASH, options.run ?? 0), out, 0, options.format ?? PLAIN_RGB);
  prepared.release();
  return out;
}

/** The image itself as a tensor, planar RGB. */
function undefended({ width, height, data }: RgbImage): Float32Array {
  const size = width * height;
  return Float32Array.from({ length: size * 3 }, (_, i) => data[(i % size) * 3 + Math.floor(i / size)]! / 255);
}

describe('the plain defence', () => {
  it('leaves every byte as it is where nothing is deflected and nothing shrunk', () => {
    fc.assert(
      fc.property(anyImage(), image => {
        const expected = undefended(image);
        assert.deepEqual(run(image, { ...PAPER, deflection: 'none', shrink: 'none' }), expected);
        assert.deepEqual(run(image, { ...PAPER, deflections: 0, shrink: 'none' }), expected);
        assert.deepEqual(run(image, { ...PAPER, order: [] }), expected);
        const ones = { ...image, data: new Float32Array(image.width * image.height).fill(1) };
        assert.deepEqual(run(image, { ...PAPER, shrink: 'none' }, { map: ones }), expected);
      }),
    );
  });

  it('gives the same bytes for the same seed, image and run, whatever was run before', () => {
    fc.assert(
      fc.property(anyImage(), fc.nat(999), (image, number) => {
        const prepared = plainDefender.prepare(image, undefined, PAPER);
        const out = new Float32Array(image.data.length * 3);
        for (const [i, at] of [number, number + 1, number].entries()) {
          prepared.run(runRandom(PAPER.seed, HASH, at), out, i * image.data.length, PLAIN_RGB);
        }
        const slice = (i: number) => out.subarray(i * image.data.length, (i + 1) * image.data.length);
        assert.deepEqual(slice(2), slice(0));
        assert.deepEqual(slice(0), run(image, PAPER, { run: number }));
        assert.deepEqual(slice(1), run(image, PAPER, { run: number + 1 }));
      }),
    );
  });

  it('deflects other pixels in another run, under another seed and for another image', () => {
    const image = greyImage(
      32,
      32,
      Uint8Array.from({ length: 1024 }, (_, p) => p % 251),
    );
    const results = [
      run(image, PAPER),
      run(image, PAPER, { run: 1 }),
      run(image, { ...PAPER, seed: 'other' }),
      run(image, PAPER, { hash: 'e'.repeat(64) }),
    ];
    assert.equal(new Set(results.map(result => result.join())).size, results.length);
  });

  it('takes 1x1, 1xN and Nx1 images under any settings', () => {
    const settings = fc.record({
      wavelet: fc.constantFrom('db1', 'db2', 'sym4', 'coif3'),
      levels: fc.constantFrom(null, 3),
      shrink: fc.constantFrom('bayes', 'visu', 'sure', 'none'),
      threshold: fc.constantFrom('soft', 'hard'),
      variant: fc.constantFrom('legacy', 'modern'),
      deflection: fc.constantFrom('paper', 'official', 'none'),
      sampling: fc.constantFrom('uniform', 'gaussian'),
      replace: fc.constantFrom('random', 'min', 'max', 'mean'),
      sigma: fc.constantFrom(0.04, null),
    }) as fc.Arbitrary<Partial<DefenceSettings>>;
    fc.assert(
      fc.property(settings, fc.integer({ min: 1, max: 70 }), (chosen, length) => {
        for (const [width, height] of [
          [1, 1],
          [1, length],
          [length, 1],
        ] as const) {
          const values = Float64Array.from({ length: width * height }, (_, p) => (p * 37) % 256);
          const out = run(greyImage(width, height, values), { ...PAPER, ...chosen });
          assert.ok(out.every(Number.isFinite));
        }
      }),
    );
  });

  it('applies the steps in the order given', () => {
    const image = greyImage(
      32,
      32,
      Uint8Array.from({ length: 1024 }, (_, p) => (p * p) % 251),
    );
    const forward = run(image, PAPER);
    const backward = run(image, { ...PAPER, order: ['denoise', 'deflect'] });
    assert.notDeepEqual(forward, backward);
    const deflectedOnly = run(image, { ...PAPER, order: ['deflect'] });
    assert.deepEqual(deflectedOnly, run(image, { ...PAPER, shrink: 'none' }));
  });

  it('writes any tensor format: layout, order of channels, scale and bias by RGB channel', () => {
    fc.assert(
      fc.property(anyImage(), fc.boolean(), fc.boolean(), ({ width, height, data }, nhwc, bgr) => {
        const image = { width, height, data };
        const format: TensorFormat = {
          layout: nhwc ? 'nhwc' : 'nchw',
          channels: bgr ? 'bgr' : 'rgb',
          scale: [2, 3, 4],
          bias: [-1, -2, -3],
        };
        const out = run(image, { ...PAPER, order: [] }, { format });
        const size = width * height;
        const read = (pixel: number, channel: number) => {
          const place = bgr ? 2 - channel : channel;
          return out[nhwc ? pixel * 3 + place : place * size + pixel]!;
        };
        for (let pixel = 0; pixel < size; pixel++) {
          const expected = [0, 1, 2].map(c => (data[pixel * 3 + c]! / 255) * format.scale[c]! + format.bias[c]!);
          assertClose(
            [0, 1, 2].map(c => read(pixel, c)),
            expected,
            1e-6,
          );
        }
      }),
    );
  });

  it('writes from the offset and nowhere else', () => {
    const image = greyImage(2, 1, [10, 20]);
    const out = new Float32Array(10).fill(7);
    plainDefender.prepare(image, undefined, PAPER).run(runRandom('s', HASH, 0), out, 2, PLAIN_RGB);
    assert.deepEqual([out[0], out[1], out[8], out[9]], [7, 7, 7, 7]);
    assert.ok(out.subarray(2, 8).every(value => value <= 1));
  });
});
