/**
 * Resampling that equals Pillow's, bit for bit, since the labels that people compare with come from Pillow: a separable
 * filter whose support grows with the reduction, horizontal pass first, 8 bits (or single precision) in between.
 *
 * The algorithm is that of Pillow's Image.resize (libImaging: Resample.c for the filters, Geometry.c for nearest).
 * Own code rather than libvips's resize, whose filters are others and change between versions; docs/images.md compares.
 */
import type { RgbImage } from '../types.js';
import { horizontal, vertical } from './kernel/rgb-passes.js';
import { type Interpolation, KERNELS, type Kernel, nearest, type Taps, taps } from './taps.js';

/** A rectangle of whole pixels. */
export interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Which part of a source is scaled to which size, and which part of the result is wanted. */
export interface Resampling {
  /** Part of the source that takes part; nothing outside it has influence. */
  readonly source: Rectangle;
  /** Size that `source` is scaled to. */
  readonly width: number;
  readonly height: number;
  /** Part of the scaled image that is computed; lies inside it. */
  readonly wanted: Rectangle;
  readonly interpolation: Interpolation;
}

function nearestIndices({ source, width, height, wanted }: Resampling): { columns: Int32Array; rows: Int32Array } {
  return {
    columns: nearest(source.width, width, wanted.left, wanted.width),
    rows: nearest(source.height, height, wanted.top, wanted.height),
  };
}

/**
 * Whether the vertical pass comes first, which changes the rounding in between: Pillow 13 begins with the rows where
 * they shrink by more than twice what the columns do (found by measuring; earlier versions never do). Square sources
 * scaled to squares, which most models want, are never concerned.
 */
function beginsWithRows(plan: Resampling): boolean {
  const fewerRows = plan.source.height - plan.height;
  return fewerRows > 0 && fewerRows > 2 * (plan.source.width - plan.width);
}

/** The passes over one kind of data. `origin` is the index of the first sample of row 0, column 0 of the taps. */
interface Passes<T> {
  readonly copy: (data: T, origin: number, stride: number, rows: number, length: number) => T;
  readonly horizontal: (data: T, origin: number, stride: number, rows: number, columns: Taps) => T;
  readonly vertical: (data: T, origin: number, stride: number, length: number, rows: Taps) => T;
}

/** @param samples values a pixel that lie side by side */
function separable<T>(
  data: T,
  origin: number,
  stride: number,
  samples: number,
  plan: Resampling,
  kernel: Kernel,
  { copy, horizontal, vertical }: Passes<T>,
): T {
  const { source, wanted } = plan;
  const { left, top, width, height } = wanted;
  const columns = plan.width === source.width ? undefined : taps(kernel, source.width, plan.width, left, width);
  const rows = plan.height === source.height ? undefined : taps(kernel, source.height, plan.height, top, height);
  if (columns === undefined) {
    return rows === undefined
      ? copy(data, origin + top * stride + left * samples, stride, height, width * samples)
      : vertical(data, origin + left * samples, stride, width * samples, rows);
  }
  if (rows === undefined) return horizontal(data, origin + top * stride, stride, height, columns);
  // Only what the second pass reads goes through the first.
  if (beginsWithRows(plan)) {
    const [first, end] = reach(columns);
    const length = (end - first) * samples;
    const lines = vertical(data, origin + first * samples, stride, length, rows);
    return horizontal(lines, -first * samples, length, height, columns);
  }
  const [first, end] = reach(rows);
  const lines = horizontal(data, origin + first * stride, stride, end - first, columns);
  return vertical(lines, -first * width * samples, width * samples, width * samples, rows);
}

/** The inputs that any of the taps read: from the first to before the last. */
function reach({ first, count }: Taps): readonly [number, number] {
  const last = first.length - 1;
  return [first[0]!, first[last]! + count[last]!];
}

const RGB8: Passes<Uint8Array> = {
  copy: (data, origin, stride, rows, length) => {
    const out = new Uint8Array(rows * length);
    for (let row = 0; row < rows; row++) {
      out.set(data.subarray(origin + row * stride, origin + row * stride + length), row * length);
    }
    return out;
  },
  horizontal,
  vertical,
};

const PLANE32: Passes<Float32Array> = {
  copy: (data, origin, stride, rows, length) => {
    const out = new Float32Array(rows * length);
    for (let row = 0; row < rows; row++) {
      out.set(data.subarray(origin + row * stride, origin + row * stride + length), row * length);
    }
    return out;
  },
  horizontal: (data, origin, stride, rows, { first, count, weights, stride: tapStride }) => {
    const out = new Float32Array(rows * first.length);
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < first.length; i++) {
        const from = origin + row * stride + first[i]!;
        let sum = 0;
        for (let k = 0; k < count[i]!; k++) sum += data[from + k]! * weights[i * tapStride + k]!;
        out[row * first.length + i] = sum;
      }
    }
    return out;
  },
  vertical: (data, origin, stride, length, { first, count, weights, stride: tapStride }) => {
    const out = new Float32Array(first.length * length);
    for (let i = 0; i < first.length; i++) {
      const begin = origin + first[i]! * stride;
      for (let x = 0; x < length; x++) {
        let sum = 0;
        for (let k = 0; k < count[i]!; k++) sum += data[begin + k * stride + x]! * weights[i * tapStride + k]!;
        out[i * length + x] = sum;
      }
    }
    return out;
  },
};

/**
 * Resamples 8-bit RGB. Equals Pillow's `crop`, `resize`, `crop` on mode RGB, byte for byte.
 *
 * @returns a new image of the size of `plan.wanted`
 */
export function resample(image: RgbImage, plan: Resampling): RgbImage {
  const { source, interpolation } = plan;
  const { width, height } = plan.wanted;
  const stride = image.width * 3;
  const origin = source.top * stride + source.left * 3;
  if (interpolation !== 'nearest') {
    return { width, height, data: separable(image.data, origin, stride, 3, plan, KERNELS[interpolation], RGB8) };
  }
  const { columns, rows } = nearestIndices(plan);
  const data = new Uint8Array(width * height * 3);
  let to = 0;
  for (const row of rows) {
    for (const column of columns) {
      const from = origin + row * stride + column * 3;
      data[to] = image.data[from]!;
      data[to + 1] = image.data[from + 1]!;
      data[to + 2] = image.data[from + 2]!;
      to += 3;
    }
  }
  return { width, height, data };
}

/**
 * Resamples planar single precision of any range. Equals Pillow's `crop`, `resize`, `crop` on mode F, bit for bit.
 *
 * @param planes float32 [channels, height, width]
 * @returns float32 [channels, wanted.height, wanted.width]
 */
export function resamplePlanar(
  planes: Float32Array,
  channels: number,
  width: number,
  height: number,
  plan: Resampling,
): Float32Array {
  const { source, wanted, interpolation } = plan;
  const size = wanted.width * wanted.height;
  const out = new Float32Array(channels * size);
  for (let channel = 0; channel < channels; channel++) {
    const origin = channel * width * height + source.top * width + source.left;
    if (interpolation !== 'nearest') {
      out.set(separable(planes, origin, width, 1, plan, KERNELS[interpolation], PLANE32), channel * size);
      continue;
    }
    const { columns, rows } = nearestIndices(plan);
    let to = channel * size;
    for (const row of rows) for (const column of columns) out[to++] = planes[origin + row * width + column]!;
  }
  return out;
}
