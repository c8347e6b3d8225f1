/**
 * The engine of non-local means: for each shift t of the search window, the distances of the patches around p and p + t
 * for all p at once (Darbon et al., 'Fast Nonlocal Filtering Applied to Electron Cryomicroscopy', ISBI 2008), by running
 * sums, so that the cost does not grow with the area of the patch. A distance serves both p and p + t, so half of the
 * shifts suffice.
 */
import { mirror, pad } from './planes.js';

/** How alike patches become weights. */
export interface PatchAverage {
  /** Patch rows and columns around a pixel: from -before to +after. */
  readonly before: number;
  readonly after: number;
  /** Weights of the patch's rows, and of its columns; `undefined` weighs all places 1. */
  readonly profile: Float64Array | undefined;
  /** Largest shift in pixels, along rows and along columns. */
  readonly reach: number;
  /** Whether the search stays inside the image or runs into its mirror image. */
  readonly search: 'inside' | 'mirrored';
  /** Distance of two patches = weighted sum of squared differences over patch and planes, times this. */
  readonly scale: number;
  /** Weights at the distances 0 to `furthest`, as `tabulate` makes them, read by linear interpolation; 0 beyond. */
  readonly table: Float32Array;
  readonly furthest: number;
  /** A pair weighs 0 where its distance without the patch's last row is beyond this. */
  readonly furthestBeforeLastRow: number;
  /** Weight of a pixel with itself. */
  readonly own: number;
}

/** A table of `decay` over [0, furthest], small enough for the first-level cache; over [0, 30] an exponential errs by 7e-6. */
export function tabulate(decay: (distance: number) => number, furthest: number): Float32Array {
  const cells = 4096;
  return Float32Array.from({ length: cells + 3 }, (_, i) => (i <= cells ? decay((i * furthest) / cells) : 0));
}

/**
 * Replaces each pixel by the weighted mean of the pixels around it, in place.
 *
 * @param planes any number of float32 planes [height, width]; patches are compared in all of them jointly
 */
export function averageByPatches(
  planes: readonly Float32Array[],
  width: number,
  height: number,
  average: PatchAverage,
): void {
  const { before, after, profile, reach, scale, table, furthest, furthestBeforeLastRow, own } = average;
  const size = before + after + 1;
  const beyond = average.search === 'mirrored' ? reach : 0;
  // The domain is where p and p + t may lie; patches reach further by the margin's rest.
  const domainWidth = width + 2 * beyond;
  const domainHeight = height + 2 * beyond;
  const rest = Math.max(before, after);
  const stride = domainWidth + 2 * rest;
  const padded = planes.map(values => pad(values, width, height, beyond + rest, mirror));
  const centres = planes.map(values => pad(values, width, height, beyond, mirror));
  const sums = centres.map(values => Float64Array.from(values, value => own * value));
  const totals = new Float64Array(domainWidth * domainHeight).fill(own);
  const squares = new Float64Array(stride + 1);
  const rows = new Float64Array(domainWidth * (domainHeight + size - 1));
  const sum = new Float64Array(domainWidth);
  const partial = new Float64Array(domainWidth);
  const weights = new Float64Array(domainWidth);
  const cellsPerUnit = (table.length - 3) / furthest;
  const selective = furthestBeforeLastRow < Number.POSITIVE_INFINITY;

  for (let down = 0; down <= Math.min(reach, domainHeight - 1); down++) {
    for (let right = down === 0 ? 1 : -reach; right <= reach; right++) {
      const first = Math.max(0, -right);
      const count = Math.min(domainWidth, domainWidth - right) - first;
      if (count <= 0) continue;
      const rowCount = domainHeight - down;
      const shift = down * stride + right;
      for (let y = 0; y < rowCount + size - 1; y++) {
        const corner = (y + rest - before) * stride + first + rest - before;
        squareDifferences(padded, squares, corner, count + size - 1, shift);
        const row = rows.subarray(y * domainWidth, y * domainWidth + count);
        if (profile === undefined) slide(squares, row, size);
        else weigh(squares, row, profile);
      }
      sum.fill(0);
      for (let y = 0; y < rowCount; y++) {
        sumRows(rows, domainWidth, y, count, profile, size, sum, partial);
        lookUp(sum, weights, count, scale, table, cellsPerUnit);
        if (selective) dropWhere(partial, weights, count, furthestBeforeLastRow / scale);
        const from = y * domainWidth + first;
        addBoth(totals, sums, centres, weights, count, from, from + down * domainWidth + right);
      }
    }
  }
  for (const [p, values] of planes.entries()) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const at = (y + beyond) * domainWidth + x + beyond;
        values[y * width + x] = sums[p]![at]! / totals[at]!;
      }
    }
  }
}

