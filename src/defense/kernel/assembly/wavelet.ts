/**
 * The wavelet transform of one plane and its inverse, for any orthonormal wavelet: PyWavelets' mode 'symmetric', which
 * mirrors a signal at its ends with the end samples repeated. Single precision.
 *
 * Rows lie at multiples of a vector. What a row has beyond its columns is zero in sub-bands and means nothing elsewhere.
 */
/** Filters of a wavelet: single precision, each of `length` taps, and one in double precision. */
@unmanaged
export class Filters {
  length: i32;
  decLow: usize;
  decHigh: usize;
  recLow: usize;
  recHigh: usize;
  /** `decHigh` in double precision. */
  exactHigh: usize;
}

/** Samples that a line of `n` keeps at the next level. */
@inline export function kept(n: i32, length: i32): i32 {
  return (n + length - 1) >> 1;
}

/** Bytes of a row of `columns` values. */
@inline export function rowBytes(columns: i32): usize {
  return (<usize>columns * 4 + 15) & ~15;
}

/** The sample at place `i` of a line of `n` samples mirrored again and again: ... 1 0 | 0 1 ... */
export function mirror(i: i32, n: i32): i32 {
  if (<u32>i < <u32>n) return i;
  const period = 2 * n;
  const place = ((i % period) + period) % period;
  return place < n ? place : period - 1 - place;
}

/** Bytes of working memory that a plane of this size needs in `decompose` and `reconstruct`. */
export function lineBytes(width: i32, length: i32): usize {
  // Two filtered rows and their even and odd samples, each with room for the mirrored ends and whole vectors.
  return 6 * (rowBytes(width + 4 * length) + 64) + <usize>length * 4 + 64;
}

/** low[x] and high[x] += over the taps, for one row of results from `length` rows; `sources` holds their addresses. */
function filterColumns(sources: usize, filters: Filters, low: usize, high: usize, columns: i32): void {
  const length = filters.length;
  const lowTaps = filters.decLow;
  const highTaps = filters.decHigh;
  const end = rowBytes(columns);
  let x: usize = 0;
  for (; x + 32 <= end; x += 32) {
    let l0 = f32x4.splat(0), l1 = l0, h0 = l0, h1 = l0;
    for (let j = 0; j < length; j++) {
      const at = load<usize>(sources + (<usize>j << 2)) + x;
      const lowTap = v128.load32_splat(lowTaps + (<usize>j << 2));
      const highTap = v128.load32_splat(highTaps + (<usize>j << 2));
      const a = v128.load(at);
      const b = v128.load(at, 16);
      l0 = f32x4.add(l0, f32x4.mul(a, lowTap));
      h0 = f32x4.add(h0, f32x4.mul(a, highTap));
      l1 = f32x4.add(l1, f32x4.mul(b, lowTap));
      h1 = f32x4.add(h1, f32x4.mul(b, highTap));
    }
    v128.store(low + x, l0);
    v128.store(low + x, l1, 16);
    v128.store(high + x, h0);
    v128.store(high + x, h1, 16);
  }
  for (; x < end; x += 16) {
    let l0 = f32x4.splat(0), h0 = l0;
    for (let j = 0; j < length; j++) {
      const a = v128.load(load<usize>(sources + (<usize>j << 2)) + x);
      l0 = f32x4.add(l0, f32x4.mul(a, v128.load32_splat(lowTaps + (<usize>j << 2))));
      h0 = f32x4.add(h0, f32x4.mul(a, v128.load32_splat(highTaps + (<usize>j << 2))));
    }
    v128.store(low + x, l0);
    v128.store(high + x, h0);
  }
}

/** Mirrors a row at both ends and parts it: evens[i] = x[2i - length], odds[i] = x[2i + 1 - length]; `length` is even. */
function partRow(row: usize, columns: i32, length: i32, evens: usize, odds: usize): void {
  const half = length >> 1;
  const pairs = (columns + 2 * length + 1) >> 1;
  for (let i = 0; i < half; i++) {
    store<f32>(evens + (<usize>i << 2), load<f32>(row + (<usize>mirror(2 * i - length, columns) << 2)));
    store<f32>(odds + (<usize>i << 2), load<f32>(row + (<usize>mirror(2 * i + 1 - length, columns) << 2)));
  }
  const insidePairs = columns >> 1;
  const evensInside = evens + (<usize>half << 2);
  const oddsInside = odds + (<usize>half << 2);
  let i = 0;
  for (; i + 4 <= insidePairs; i += 4) {
    const a = v128.load(row + (<usize>i << 3));
    const b = v128.load(row + (<usize>i << 3), 16);
    v128.store(evensInside + (<usize>i << 2), f32x4.shuffle(a, b, 0, 2, 4, 6));
    v128.store(oddsInside + (<usize>i << 2), f32x4.shuffle(a, b, 1, 3, 5, 7));
  }
  for (; i < pairs - half; i++) {
    store<f32>(evensInside + (<usize>i << 2), load<f32>(row + (<usize>mirror(2 * i, columns) << 2)));
    store<f32>(oddsInside + (<usize>i << 2), load<f32>(row + (<usize>mirror(2 * i + 1, columns) << 2)));
  }
}

