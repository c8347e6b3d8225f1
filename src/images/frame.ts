/** A frame around pixels of a model's input size, that the model's own preprocessing takes off again. */
import type { Preprocessing, RgbImage } from '../types.js';
import { preprocess } from './preprocess.js';

/**
 * An image that {@link preprocess} turns into exactly these pixels: the crop falls on them, and no scaling is left to
 * do. The frame repeats the pixels at the edge.
 *
 * @param pixels of the size `p.width` times `p.height`
 * @returns `undefined` where no frame does that, as around a crop of another shape than the image's
 */
export function framed(pixels: RgbImage, p: Preprocessing): RgbImage | undefined {
  const side = frameSide(p);
  const [width, height] = p.fit === 'stretch' ? [p.width, p.height] : [side, side];
  if (width < p.width || height < p.height) return undefined;
  // Both croppings round towards the far side or the near one: each place is tried.
  for (const left of new Set([Math.floor((width - p.width) / 2), Math.ceil((width - p.width) / 2)])) {
    for (const top of new Set([Math.floor((height - p.height) / 2), Math.ceil((height - p.height) / 2)])) {
      const image = placed(pixels, width, height, left, top);
      if (Buffer.compare(preprocess(image, p).data, pixels.data) === 0) return image;
    }
  }
  return undefined;
}

/** Side of the square whose crop is the input. */
function frameSide(p: Preprocessing): number {
  if (p.fit === 'resize-then-crop') return p.resizeShortest;
  let side = p.width;
  while (Math.floor(p.cropFraction * side) < p.width) side++;
  return side;
}

function placed(pixels: RgbImage, width: number, height: number, left: number, top: number): RgbImage {
  const data = new Uint8Array(3 * width * height);
  const inside = (at: number, size: number) => Math.min(Math.max(at, 0), size - 1);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = 3 * (inside(y - top, pixels.height) * pixels.width + inside(x - left, pixels.width));
      data.set(pixels.data.subarray(from, from + 3), 3 * (y * width + x));
    }
  }
  return { width, height, data };
}
