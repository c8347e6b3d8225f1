/** What a `denoise` step draws, and the shifted grids of cycle spinning (Coifman, Donoho, 'Translation-Invariant De-Noising', 1995). */
import type { ActivationMap } from '../types.js';
import type { UniformSource } from './defender.js';
import type { DefenceSettings } from './settings.js';
import { defaultLevels, waveletFilters } from './wavelet-filters.js';

/** Columns and rows that an image is moved by, to the left and up, around its edges. */
export interface Shift {
  readonly x: number;
  readonly y: number;
}

/** One denoising of one image. */
export interface Denoising {
  /** Factor on sigma. */
  readonly strength: number;
  /** Grids that the mean is taken over; none: the image's own. */
  readonly shifts: readonly Shift[];
}

/** Whether two `denoise` steps under these settings may differ. */
export function drawsDenoising({ strength: [least, most], spin }: DefenceSettings): boolean {
  return most > least || spin > 0;
}

/**
 * Draws: one number for the strength, where it is drawn; then for each grid its column and its row. A transform of some
 * levels knows 2^levels grids in each direction.
 */
export function drawDenoising(
  settings: DefenceSettings,
  width: number,
  height: number,
  source: UniformSource,
): Denoising {
  const [least, most] = settings.strength;
  const strength = most > least ? least + (most - least) * source.uniform() : least;
  const levels = settings.levels ?? defaultLevels(width, height, waveletFilters(settings.wavelet).length);
  const below = (side: number) => Math.floor(source.uniform() * Math.min(side, 2 ** levels));
  const shifts = Array.from({ length: settings.spin }, () => ({ x: below(width), y: below(height) }));
  return { strength, shifts };
}

/** Values that can be moved: of one array type, row by row, some of them a pixel. */
type Values = Uint8Array | Float32Array | Float64Array;

/**
 * Moves a plane, or an image of interleaved channels, to the left and up; what leaves it comes back on the other side.
 *
 * @param rowLength values in a row
 * @param shift of `from` against `to`, in values and rows, from 0 to below a row and all rows
 */
export function shiftInto<T extends Values>(from: T, to: T, rowLength: number, shift: Shift): void {
  const rows = from.length / rowLength;
  for (let row = 0; row < rows; row++) {
    const start = ((row + shift.y) % rows) * rowLength;
    const at = row * rowLength;
    to.set(from.subarray(start + shift.x, start + rowLength), at);
    to.set(from.subarray(start, start + shift.x), at + rowLength - shift.x);
  }
}

/** The map of an image that was moved. */
export function movedMap(map: ActivationMap, shift: Shift): ActivationMap {
  const data = new Float32Array(map.data.length);
  shiftInto(map.data, data, map.width, shift);
  return { ...map, data };
}

/** Adds a plane that was moved to its unmoved sum. @param shift as it was moved by */
export function addUnshifted(
  moved: Float32Array | Float64Array,
  sum: Float32Array | Float64Array,
  rowLength: number,
  shift: Shift,
): void {
  const rows = moved.length / rowLength;
  const split = rowLength - shift.x;
  for (let row = 0; row < rows; row++) {
    const from = row * rowLength;
    const to = ((row + shift.y) % rows) * rowLength;
    for (let x = 0, at = to + shift.x; x < split; x++, at++) sum[at]! += moved[from + x]!;
    for (let x = split, at = to; x < rowLength; x++, at++) sum[at]! += moved[from + x]!;
  }
}
