/**
 * The wavelet transform of `plain/wavelet-transform.ts`, its inverse, and the transposes of both. The filters are
 * orthonormal, but the mirrored ends make neither transpose the other's inverse, so each is written out. In double
 * precision; what is made has the values of the plain one but for rounding.
 */
import type { WaveletFilters } from '../wavelet-filters.js';

/** Values of one plane or sub-band, row by row. */
export interface Band {
  readonly width: number;
  readonly height: number;
  readonly data: Float64Array;
}

/** Sub-bands: the approximation, and level by level, the finest first, those that plain/wavelet-transform.ts names so. */
export interface Bands {
  readonly approximation: Band;
  readonly details: readonly { readonly horizontal: Band; readonly vertical: Band; readonly diagonal: Band }[];
}

/** The transform of planes of one size. */
export class WaveletTransform {
  readonly width: number;
  readonly height: number;
  readonly #filters: WaveletFilters;
  readonly #levels: readonly { readonly across: Axis; readonly down: Axis }[];

  constructor(width: number, height: number, filters: WaveletFilters, levels: number) {
    this.width = width;
    this.height = height;
    this.#filters = filters;
    const axes: { across: Axis; down: Axis }[] = [];
    for (let level = 0; level < levels; level++) {
      const last = axes.at(-1);
      const across = axisOf(last?.across.kept ?? width, filters);
      axes.push({ across, down: axisOf(last?.down.kept ?? height, filters) });
    }
    this.#levels = axes;
  }

  decompose(plane: Float64Array): Bands {
    const { decLow, decHigh } = this.#filters;
    let approximation = plane;
    const details = this.#levels.map(({ across, down }) => {
      const [low, high] = columns(approximation, across.length, down, decLow, decHigh);
      const [ll, lh] = rows(low, across, decLow, decHigh);
      const [hl, hh] = rows(high, across, decLow, decHigh);
      approximation = ll;
      const band = (data: Float64Array): Band => ({ width: across.kept, height: down.kept, data });
      return { horizontal: band(hl), vertical: band(lh), diagonal: band(hh) };
    });
    const last = this.#levels.at(-1)!;
    return { approximation: { width: last.across.kept, height: last.down.kept, data: approximation }, details };
  }

  /** The transpose of `decompose`. */
  decomposeBack({ approximation, details }: Bands): Float64Array {
    const { decLow, decHigh } = this.#filters;
    let plane = approximation.data;
    for (let level = this.#levels.length - 1; level >= 0; level--) {
      const { across, down } = this.#levels[level]!;
      const { horizontal, vertical, diagonal } = details[level]!;
      const low = rowsBack(plane, vertical.data, across, decLow, decHigh);
      const high = rowsBack(horizontal.data, diagonal.data, across, decLow, decHigh);
      plane = columnsBack(low, high, across.length, down, decLow, decHigh);
    }
    return plane;
  }

  reconstruct({ approximation, details }: Bands): Float64Array {
    const [low, high] = this.#synthesis();
    let plane = approximation.data;
    for (let level = this.#levels.length - 1; level >= 0; level--) {
      const { across, down } = inverted(this.#levels[level]!);
      const { horizontal, vertical, diagonal } = details[level]!;
      const lows = rowsBack(plane, vertical.data, across, low, high);
      const highs = rowsBack(horizontal.data, diagonal.data, across, low, high);
      plane = columnsBack(lows, highs, across.length, down, low, high);
    }
    return plane;
  }

  /** The transpose of `reconstruct`. */
  reconstructBack(plane: Float64Array): Bands {
    const [low, high] = this.#synthesis();
    let approximation = plane;
    const details = this.#levels.map(axes => {
      const { across, down } = inverted(axes);
      const [lows, highs] = columns(approximation, across.length, down, low, high);
      const [ll, lh] = rows(lows, across, low, high);
      const [hl, hh] = rows(highs, across, low, high);
      approximation = ll;
      const band = (data: Float64Array): Band => ({ width: across.kept, height: down.kept, data });
      return { horizontal: band(hl), vertical: band(lh), diagonal: band(hh) };
    });
    const last = this.#levels.at(-1)!;
    return { approximation: { width: last.across.kept, height: last.down.kept, data: approximation }, details };
  }

  /**
   * The inverse x[m] = sum_k taps[m + L - 2 - 2k] c[k] is the transpose of c[k] = sum_j taps[j] x[2k + j - L + 2] over
   * the samples that are there.
   */
  #synthesis(): readonly [Float64Array, Float64Array] {
    return [this.#filters.recLow, this.#filters.recHigh];
  }
}