/** Squared differences between places and places shifted, summed over the planes. */
function squareDifferences(
  padded: readonly Float32Array[],
  out: Float64Array,
  at: number,
  length: number,
  shift: number,
): void {
  const there = at + shift;
  if (padded.length === 3) {
    const [a, b, c] = padded as [Float32Array, Float32Array, Float32Array];
    for (let i = 0; i < length; i++) {
      const da = a[at + i]! - a[there + i]!;
      const db = b[at + i]! - b[there + i]!;
      const dc = c[at + i]! - c[there + i]!;
      out[i] = da * da + db * db + dc * dc;
    }
    return;
  }
  out.fill(0, 0, length);
  for (const values of padded) {
    for (let i = 0; i < length; i++) {
      const difference = values[at + i]! - values[there + i]!;
      out[i]! += difference * difference;
    }
  }
}

/** Running sums of `size` neighbours. */
function slide(values: Float64Array, out: Float64Array, size: number): void {
  let total = 0;
  for (let i = 0; i < size; i++) total += values[i]!;
  // One addition on the chain from sum to sum, not two: the processor waits for each.
  for (let i = 0; i < out.length; i++) {
    out[i] = total;
    total += values[i + size]! - values[i]!;
  }
}

function weigh(values: Float64Array, out: Float64Array, profile: Float64Array): void {
  for (let i = 0; i < out.length; i++) {
    let total = 0;
    for (let k = 0; k < profile.length; k++) total += profile[k]! * values[i + k]!;
    out[i] = total;
  }
}

/** Sums of `size` rows from row `y`, and the same without the last row. `sum` carries over from row to row. */
function sumRows(
  rows: Float64Array,
  stride: number,
  y: number,
  count: number,
  profile: Float64Array | undefined,
  size: number,
  sum: Float64Array,
  partial: Float64Array,
): void {
  const last = (y + size - 1) * stride;
  if (profile === undefined) {
    if (y === 0) {
      for (let k = 0; k < size - 1; k++) for (let x = 0; x < count; x++) sum[x]! += rows[k * stride + x]!;
    } else {
      const gone = (y - 1) * stride;
      for (let x = 0; x < count; x++) sum[x]! -= rows[gone + x]!;
    }
    for (let x = 0; x < count; x++) {
      partial[x] = sum[x]!;
      sum[x]! += rows[last + x]!;
    }
    return;
  }
  partial.fill(0);
  for (let k = 0; k < size - 1; k++) {
    const weight = profile[k]!;
    for (let x = 0, at = (y + k) * stride; x < count; x++, at++) partial[x]! += weight * rows[at]!;
  }
  for (let x = 0; x < count; x++) sum[x] = partial[x]! + profile[size - 1]! * rows[last + x]!;
}

/** Weights of a row of distances; the table's last cell is 0, and stands for all that is further. */
function lookUp(
  sum: Float64Array,
  weights: Float64Array,
  count: number,
  scale: number,
  table: Float32Array,
  cellsPerUnit: number,
): void {
  const last = table.length - 2;
  const factor = scale * cellsPerUnit;
  for (let x = 0; x < count; x++) {
    // Running sums leave a rounding residue that may be below 0.
    const cell = Math.min(Math.max(sum[x]! * factor, 0), last);
    const lower = cell | 0;
    const value = table[lower]!;
    weights[x] = value + (table[lower + 1]! - value) * (cell - lower);
  }
}

function dropWhere(partial: Float64Array, weights: Float64Array, count: number, limit: number): void {
  for (let x = 0; x < count; x++) if (partial[x]! > limit) weights[x] = 0;
}

/** Adds the weighted pixels of a row to their partners, and the weights to both. */
function addBoth(
  totals: Float64Array,
  sums: readonly Float64Array[],
  centres: readonly Float32Array[],
  weights: Float64Array,
  count: number,
  from: number,
  to: number,
): void {
  for (let x = 0; x < count; x++) {
    const weight = weights[x]!;
    totals[from + x]! += weight;
    totals[to + x]! += weight;
  }
  for (const [p, values] of centres.entries()) spread(sums[p]!, values, weights, count, from, to);
}

function spread(
  sums: Float64Array,
  values: Float32Array,
  weights: Float64Array,
  count: number,
  from: number,
  to: number,
): void {
  for (let x = 0; x < count; x++) {
    const weight = weights[x]!;
    sums[from + x]! += weight * values[to + x]!;
    sums[to + x]! += weight * values[from + x]!;
  }
}