/** Filters a parted row: low[k] = sum_j decLow[j] x[2k + 1 - j], and high. */
function filterRow(evens: usize, odds: usize, filters: Filters, low: usize, high: usize, columns: i32): void {
  const half = filters.length >> 1;
  const lowTaps = filters.decLow;
  const highTaps = filters.decHigh;
  // Two vectors at a time; what the second reads beyond the row has room.
  for (let k = 0; k < columns; k += 8) {
    let l0 = f32x4.splat(0), h0 = l0, l1 = l0, h1 = l0;
    // evens and odds begin `half` samples before the row.
    let at = <usize>(k + half) << 2;
    for (let i = 0; i < half; i++) {
      const tap = <usize>i << 3;
      const lowOdd = v128.load32_splat(lowTaps + tap);
      const lowEven = v128.load32_splat(lowTaps + tap, 4);
      const highOdd = v128.load32_splat(highTaps + tap);
      const highEven = v128.load32_splat(highTaps + tap, 4);
      const odd0 = v128.load(odds + at);
      const odd1 = v128.load(odds + at, 16);
      const even0 = v128.load(evens + at);
      const even1 = v128.load(evens + at, 16);
      l0 = f32x4.add(l0, f32x4.add(f32x4.mul(odd0, lowOdd), f32x4.mul(even0, lowEven)));
      h0 = f32x4.add(h0, f32x4.add(f32x4.mul(odd0, highOdd), f32x4.mul(even0, highEven)));
      l1 = f32x4.add(l1, f32x4.add(f32x4.mul(odd1, lowOdd), f32x4.mul(even1, lowEven)));
      h1 = f32x4.add(h1, f32x4.add(f32x4.mul(odd1, highOdd), f32x4.mul(even1, highEven)));
      at -= 4;
    }
    const to = <usize>k << 2;
    v128.store(low + to, l0);
    v128.store(high + to, h0);
    if (k + 4 < columns) {
      v128.store(low + to, l1, 16);
      v128.store(high + to, h1, 16);
    }
  }
  clearRest(low, columns);
  clearRest(high, columns);
}

/** Zeros what the last vector of a row has beyond its columns. */
@inline function clearRest(row: usize, columns: i32): void {
  for (let x = columns; x & 3; x++) store<f32>(row + (<usize>x << 2), 0);
}

/**
 * One level of the transform.
 *
 * @param plane `rows` rows of `columns` values
 * @param approximation, horizontal, vertical, diagonal receive the sub-bands: high-pass down the columns, along the rows,
 *   both ways
 * @param work `lineBytes` of working memory
 */
export function decompose(
  plane: usize, columns: i32, rows: i32, filters: Filters,
  approximation: usize, horizontal: usize, vertical: usize, diagonal: usize, work: usize,
): void {
  const length = filters.length;
  const stride = rowBytes(columns);
  const keptColumns = kept(columns, length);
  const keptRows = kept(rows, length);
  const keptStride = rowBytes(keptColumns);
  const line = (rowBytes(columns + 4 * length) + 64);
  const sources = work;
  const low = work + ((<usize>length * 4 + 63) & ~63);
  const high = low + line;
  const lowEvens = high + line;
  const lowOdds = lowEvens + line;
  const highEvens = lowOdds + line;
  const highOdds = highEvens + line;
  for (let k = 0; k < keptRows; k++) {
    for (let j = 0; j < length; j++) {
      store<usize>(sources + (<usize>j << 2), plane + <usize>mirror(2 * k + 1 - j, rows) * stride);
    }
    filterColumns(sources, filters, low, high, columns);
    partRow(low, columns, length, lowEvens, lowOdds);
    partRow(high, columns, length, highEvens, highOdds);
    const at = <usize>k * keptStride;
    filterRow(lowEvens, lowOdds, filters, approximation + at, vertical + at, keptColumns);
    filterRow(highEvens, highOdds, filters, horizontal + at, diagonal + at, keptColumns);
  }
}

