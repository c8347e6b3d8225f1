/** Small operations on planar images that several comparators share. */

/** The plane of one channel, as a view. */
export function plane(planes: Float32Array, channel: number, width: number, height: number): Float32Array {
  return planes.subarray(channel * width * height, (channel + 1) * width * height);
}

/** Clamps all values to [0, 1] in place. */
export function clampToUnit(values: Float32Array): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!(value >= 0)) values[i] = 0;
    else if (value > 1) values[i] = 1;
  }
}

/** Index mirrored into [0, size) with the edge sample not repeated (`d c b | a b c d`), for any index. */
export function mirror(index: number, size: number): number {
  if (size === 1) return 0;
  const period = 2 * size - 2;
  const folded = ((index % period) + period) % period;
  return folded < size ? folded : period - folded;
}

/** Index mirrored into [0, size) with the edge sample repeated (`c b a | a b c d`), for any index. */
export function mirrorWithEdge(index: number, size: number): number {
  const period = 2 * size;
  const folded = ((index % period) + period) % period;
  return folded < size ? folded : period - 1 - folded;
}

/** How places outside a plane are read: the index inside, or -1 for a constant 0. */
export type Border = (index: number, size: number) => number;

/** The nearest edge sample. */
export const clampToEdge: Border = (index, size) => Math.min(Math.max(index, 0), size - 1);

/** Black outside. */
export const blackOutside: Border = (index, size) => (index < 0 || index >= size ? -1 : index);

/** A plane with `margin` more places on each side, [height + 2 margin, width + 2 margin]. */
export function pad(source: Float32Array, width: number, height: number, margin: number, border: Border): Float32Array {
  const stride = width + 2 * margin;
  const padded = new Float32Array(stride * (height + 2 * margin));
  const columns = Int32Array.from({ length: stride }, (_, x) => border(x - margin, width));
  for (let y = 0; y < height + 2 * margin; y++) {
    const row = border(y - margin, height);
    if (row < 0) continue;
    for (let x = 0; x < stride; x++) {
      const column = columns[x]!;
      if (column >= 0) padded[y * stride + x] = source[row * width + column]!;
    }
  }
  return padded;
}
