/** Pictures of what happened to an image: the raster parts of panels and galleries. */
import sharp, { type Sharp } from 'sharp';
import type { ActivationMap, RgbImage } from '../types.js';
import { MAGMA_TABLE } from './colour-map.js';

/** From this enlargement on, pixels are shown as squares; below it squares of unequal size would look like texture. */
const SQUARES_FROM = 4;

/** ITU-R BT.601 luma of an interleaved pixel, 0 to 255. */
function luma(data: Uint8Array, offset: number): number {
  return 0.299 * data[offset]! + 0.587 * data[offset + 1]! + 0.114 * data[offset + 2]!;
}

/** The largest size with the image's proportions inside of a box; at least one pixel each way. */
export function sizeWithin(image: { width: number; height: number }, width: number, height: number) {
  const scale = Math.min(width / image.width, height / image.height);
  return {
    width: Math.max(1, Math.round(image.width * scale)),
    height: Math.max(1, Math.round(image.height * scale)),
  };
}

/** Resamples to exactly `width` x `height`: squares for strong enlargement, cubic otherwise. */
export async function resized(image: RgbImage, width: number, height: number): Promise<RgbImage> {
  if (image.width === width && image.height === height) return image;
  const enlargement = Math.min(width / image.width, height / image.height);
  const { data } = await rawImage(image)
    .resize(width, height, { fit: 'fill', kernel: enlargement >= SQUARES_FROM ? 'nearest' : 'cubic' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width, height, data };
}

/** A sharp pipeline over pixels in memory. */
export function rawImage(image: RgbImage): Sharp {
  return sharp(image.data, {
    raw: { width: image.width, height: image.height, channels: 3 },
    limitInputPixels: false,
  });
}

/** The activation map in the colours of {@link MAGMA_TABLE} over the grey image, which shows through by a quarter. */
export function mapOverlay(image: RgbImage, map: ActivationMap): RgbImage {
  const data = new Uint8Array(image.data.length);
  for (let pixel = 0, offset = 0; offset < data.length; pixel++, offset += 3) {
    const grey = luma(image.data, offset);
    const entry = Math.round(Math.min(Math.max(map.data[pixel] ?? 0, 0), 1) * 255) * 3;
    for (let c = 0; c < 3; c++) data[offset + c] = 0.7 * MAGMA_TABLE[entry + c]! + 0.3 * grey;
  }
  return { width: image.width, height: image.height, data };
}

/** The grey image, faint enough to carry marks. */
export function dimmed(image: RgbImage): RgbImage {
  const data = new Uint8Array(image.data.length);
  for (let offset = 0; offset < data.length; offset += 3) {
    data.fill(Math.round(128 + 0.48 * luma(image.data, offset)), offset, offset + 3);
  }
  return { width: image.width, height: image.height, data };
}

/**
 * Draws a disc on each marked pixel, onto a picture that may be larger or smaller than the image the marks belong to.
 *
 * @param marks indices row * size.width + column into an image of `size`
 * @param radius in pixels of the picture
 */
export function withDots(
  picture: RgbImage,
  marks: Uint32Array,
  size: { width: number; height: number },
  radius: number,
  colour: readonly [number, number, number],
): RgbImage {
  const { width, height } = picture;
  const coverage = new Float32Array(width * height);
  for (const mark of marks) {
    const x = (((mark % size.width) + 0.5) * width) / size.width - 0.5;
    const y = ((Math.floor(mark / size.width) + 0.5) * height) / size.height - 0.5;
    const [top, bottom] = [Math.max(0, Math.ceil(y - radius - 1)), Math.min(height - 1, Math.floor(y + radius + 1))];
    const [left, right] = [Math.max(0, Math.ceil(x - radius - 1)), Math.min(width - 1, Math.floor(x + radius + 1))];
    for (let row = top; row <= bottom; row++) {
      for (let column = left; column <= right; column++) {
        const inside = Math.min(Math.max(radius + 0.5 - Math.hypot(column - x, row - y), 0), 1);
        const at = row * width + column;
        if (inside > coverage[at]!) coverage[at] = inside;
      }
    }
  }
  const data = picture.data.slice();
  for (let at = 0; at < coverage.length; at++) {
    const share = coverage[at]!;
    if (share === 0) continue;
    for (let c = 0; c < 3; c++) data[at * 3 + c] = Math.round(data[at * 3 + c]! * (1 - share) + colour[c]! * share);
  }
  return { width, height, data };
}

/** A difference made visible: grey 128 is no change; `gain` is what it was multiplied by, 0 where nothing changed. */
export interface AmplifiedDifference {
  readonly picture: RgbImage;
  readonly gain: number;
}

/**
 * `after - before`, channel by channel, amplified by the power of two (1 to 64) at which 99 % of the values still fit.
 */
export function amplifiedDifference(before: RgbImage, after: RgbImage): AmplifiedDifference {
  const histogram = new Float64Array(256);
  for (let i = 0; i < before.data.length; i++) histogram[Math.abs(after.data[i]! - before.data[i]!)]!++;
  const changed = before.data.length - histogram[0]!;
  let [percentile, below] = [0, histogram[0]!];
  while (percentile < 255 && below < 0.99 * before.data.length) below += histogram[++percentile]!;
  const gain = changed === 0 ? 0 : Math.min(64, Math.max(1, 2 ** Math.floor(Math.log2(127 / Math.max(percentile, 1)))));
  const data = new Uint8Array(before.data.length);
  for (let i = 0; i < data.length; i++) {
    data[i] = Math.min(Math.max(128 + gain * (after.data[i]! - before.data[i]!), 0), 255);
  }
  return { picture: { width: before.width, height: before.height, data }, gain };
}