/** x[m] = sum_k (recLow[m + L - 2 - 2k] low[k] + recHigh[...] high[k]) for one row of `pairs` pairs of samples. */
function mergeRow(low: usize, high: usize, filters: Filters, out: usize, pairs: i32): void {
  const half = filters.length >> 1;
  const lowTaps = filters.recLow + (<usize>(filters.length - 2) << 2);
  const highTaps = filters.recHigh + (<usize>(filters.length - 2) << 2);
  for (let n = 0; n < pairs; n += 8) {
    let even0 = f32x4.splat(0), odd0 = even0, even1 = even0, odd1 = even0;
    let at = <usize>n << 2;
    for (let i = 0; i < half; i++) {
      const tap = <usize>i << 3;
      const lowEven = v128.load32_splat(lowTaps - tap);
      const lowOdd = v128.load32_splat(lowTaps - tap, 4);
      const highEven = v128.load32_splat(highTaps - tap);
      const highOdd = v128.load32_splat(highTaps - tap, 4);
      const a0 = v128.load(low + at);
      const a1 = v128.load(low + at, 16);
      const d0 = v128.load(high + at);
      const d1 = v128.load(high + at, 16);
      even0 = f32x4.add(even0, f32x4.add(f32x4.mul(a0, lowEven), f32x4.mul(d0, highEven)));
      odd0 = f32x4.add(odd0, f32x4.add(f32x4.mul(a0, lowOdd), f32x4.mul(d0, highOdd)));
      even1 = f32x4.add(even1, f32x4.add(f32x4.mul(a1, lowEven), f32x4.mul(d1, highEven)));
      odd1 = f32x4.add(odd1, f32x4.add(f32x4.mul(a1, lowOdd), f32x4.mul(d1, highOdd)));
      at += 4;
    }
    const to = out + (<usize>n << 3);
    v128.store(to, f32x4.shuffle(even0, odd0, 0, 4, 1, 5));
    v128.store(to, f32x4.shuffle(even0, odd0, 2, 6, 3, 7), 16);
    v128.store(to, f32x4.shuffle(even1, odd1, 0, 4, 1, 5), 32);
    v128.store(to, f32x4.shuffle(even1, odd1, 2, 6, 3, 7), 48);
  }
}

/** Rows 2n and 2n + 1 of the inverse from rows n, n + 1 ... of `low` and `high`. */
function mergeRows(
  low: usize, high: usize, stride: usize, filters: Filters, even: usize, odd: usize, columns: i32,
): void {
  const half = filters.length >> 1;
  const end = rowBytes(columns);
  const lowTaps = filters.recLow + (<usize>(filters.length - 2) << 2);
  const highTaps = filters.recHigh + (<usize>(filters.length - 2) << 2);
  // Two vectors at a time; the second may lie beyond the row, where there is room.
  for (let x: usize = 0; x < end; x += 32) {
    let even0 = f32x4.splat(0), even1 = even0, odd0 = even0, odd1 = even0;
    let at = x;
    for (let i = 0; i < half; i++) {
      const tap = <usize>i << 3;
      const lowEven = v128.load32_splat(lowTaps - tap);
      const lowOdd = v128.load32_splat(lowTaps - tap, 4);
      const highEven = v128.load32_splat(highTaps - tap);
      const highOdd = v128.load32_splat(highTaps - tap, 4);
      const a0 = v128.load(low + at);
      const a1 = v128.load(low + at, 16);
      const d0 = v128.load(high + at);
      const d1 = v128.load(high + at, 16);
      even0 = f32x4.add(even0, f32x4.add(f32x4.mul(a0, lowEven), f32x4.mul(d0, highEven)));
      even1 = f32x4.add(even1, f32x4.add(f32x4.mul(a1, lowEven), f32x4.mul(d1, highEven)));
      odd0 = f32x4.add(odd0, f32x4.add(f32x4.mul(a0, lowOdd), f32x4.mul(d0, highOdd)));
      odd1 = f32x4.add(odd1, f32x4.add(f32x4.mul(a1, lowOdd), f32x4.mul(d1, highOdd)));
      at += stride;
    }
    v128.store(odd + x, odd0);
    v128.store(even + x, even0);
    if (x + 16 < end) {
      v128.store(odd + x, odd1, 16);
      v128.store(even + x, even1, 16);
    }
  }
}

/** Bytes of a row of `low` and of `high` in `reconstruct`: eight pairs are written at a time. */
@inline function mergedStride(columns: i32): usize {
  return rowBytes(2 * columns + 16);
}

/** Bytes of `low` and of `high` in `reconstruct`, for a level of `columns` x `rows` sub-band coefficients. */
@inline export function mergedBytes(columns: i32, rows: i32): usize {
  return mergedStride(columns) * <usize>rows;
}

/**
 * The inverse of one level.
 *
 * @param columns, rows of the sub-bands
 * @param out receives `outRows` rows of `outColumns` values, at most 2 columns - length + 2 of each
 * @param work two times `mergedBytes`
 */
export function reconstruct(
  approximation: usize, horizontal: usize, vertical: usize, diagonal: usize,
  columns: i32, rows: i32, filters: Filters, out: usize, outColumns: i32, outRows: i32, work: usize,
): void {
  const length = filters.length;
  const stride = rowBytes(columns);
  const pairs = columns - (length >> 1) + 1;
  const mergedRow = mergedStride(columns);
  const low = work;
  const high = work + mergedBytes(columns, rows);
  for (let k = 0; k < rows; k++) {
    const at = <usize>k * stride;
    mergeRow(approximation + at, vertical + at, filters, low + <usize>k * mergedRow, pairs);
    mergeRow(horizontal + at, diagonal + at, filters, high + <usize>k * mergedRow, pairs);
  }
  const outStride = rowBytes(outColumns);
  for (let m = 0; m < outRows; m += 2) {
    const n = <usize>(m >> 1) * mergedRow;
    const even = out + <usize>m * outStride;
    // The last row of an odd number has no partner: one is written and then written over.
    const odd = m + 1 < outRows ? even + outStride : even;
    mergeRows(low + n, high + n, mergedRow, filters, even, odd, outColumns);
  }
}
