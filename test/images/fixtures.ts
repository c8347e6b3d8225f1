import type { RgbImage } from '../../src/types.js';

/** Noise that goldens/make.py makes too: top byte of i * 2654435761 mod 2^32. */
export function noise(width: number, height: number): RgbImage {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => Math.imul(i, 2654435761 | 0) >>> 24);
  return { width, height, data };
}
