/** Shares of the thresholds where the activation map spares them: 1 - spare M, level by level, as the kernel reads them. */
import type { ActivationMap } from '../../types.js';
import { levelMaps } from '../level-maps.js';
import type { WaveletFilters } from '../wavelet-filters.js';

/** Values of a row, filled up to whole vectors. */
const stride = (columns: number): number => Math.ceil(columns / 4) * 4;

/** Bytes of the shares of all levels. */
export function sharesBytes(width: number, height: number, { length }: WaveletFilters, levels: number): number {
  let bytes = 0;
  let [columns, rows] = [width, height];
  for (let level = 0; level < levels; level++) {
    [columns, rows] = [columns, rows].map(n => Math.floor((n + length - 1) / 2)) as [number, number];
    bytes += stride(columns) * rows * 4;
  }
  return bytes;
}

/**
 * Writes the shares of all levels, the finest first.
 *
 * @param at address with room for `sharesBytes`
 */
export function placeShares(
  buffer: ArrayBuffer,
  at: number,
  map: ActivationMap,
  spare: number,
  filters: WaveletFilters,
  levels: number,
): void {
  let address = at;
  for (const { width, height, data } of levelMaps(map, filters, levels)) {
    const shares = new Float32Array(buffer, address, stride(width) * height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) shares[y * stride(width) + x] = 1 - spare * data[y * width + x]!;
    }
    address += shares.byteLength;
  }
}
