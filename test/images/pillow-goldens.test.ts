/** Expected values: Pillow 13.0.0 by goldens/make.py, which stands beside them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { before, describe, it } from 'node:test';
import { decodeImage } from '../../src/images/decode.js';
import { preprocess, preprocessPlanar } from '../../src/images/preprocess.js';
import type { Preprocessing, RgbImage } from '../../src/types.js';
import { fromRoot } from '../helpers/root.js';
import { noise } from './fixtures.js';

interface Expected {
  readonly sha256: string;
  readonly first: readonly number[];
}
interface Case extends Pick<Preprocessing, 'width' | 'height' | 'interpolation'> {
  readonly image: string;
  readonly rgb: Expected;
  readonly planar: Expected;
}
type FitCase = Case & Pick<Preprocessing, 'fit' | 'cropFraction' | 'resizeShortest'>;

const goldens: { readonly resize: readonly Case[]; readonly preprocess: readonly FitCase[] } = JSON.parse(
  readFileSync(fromRoot('test/images/goldens/cases.json'), 'utf8'),
);

const WHOLE: Preprocessing = {
  width: 1,
  height: 1,
  fit: 'stretch',
  cropFraction: 1,
  resizeShortest: 1,
  interpolation: 'bicubic',
  mean: [0, 0, 0],
  std: [1, 1, 1],
  channels: 'rgb',
  layout: 'nchw',
};

let chelsea: RgbImage;
before(async () => {
  chelsea = await decodeImage(readFileSync(fromRoot('samples/chelsea.png')));
});

function source(name: string): RgbImage {
  if (name === 'chelsea') return chelsea;
  const [width, height] = name.split('x').map(Number);
  return noise(width!, height!);
}

/** RGB in [0,1], planar. */
function planes(image: RgbImage): Float32Array {
  const size = image.width * image.height;
  return Float32Array.from({ length: 3 * size }, (_, i) =>
    Math.fround(image.data[(i % size) * 3 + Math.trunc(i / size)]! / 255),
  );
}

function check(actual: Uint8Array | Float32Array, expected: Expected): void {
  assert.deepEqual([...actual.subarray(0, expected.first.length)], expected.first);
  const bytes = new Uint8Array(actual.buffer, actual.byteOffset, actual.byteLength);
  assert.equal(createHash('sha256').update(bytes).digest('hex'), expected.sha256);
}

describe('resizing equals Pillow, byte for byte', () => {
  for (const golden of goldens.resize) {
    const { image: name, width, height, interpolation } = golden;
    it(`${interpolation}: ${name} to ${width}x${height}`, () => {
      const image = source(name);
      const p: Preprocessing = { ...WHOLE, width, height, interpolation };
      check(preprocess(image, p).data, golden.rgb);
      check(preprocessPlanar(planes(image), image.width, image.height, p), golden.planar);
    });
  }
});

describe('preprocessing equals the same steps in Pillow, byte for byte', () => {
  for (const golden of goldens.preprocess) {
    const { image: name, rgb, planar, ...how } = golden;
    const p: Preprocessing = { ...WHOLE, ...how };
    it(`${how.interpolation}: ${name}, ${how.fit} ${how.cropFraction} ${how.resizeShortest} to ${how.width}x${how.height}`, () => {
      const image = source(name);
      check(preprocess(image, p).data, rgb);
      check(preprocessPlanar(planes(image), image.width, image.height, p), planar);
    });
  }
});
