import { createHash } from 'node:crypto';
import type { RgbImage } from '../types.js';

/** SHA-256 of an image's pixels, hexadecimal: the same for the same pixels, whatever file they came from. */
export function contentDigest({ width, height, data }: RgbImage): string {
  return createHash('sha256').update(`${width}x${height} RGB\n`).update(data).digest('hex');
}
