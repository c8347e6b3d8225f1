/**
 * Median smoothing. Xu, Evans, Qi, NDSS 2018, section III-B: each channel by itself, n x n window, border mirrored with
 * the edge sample repeated. An even window reaches one pixel further up and left than down and right, and takes the
 * upper of the two middle values, as scipy.ndimage.median_filter does.
 */
import { mirrorWithEdge, pad, plane } from './planes.js';
import { defineStep, integer } from './step.js';

/**
 * Filters one plane in place.
 *
 * @param values float32 [height, width]
 * @param size n, side of the window in pixels
 */
export function medianFilter(values: Float32Array, width: number, height: number, size: number): void {
  const before = size >> 1;
  const stride = width + 2 * before;
  const padded = pad(values, width, height, before, mirrorWithEdge);
  if (size === 2) median2(padded, stride, values, width, height);
  else if (size === 3) median3(padded, stride, values, width, height);
  else if (size > 3) medianAny(padded, stride, values, width, height, size);
}

function median2(padded: Float32Array, stride: number, out: Float32Array, width: number, height: number): void {
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * stride + x;
      const a = padded[at]!;
      const b = padded[at + 1]!;
      const c = padded[at + stride]!;
      const d = padded[at + stride + 1]!;
      const high = a > b ? a : b;
      const otherHigh = c > d ? c : d;
      const low = a > b ? b : a;
      const otherLow = c > d ? d : c;
      const lesserHigh = high < otherHigh ? high : otherHigh;
      const greaterLow = low > otherLow ? low : otherLow;
      out[y * width + x] = lesserHigh > greaterLow ? lesserHigh : greaterLow;
    }
  }
}

/** The median of nine is the median of: the greatest of the columns' least, the middle one of their middles, the least of their greatest. */
function median3(padded: Float32Array, stride: number, out: Float32Array, width: number, height: number): void {
  const low = new Float32Array(stride);
  const middle = new Float32Array(stride);
  const high = new Float32Array(stride);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x;
      const a = padded[at]!;
      const b = padded[at + stride]!;
      const c = padded[at + 2 * stride]!;
      const least = a < b ? a : b;
      const most = a < b ? b : a;
      low[x] = c < least ? c : least;
      high[x] = c > most ? c : most;
      middle[x] = c < least ? least : c > most ? most : c;
    }
    for (let x = 0; x < width; x++) {
      const l = low[x]! > low[x + 1]! ? low[x]! : low[x + 1]!;
      const h = high[x]! < high[x + 1]! ? high[x]! : high[x + 1]!;
      out[y * width + x] = median(
        l > low[x + 2]! ? l : low[x + 2]!,
        median(middle[x]!, middle[x + 1]!, middle[x + 2]!),
        h < high[x + 2]! ? h : high[x + 2]!,
      );
    }
  }
}

function median(a: number, b: number, c: number): number {
  const least = a < b ? a : b;
  const most = a < b ? b : a;
  return c < least ? least : c > most ? most : c;
}

function medianAny(
  padded: Float32Array,
  stride: number,
  out: Float32Array,
  width: number,
  height: number,
  size: number,
): void {
  const window = new Float32Array(size * size);
  const rank = window.length >> 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let row = 0, at = 0; row < size; row++) {
        for (let column = 0; column < size; column++, at++) window[at] = padded[(y + row) * stride + x + column]!;
      }
      out[y * width + x] = select(window, rank);
    }
  }
}

/** The value of 0-based rank `rank` (Hoare's selection); reorders `values`. */
function select(values: Float32Array, rank: number): number {
  let left = 0;
  let right = values.length - 1;
  while (left < right) {
    const pivot = values[rank]!;
    let i = left;
    let j = right;
    while (i <= j) {
      while (values[i]! < pivot) i++;
      while (values[j]! > pivot) j--;
      if (i <= j) {
        const held = values[i]!;
        values[i++] = values[j]!;
        values[j--] = held;
      }
    }
    if (j < rank) left = i;
    if (rank < i) right = j;
  }
  return values[rank]!;
}

/** The transpose of the filter at `values`: the gradient of a pixel goes to the place in its window that the median came from. */
function medianBack(gradient: Float32Array, values: Float32Array, width: number, height: number, size: number): void {
  const filtered = values.slice();
  medianFilter(filtered, width, height, size);
  const outer = gradient.slice();
  gradient.fill(0);
  const before = size >> 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const middle = filtered[y * width + x]!;
      let place = -1;
      for (let row = 0; row < size && place < 0; row++) {
        const line = mirrorWithEdge(y + row - before, height) * width;
        for (let column = 0; column < size; column++) {
          const at = line + mirrorWithEdge(x + column - before, width);
          if (values[at] !== middle) continue;
          place = at;
          break;
        }
      }
      gradient[place]! += outer[y * width + x]!;
    }
  }
}

export const medianSmoothing = defineStep({
  name: 'median',
  parameters: { size: integer(2, 1, 31) },
  apply(planes, width, height, { size }) {
    for (let channel = 0; channel < 3; channel++) {
      medianFilter(plane(planes, channel, width, height), width, height, size);
    }
  },
  back(gradient, planes, width, height, { size }) {
    for (let channel = 0; channel < 3; channel++) {
      medianBack(plane(gradient, channel, width, height), plane(planes, channel, width, height), width, height, size);
    }
  },
});
