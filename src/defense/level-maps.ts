/** The activation map at the levels of a wavelet transform: what a coefficient lies on. */
import type { ActivationMap } from '../types.js';
import type { Grid } from './grid.js';
import type { WaveletFilters } from './wavelet-filters.js';

/**
 * Maps of all levels, the finest first, each of the size of its sub-bands: a coefficient's value is the mean of the two
 * samples in the middle of what its filter reads, along both axes, level by level. Under Haar that is the mean over its block.
 *
 * @returns one grid a level
 */
export function levelMaps(
  { width, height, data }: ActivationMap,
  { length }: Pick<WaveletFilters, 'length'>,
  levels: number,
): Grid[] {
  const maps: Grid[] = [];
  let current: ArrayLike<number> = data;
  let [columns, rows] = [width, height];
  for (let level = 0; level < levels; level++) {
    const [across, down] = [middles(columns, length), middles(rows, length)];
    const halved = new Float64Array(across.first.length * down.first.length);
    let to = 0;
    for (let y = 0; y < down.first.length; y++) {
      const upper = down.first[y]! * columns;
      const lower = down.second[y]! * columns;
      for (let x = 0; x < across.first.length; x++) {
        const left = across.first[x]!;
        const right = across.second[x]!;
        halved[to++] =
          (current[upper + left]! + current[upper + right]! + current[lower + left]! + current[lower + right]!) / 4;
      }
    }
    current = halved;
    [columns, rows] = [across.first.length, down.first.length];
    maps.push({ width: columns, height: rows, data: halved });
  }
  return maps;
}

/** The two middle samples of each coefficient of a line of `n` samples, the line mirrored at its ends. */
function middles(n: number, length: number): { first: Int32Array; second: Int32Array } {
  const kept = Math.floor((n + length - 1) / 2);
  const at = (shift: number) =>
    Int32Array.from({ length: kept }, (_, k) => mirrored(2 * k + 1 - length / 2 + shift, n));
  return { first: at(0), second: at(1) };
}

function mirrored(i: number, n: number): number {
  const place = ((i % (2 * n)) + 2 * n) % (2 * n);
  return place < n ? place : 2 * n - 1 - place;
}
