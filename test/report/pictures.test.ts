import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MAGMA_TABLE } from '../../src/report/colour-map.js';
import { amplifiedDifference, mapOverlay, resized, withDots } from '../../src/report/pictures.js';
import type { RgbImage } from '../../src/types.js';
import { testImage } from '../helpers/explanations.js';

function flat(width: number, height: number, value: number): RgbImage {
  return { width, height, data: new Uint8Array(width * height * 3).fill(value) };
}

describe('the colour map', () => {
  it('rises in lightness from first to last', () => {
    const luma = (i: number) =>
      0.299 * MAGMA_TABLE[i * 3]! + 0.587 * MAGMA_TABLE[i * 3 + 1]! + 0.114 * MAGMA_TABLE[i * 3 + 2]!;
    for (let i = 1; i < 256; i++) assert.ok(luma(i) >= luma(i - 1) - 0.5, `entry ${i}`);
  });

  it('is magma as matplotlib has it, within 3 levels', () => {
    // matplotlib 3.10: (255 * colormaps['magma'].colors[i]).round()
    const expected: Readonly<Record<number, readonly number[]>> = {
      0: [0, 0, 4],
      64: [81, 18, 124],
      128: [183, 55, 121],
      192: [252, 137, 97],
      255: [252, 253, 191],
    };
    for (const [entry, colour] of Object.entries(expected)) {
      for (const [c, value] of colour.entries()) {
        assert.ok(Math.abs(MAGMA_TABLE[Number(entry) * 3 + c]! - value) <= 3, `entry ${entry}`);
      }
    }
  });
});

describe('the overlay of an activation map', () => {
  it('counts values below 0 as 0 and above 1 as 1', () => {
    const image = flat(4, 1, 100);
    const { data } = mapOverlay(image, { width: 4, height: 1, data: Float32Array.of(-3, 0, 1, 7) });
    assert.deepEqual(data.slice(0, 3), data.slice(3, 6));
    assert.deepEqual(data.slice(6, 9), data.slice(9, 12));
    assert.notDeepEqual(data.slice(3, 6), data.slice(6, 9));
  });
});

describe('the amplified difference', () => {
  it('is grey, with a gain of 0, where nothing changed', () => {
    const { picture, gain } = amplifiedDifference(testImage(9, 7), testImage(9, 7));
    assert.equal(gain, 0);
    assert.ok(picture.data.every(value => value === 128));
  });

  it('shows change times gain around 128, gain a power of two at which it fits', () => {
    const { picture, gain } = amplifiedDifference(flat(8, 8, 100), flat(8, 8, 107));
    // 127 / 7 = 18.1, and 16 is the power of two below.
    assert.equal(gain, 16);
    assert.ok(picture.data.every(value => value === 128 + 16 * 7));
    assert.equal(amplifiedDifference(flat(8, 8, 0), flat(8, 8, 255)).gain, 1);
  });

  it('stays visible where less than one value in a hundred changed', () => {
    const after = flat(20, 20, 100);
    after.data[5] = 101;
    const { picture, gain } = amplifiedDifference(flat(20, 20, 100), after);
    assert.ok(gain >= 32);
    assert.equal(picture.data[5], 128 + gain);
  });
});

describe('dots', () => {
  it('lie on the marked pixels and nowhere else', () => {
    const image = flat(8, 6, 200);
    const marks = Uint32Array.of(0, 8 * 3 + 5, 47);
    const picture = withDots(image, marks, image, 0.5, [255, 0, 0]);
    const red = Array.from({ length: 48 }, (_, at) => at).filter(at => picture.data[at * 3 + 1] === 0);
    assert.deepEqual(red, [...marks]);
    assert.ok(
      image.data.every(value => value === 200),
      'the picture that was given stays as it was',
    );
  });

  it('follow the enlargement of the picture', () => {
    const picture = withDots(flat(40, 40, 200), Uint32Array.of(5), { width: 10, height: 10 }, 1, [255, 0, 0]);
    // Pixel (5, 0) of 10 x 10 covers columns 20 to 23, rows 0 to 3.
    assert.equal(picture.data[(1 * 40 + 21) * 3 + 1], picture.data[(2 * 40 + 22) * 3 + 1]);
    assert.ok(picture.data[(1 * 40 + 21) * 3 + 1]! < 100);
    assert.equal(picture.data[(10 * 40 + 21) * 3 + 1], 200);
  });
});

describe('resizing for display', () => {
  it('shows the pixels of a small image as squares', async () => {
    const { data } = await resized({ width: 2, height: 1, data: Uint8Array.of(0, 0, 0, 255, 255, 255) }, 16, 8);
    assert.deepEqual(new Set(data), new Set([0, 255]));
  });
});
