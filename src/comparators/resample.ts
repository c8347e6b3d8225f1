/** Resampling of planes, for the comparators that change an image's geometry. */

/** Place in the source of the centre of target sample `i` (pixel centres at half integers), minus a half. */
function centre(i: number, from: number, to: number): number {
  return ((i + 0.5) * from) / to - 0.5;
}

/**
 * The nearest sample of a window of a plane.
 *
 * @param source float32, rows `stride` apart, the window beginning at `origin`
 * @returns float32 [toHeight, toWidth]
 */
export function resampleNearest(
  source: Float32Array,
  origin: number,
  stride: number,
  [width, height]: readonly [number, number],
  [toWidth, toHeight]: readonly [number, number],
): Float32Array {
  const out = new Float32Array(toWidth * toHeight);
  for (let y = 0; y < toHeight; y++) {
    const row = origin + Math.round(centre(y, height, toHeight)) * stride;
    for (let x = 0; x < toWidth; x++) out[y * toWidth + x] = source[row + Math.round(centre(x, width, toWidth))]!;
  }
  return out;
}

/** Bilinear interpolation of a window of a plane, edges repeated; arguments as above. */
export function resampleBilinear(
  source: Float32Array,
  origin: number,
  stride: number,
  [width, height]: readonly [number, number],
  [toWidth, toHeight]: readonly [number, number],
): Float32Array {
  const out = new Float32Array(toWidth * toHeight);
  for (let y = 0; y < toHeight; y++) {
    const v = Math.min(Math.max(centre(y, height, toHeight), 0), height - 1);
    const top = Math.floor(v);
    const upper = origin + top * stride;
    const lower = origin + Math.min(top + 1, height - 1) * stride;
    for (let x = 0; x < toWidth; x++) {
      const u = Math.min(Math.max(centre(x, width, toWidth), 0), width - 1);
      const left = Math.floor(u);
      const right = Math.min(left + 1, width - 1);
      const fraction = u - left;
      const above = source[upper + left]! + fraction * (source[upper + right]! - source[upper + left]!);
      const below = source[lower + left]! + fraction * (source[lower + right]! - source[lower + left]!);
      out[y * toWidth + x] = above + (v - top) * (below - above);
    }
  }
  return out;
}
