/**
 * Resampling that equals Pillow's, bit for bit, since the labels that people compare with come from Pillow: a separable
 * filter whose support grows with the reduction, horizontal pass first, 8 bits (or single precision) in between.
 *
 * The algorithm is that of Pillow's Image.resize (libImaging: Resample.c for the filters, Geometry.c for nearest).
 * Own code rather than libvips's resize, whose filters are others and change between versions; docs/images.md compares.
 */
import type { Preprocessing, RgbImage } from '../types.js';

export type Interpolation = Preprocessing['interpolation'];

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

/** Half-width and shape of a continuous kernel. */
interface Kernel {
  readonly support: number;
  readonly weight: (x: number) => number;
}

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

const KERNELS: Readonly<Record<Exclude<Interpolation, 'nearest'>, Kernel>> = {
  bilinear: { support: 1, weight: x => Math.max(0, 1 - Math.abs(x)) },
  /** Keys, Cubic convolution interpolation, 1981, with a = -1/2. */
  bicubic: {
    support: 2,
    weight: x => {
      const a = -0.5;
      const d = Math.abs(x);
      if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
      return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
    },
  },
  lanczos: { support: 3, weight: x => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/** For each wanted position along an axis: where its inputs begin, how many there are, and their weights. */
interface Taps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** `stride` weights a position, the unused ones 0. */
  readonly weights: Float64Array;
  readonly stride: number;
}

function taps(kernel: Kernel, inputs: number, outputs: number, from: number, length: number): Taps {
  const scale = inputs / outputs;
  const stretch = Math.max(scale, 1);
  const support = kernel.support * stretch;
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(length);
  const count = new Int32Array(length);
  const weights = new Float64Array(length * stride);
  for (let i = 0; i < length; i++) {
    const centre = (from + i + 0.5) * scale;
    const begin = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), inputs);
    let sum = 0;
    for (let x = begin; x < end; x++) {
      const weight = kernel.weight((x - centre + 0.5) * (1 / stretch));
      weights[i * stride + x - begin] = weight;
      sum += weight;
    }
    if (sum !== 0) for (let k = 0; k < end - begin; k++) weights[i * stride + k]! /= sum;
    first[i] = begin;
    count[i] = end - begin;
  }
  return { first, count, weights, stride };
}

/** Fixed point of the 8-bit passes: 8 bits of pixel and 2 of headroom leave 22 for the weight. */
const FRACTION_BITS = 22;
const HALF = 1 << (FRACTION_BITS - 1);

/** Weights rounded half away from zero to fixed point. */
function fixedPoint(weights: Float64Array): Int32Array {
  return Int32Array.from(weights, weight => Math.trunc(weight * 2 ** FRACTION_BITS + (weight < 0 ? -0.5 : 0.5)));
}

/** Nearest source index of each wanted position; steps are summed as Pillow sums them, so that ties fall alike. */
function nearest(inputs: number, outputs: number, from: number, length: number): Int32Array {
  const step = inputs / outputs;
  const indices = new Int32Array(length);
  let position = step * 0.5;
  for (let i = 0; i < from + length; i++) {
    if (i >= from) indices[i - from] = Math.min(Math.trunc(position), inputs - 1);
    position += step;
  }
  return indices;
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
  horizontal: (data, origin, stride, rows, { first, count, weights: real, stride: tapStride }) => {
    const weights = fixedPoint(real);
    const out = new Uint8ClampedArray(rows * first.length * 3);
    let to = 0;
    for (let row = 0; row < rows; row++) {
      const line = origin + row * stride;
      for (let i = 0; i < first.length; i++) {
        let from = line + first[i]! * 3;
        let tap = i * tapStride;
        const end = tap + count[i]!;
        let red = HALF;
        let green = HALF;
        let blue = HALF;
        for (; tap < end; tap++, from += 3) {
          const weight = weights[tap]!;
          red = (red + Math.imul(data[from]!, weight)) | 0;
          green = (green + Math.imul(data[from + 1]!, weight)) | 0;
          blue = (blue + Math.imul(data[from + 2]!, weight)) | 0;
        }
        out[to] = red >> FRACTION_BITS;
        out[to + 1] = green >> FRACTION_BITS;
        out[to + 2] = blue >> FRACTION_BITS;
        to += 3;
      }
    }
    return new Uint8Array(out.buffer);
  },
  vertical: (data, origin, stride, length, { first, count, weights: real, stride: tapStride }) => {
    const weights = fixedPoint(real);
    const out = new Uint8ClampedArray(first.length * length);
    for (let i = 0; i < first.length; i++) {
      const begin = origin + first[i]! * stride;
      const tap = i * tapStride;
      const end = tap + count[i]!;
      const line = i * length;
      // Three sums at a time, as in the other pass, so that a weight is read once for all of them.
      for (let x = 0; x < length; x += 3) {
        let red = HALF;
        let green = HALF;
        let blue = HALF;
        for (let k = tap, from = begin + x; k < end; k++, from += stride) {
          const weight = weights[k]!;
          red = (red + Math.imul(data[from]!, weight)) | 0;
          green = (green + Math.imul(data[from + 1]!, weight)) | 0;
          blue = (blue + Math.imul(data[from + 2]!, weight)) | 0;
        }
        out[line + x] = red >> FRACTION_BITS;
        out[line + x + 1] = green >> FRACTION_BITS;
        out[line + x + 2] = blue >> FRACTION_BITS;
      }
    }
    return new Uint8Array(out.buffer);
  },
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

/** Scales a whole image. Equals Pillow's `resize`. */
export function resizeRgb(image: RgbImage, width: number, height: number, interpolation: Interpolation): RgbImage {
  return resample(image, whole(image.width, image.height, width, height, interpolation));
}

/**
 * Scales whole planes. Equals Pillow's `resize` on mode F.
 *
 * @param planes float32 [channels, height, width]
 * @returns float32 [channels, toHeight, toWidth]
 */
export function resizePlanar(
  planes: Float32Array,
  channels: number,
  width: number,
  height: number,
  toWidth: number,
  toHeight: number,
  interpolation: Interpolation,
): Float32Array {
  return resamplePlanar(planes, channels, width, height, whole(width, height, toWidth, toHeight, interpolation));
}

function whole(
  width: number,
  height: number,
  toWidth: number,
  toHeight: number,
  interpolation: Interpolation,
): Resampling {
  return {
    source: { left: 0, top: 0, width, height },
    width: toWidth,
    height: toHeight,
    wanted: { left: 0, top: 0, width: toWidth, height: toHeight },
    interpolation,
  };
}
