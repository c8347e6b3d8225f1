import fc from 'fast-check';
import type { RgbImage } from '../../src/types.js';

/** Random images, narrow and one-pixel ones included. */
export function anyImage(largestSide = 24): fc.Arbitrary<RgbImage> {
  const side = fc.integer({ min: 1, max: largestSide });
  return fc
    .tuple(side, side)
    .chain(([width, height]) =>
      fc
        .uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 })
        .map(data => ({ width, height, data: Uint8Array.from(data) })),
    );
}

/** An image whose three channels are equal: `data` holds one value a pixel. */
export function greyImage(width: number, height: number, data: ArrayLike<number>): RgbImage {
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, (_, i) => data[Math.floor(i / 3)]!) };
}