/** One axis at one level: which samples each coefficient reads, tap by tap. */
interface Axis {
  /** Samples, and coefficients of each of the two sub-bands. */
  readonly length: number;
  readonly kept: number;
  /** kept * taps places; -1 where the tap reads nothing. */
  readonly places: Int32Array;
  /** The same for the inverse. */
  readonly inverse: Int32Array;
}

function axisOf(length: number, { length: taps }: WaveletFilters): Axis {
  const kept = Math.floor((length + taps - 1) / 2);
  const places = new Int32Array(kept * taps);
  const inverse = new Int32Array(kept * taps);
  for (let k = 0; k < kept; k++) {
    for (let j = 0; j < taps; j++) {
      places[k * taps + j] = mirror(2 * k + 1 - j, length);
      const m = 2 * k + j - taps + 2;
      inverse[k * taps + j] = m >= 0 && m < length ? m : -1;
    }
  }
  return { length, kept, places, inverse };
}

function inverted({ across, down }: { across: Axis; down: Axis }): { across: Axis; down: Axis } {
  return { across: { ...across, places: across.inverse }, down: { ...down, places: down.inverse } };
}

/** The sample that stands at place `i` of a signal of `n` samples mirrored again and again: ... 1 0 | 0 1 ... */
function mirror(i: number, n: number): number {
  const place = ((i % (2 * n)) + 2 * n) % (2 * n);
  return place < n ? place : 2 * n - 1 - place;
}

/** Both sub-bands of every row. */
function rows(
  plane: Float64Array,
  { length, kept, places }: Axis,
  low: Float64Array,
  high: Float64Array,
): [Float64Array, Float64Array] {
  const count = plane.length / length;
  const taps = low.length;
  const lows = new Float64Array(count * kept);
  const highs = new Float64Array(count * kept);
  for (let row = 0; row < count; row++) {
    const from = row * length;
    for (let k = 0; k < kept; k++) {
      let a = 0;
      let b = 0;
      for (let j = 0, at = k * taps; j < taps; j++, at++) {
        const place = places[at]!;
        if (place < 0) continue;
        const value = plane[from + place]!;
        a += low[j]! * value;
        b += high[j]! * value;
      }
      lows[row * kept + k] = a;
      highs[row * kept + k] = b;
    }
  }
  return [lows, highs];
}

/** The transpose of `rows`. */
function rowsBack(
  lows: Float64Array,
  highs: Float64Array,
  { length, kept, places }: Axis,
  low: Float64Array,
  high: Float64Array,
): Float64Array {
  const count = lows.length / kept;
  const taps = low.length;
  const plane = new Float64Array(count * length);
  for (let row = 0; row < count; row++) {
    const to = row * length;
    for (let k = 0; k < kept; k++) {
      const a = lows[row * kept + k]!;
      const b = highs[row * kept + k]!;
      for (let j = 0, at = k * taps; j < taps; j++, at++) {
        const place = places[at]!;
        if (place >= 0) plane[to + place]! += low[j]! * a + high[j]! * b;
      }
    }
  }
  return plane;
}

/** Both sub-bands of every column. */
function columns(
  plane: Float64Array,
  width: number,
  { kept, places }: Axis,
  low: Float64Array,
  high: Float64Array,
): [Float64Array, Float64Array] {
  const taps = low.length;
  const lows = new Float64Array(width * kept);
  const highs = new Float64Array(width * kept);
  for (let k = 0; k < kept; k++) {
    for (let j = 0; j < taps; j++) {
      const place = places[k * taps + j]!;
      if (place < 0) continue;
      const [a, b] = [low[j]!, high[j]!];
      for (let x = 0, from = place * width, to = k * width; x < width; x++, from++, to++) {
        const value = plane[from]!;
        lows[to]! += a * value;
        highs[to]! += b * value;
      }
    }
  }
  return [lows, highs];
}

/** The transpose of `columns`. */
function columnsBack(
  lows: Float64Array,
  highs: Float64Array,
  width: number,
  { length, kept, places }: Axis,
  low: Float64Array,
  high: Float64Array,
): Float64Array {
  const taps = low.length;
  const plane = new Float64Array(width * length);
  for (let k = 0; k < kept; k++) {
    for (let j = 0; j < taps; j++) {
      const place = places[k * taps + j]!;
      if (place < 0) continue;
      const [a, b] = [low[j]!, high[j]!];
      for (let x = 0, from = k * width, to = place * width; x < width; x++, from++, to++) {
        plane[to]! += a * lows[from]! + b * highs[from]!;
      }
    }
  }
  return plane;
}
