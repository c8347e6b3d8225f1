/**
 * Two-dimensional discrete wavelet transform and its inverse (Mallat's pyramid), with the signal mirrored at its ends,
 * the end samples repeated: mode `symmetric` of PyWavelets. Any size, any number of levels.
 */
import type { Grid } from '../grid.js';
import type { WaveletFilters } from '../wavelet-filters.js';

/** The detail sub-bands of one level, all of one size. */
interface DetailLevel {
  /** High-pass down the columns, low-pass along the rows (PyWavelets cH, 'da'). */
  readonly horizontal: Grid;
  /** Low-pass down the columns, high-pass along the rows (cV, 'ad'). */
  readonly vertical: Grid;
  /** High-pass both ways (cD, 'dd'). */
  readonly diagonal: Grid;
}

export interface Decomposition {
  /** Size of the plane that was decomposed. */
  readonly width: number;
  readonly height: number;
  readonly approximation: Grid;
  /** The finest level first. */
  readonly details: readonly DetailLevel[];
}

/** @param levels at least 1; a level of a side of n samples has floor((n + L - 1) / 2) */
export function decompose(plane: Grid, filters: WaveletFilters, levels: number): Decomposition {
  const details: DetailLevel[] = [];
  let approximation = plane;
  for (let level = 0; level < levels; level++) {
    const low = analyse(approximation, 'columns', filters.decLow);
    const high = analyse(approximation, 'columns', filters.decHigh);
    approximation = analyse(low, 'rows', filters.decLow);
    details.push({
      horizontal: analyse(high, 'rows', filters.decLow),
      vertical: analyse(low, 'rows', filters.decHigh),
      diagonal: analyse(high, 'rows', filters.decHigh),
    });
  }
  return { width: plane.width, height: plane.height, approximation, details };
}

/** The inverse of `decompose`, cut to the size of the plane that was decomposed. */
export function reconstruct(decomposition: Decomposition, filters: WaveletFilters): Grid {
  let plane = decomposition.approximation;
  for (const { horizontal, vertical, diagonal } of decomposition.details.toReversed()) {
    // The inverse of an odd size comes back one sample longer than it was.
    const approximation = crop(plane, horizontal.width, horizontal.height);
    const low = sum(
      synthesise(approximation, 'columns', filters.recLow),
      synthesise(horizontal, 'columns', filters.recHigh),
    );
    const high = sum(synthesise(vertical, 'columns', filters.recLow), synthesise(diagonal, 'columns', filters.recHigh));
    plane = sum(synthesise(low, 'rows', filters.recLow), synthesise(high, 'rows', filters.recHigh));
  }
  return crop(plane, decomposition.width, decomposition.height);
}

type Direction = 'rows' | 'columns';

/** How to walk the lines of a plane in one direction: their number and length, steps between lines and samples. */
function lines({ width, height }: { width: number; height: number }, direction: Direction) {
  return direction === 'rows'
    ? { count: height, length: width, lineStep: width, sampleStep: 1 }
    : { count: width, length: height, lineStep: 1, sampleStep: width };
}

/** Filters every line and keeps each second sample: c[k] = sum_j taps[j] x[2k + 1 - j]. */
function analyse(plane: Grid, direction: Direction, taps: Float64Array): Grid {
  const from = lines(plane, direction);
  const kept = Math.floor((from.length + taps.length - 1) / 2);
  const size = direction === 'rows' ? { width: kept, height: plane.height } : { width: plane.width, height: kept };
  const to = lines(size, direction);
  const data = new Float64Array(size.width * size.height);
  for (let k = 0; k < kept; k++) {
    for (let j = 0; j < taps.length; j++) {
      const tap = taps[j]!;
      let read = mirror(2 * k + 1 - j, from.length) * from.sampleStep;
      let write = k * to.sampleStep;
      for (let line = 0; line < from.count; line++, read += from.lineStep, write += to.lineStep) {
        data[write]! += tap * plane.data[read]!;
      }
    }
  }
  return { ...size, data };
}

/** Puts a zero after every sample and filters: x[m] = sum_k taps[m + L - 2 - 2k] c[k], 2n - L + 2 samples. */
function synthesise(band: Grid, direction: Direction, taps: Float64Array): Grid {
  const from = lines(band, direction);
  const length = 2 * from.length - taps.length + 2;
  const size = direction === 'rows' ? { width: length, height: band.height } : { width: band.width, height: length };
  const to = lines(size, direction);
  const data = new Float64Array(size.width * size.height);
  for (let m = 0; m < length; m++) {
    const first = Math.ceil((m - 1) / 2);
    const last = Math.min(from.length - 1, Math.floor((m + taps.length - 2) / 2));
    for (let k = Math.max(0, first); k <= last; k++) {
      const tap = taps[m + taps.length - 2 - 2 * k]!;
      let read = k * from.sampleStep;
      let write = m * to.sampleStep;
      for (let line = 0; line < from.count; line++, read += from.lineStep, write += to.lineStep) {
        data[write]! += tap * band.data[read]!;
      }
    }
  }
  return { ...size, data };
}

/** The sample that stands at place `i` of a signal of `n` samples mirrored again and again: ... 1 0 | 0 1 ... */
function mirror(i: number, n: number): number {
  const place = ((i % (2 * n)) + 2 * n) % (2 * n);
  return place < n ? place : 2 * n - 1 - place;
}

function sum(a: Grid, b: Grid): Grid {
  return { ...a, data: a.data.map((value, p) => value + b.data[p]!) };
}

function crop(plane: Grid, width: number, height: number): Grid {
  if (plane.width === width && plane.height === height) return plane;
  const data = new Float64Array(width * height);
  for (let y = 0; y < height; y++) {
    data.set(plane.data.subarray(y * plane.width, y * plane.width + width), y * width);
  }
  return { width, height, data };
}
