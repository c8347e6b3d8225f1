/**
 * JPEG compression and decompression. ISO/IEC 10918-1 (ITU-T T.81): colour transform (JFIF), 8x8 DCT, quantisation by
 * the tables of annex K scaled to a quality, and back. Entropy coding loses nothing and is left out. Das et al., 'Keeping
 * the Bad Guys Out', 2017, and Table 5 of the Pixel Deflection paper use it as a defence.
 *
 * The numbers follow the integer arithmetic that libjpeg made the standard in practice: 16-bit colour factors, the
 * DCT of Loeffler, Ligtenberg, Moschytz, 'Practical Fast 1-D DCT Algorithms with 11 Multiplications', ICASSP 1989, with
 * 13-bit factors, and chroma halved by means and doubled again by a triangle filter.
 */
import { plane } from './planes.js';
import { choice, defineStep, integer } from './step.js';

export interface JpegParameters {
  /** 1 to 100. */
  readonly quality: number;
  /** Chroma at half resolution both ways (4:2:0), or full (4:4:4). */
  readonly subsampling: '420' | '444';
}

/**
 * Compresses and decompresses in place; the result has 8 bits a channel.
 *
 * @param planes float32, planar [3, height, width], RGB in [0, 1]; rounded to 8 bits first
 */
export function jpegRoundTrip(planes: Float32Array, width: number, height: number, parameters: JpegParameters): void {
  const { quality, subsampling } = parameters;
  const [luma, ...chroma] = toYcc(planes, width, height);
  codePlane(luma!, scaledTable(LUMA_TABLE, quality));
  const table = scaledTable(CHROMA_TABLE, quality);
  const coded = chroma.map(full => {
    const small = subsampling === '420' ? halve(full) : full;
    codePlane(small, table);
    return subsampling === '420' ? double(small, width, height) : small;
  });
  fromYcc(luma!, coded[0]!, coded[1]!, planes, width, height);
}

/** A plane of samples in 0 to 255. `width` and `height` say how much of it is image; rows are `stride` apart. */
interface Samples {
  readonly width: number;
  readonly height: number;
  readonly stride: number;
  readonly data: Uint8ClampedArray;
}

const BLOCK = 8;

function samples(width: number, height: number): Samples {
  const stride = Math.ceil(width / BLOCK) * BLOCK;
  return { width, height, stride, data: new Uint8ClampedArray(stride * Math.ceil(height / BLOCK) * BLOCK) };
}

/** Repeats the last column and row of the image up to whole blocks. */
function extend({ width, height, stride, data }: Samples): void {
  for (let y = 0; y < height; y++) data.fill(data[y * stride + width - 1]!, y * stride + width, (y + 1) * stride);
  extendDown({ width, height, stride, data });
}

function extendDown({ height, stride, data }: Samples): void {
  for (let at = height * stride; at < data.length; at += stride)
    data.copyWithin(at, (height - 1) * stride, height * stride);
}

/** JFIF 1.02, section 7: factors with 16 fractional bits. */
function toYcc(planes: Float32Array, width: number, height: number): Samples[] {
  const [luma, blue, red] = [0, 1, 2].map(() => samples(width, height)) as [Samples, Samples, Samples];
  const [r, g, b] = [0, 1, 2].map(c => plane(planes, c, width, height)) as [Float32Array, Float32Array, Float32Array];
  const { stride } = luma;
  const half = 1 << 15;
  const centre = (128 << 16) + half - 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0, from = y * width, to = y * stride; x < width; x++, from++, to++) {
      const red8 = Math.round(r[from]! * 255);
      const green8 = Math.round(g[from]! * 255);
      const blue8 = Math.round(b[from]! * 255);
      luma.data[to] = (19595 * red8 + 38470 * green8 + 7471 * blue8 + half) >> 16;
      blue.data[to] = (-11059 * red8 - 21709 * green8 + 32768 * blue8 + centre) >> 16;
      red.data[to] = (32768 * red8 - 27439 * green8 - 5329 * blue8 + centre) >> 16;
    }
  }
  for (const channel of [luma, blue, red]) extend(channel);
  return [luma, blue, red];
}

function fromYcc(
  luma: Samples,
  blue: Samples,
  red: Samples,
  planes: Float32Array,
  width: number,
  height: number,
): void {
  const area = width * height;
  const half = 1 << 15;
  const level = new Uint8ClampedArray(3);
  for (let y = 0; y < height; y++) {
    for (let x = 0, to = y * width; x < width; x++, to++) {
      const value = luma.data[y * luma.stride + x]!;
      const cb = blue.data[y * blue.stride + x]! - 128;
      const cr = red.data[y * red.stride + x]! - 128;
      level[0] = value + ((91881 * cr + half) >> 16);
      level[1] = value + ((-22554 * cb - 46802 * cr + half) >> 16);
      level[2] = value + ((116130 * cb + half) >> 16);
      planes[to] = level[0]! / 255;
      planes[to + area] = level[1]! / 255;
      planes[to + 2 * area] = level[2]! / 255;
    }
  }
}

/** Means of 2x2 samples; halves are rounded down and up in turn, so that no bias builds up. */
function halve(full: Samples): Samples {
  const small = samples(Math.ceil(full.width / 2), Math.ceil(full.height / 2));
  for (let y = 0; y < small.height; y++) {
    const upper = 2 * y * full.stride;
    const lower = Math.min(2 * y + 1, full.height - 1) * full.stride;
    for (let x = 0; x < small.stride; x++) {
      const left = Math.min(2 * x, full.stride - 1);
      const right = Math.min(2 * x + 1, full.stride - 1);
      const sum =
        full.data[upper + left]! + full.data[upper + right]! + full.data[lower + left]! + full.data[lower + right]!;
      small.data[y * small.stride + x] = (sum + 1 + (x & 1)) >> 2;
    }
  }
  extendDown(small);
  return small;
}

/** Twice the size by a triangle filter: 3/4 of the nearer sample and 1/4 of the farther, along both axes. */
function double(small: Samples, width: number, height: number): Samples {
  const full = samples(width, height);
  const last = small.width - 1;
  const column = new Int32Array(small.width);
  for (let y = 0; y < height; y++) {
    const near = y >> 1;
    const far = Math.min(Math.max(near + ((y & 1) === 0 ? -1 : 1), 0), small.height - 1);
    const out = y * full.stride;
    if (last < 2) {
      // libjpeg repeats samples where a plane is too narrow for its filter.
      for (let x = 0; x < width; x++) full.data[out + x] = small.data[near * small.stride + (x >> 1)]!;
      continue;
    }
    for (let x = 0; x <= last; x++) {
      column[x] = 3 * small.data[near * small.stride + x]! + small.data[far * small.stride + x]!;
    }
    for (let x = 0; x < width; x++) {
      const nearest = x >> 1;
      const right = x & 1;
      const beside = Math.min(Math.max(nearest + (right === 0 ? -1 : 1), 0), last);
      full.data[out + x] = (3 * column[nearest]! + column[beside]! + 8 - right) >> 4;
    }
  }
  return full;
}

// ITU-T T.81, tables K.1 and K.2, row by row.
const LUMA_TABLE = [
  16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
  87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
  72, 92, 95, 98, 112, 100, 103, 99,
];
const CHROMA_TABLE = [
  17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99,
  99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
  99, 99, 99, 99, 99, 99,
];

/** The quality scale of the Independent JPEG Group: 50 is the standard's table, 100 all ones. */
function scaledTable(table: readonly number[], quality: number): Int32Array {
  const percent = quality < 50 ? Math.floor(5000 / quality) : 200 - 2 * quality;
  return Int32Array.from(table, step => Math.min(255, Math.max(1, Math.floor((step * percent + 50) / 100))));
}

/** Transforms, quantises and restores all blocks of a plane in place. */
function codePlane({ stride, data }: Samples, table: Int32Array): void {
  const block = new Int32Array(BLOCK * BLOCK);
  const rows = data.length / stride;
  for (let top = 0; top < rows; top += BLOCK) {
    for (let left = 0; left < stride; left += BLOCK) {
      const corner = top * stride + left;
      for (let i = 0; i < 64; i++) block[i] = data[corner + (i >> 3) * stride + (i & 7)]! - 128;
      for (let row = 0; row < 64; row += 8) forwardDct(block, row, 1, -PASS_BITS, FACTOR_BITS - PASS_BITS);
      for (let column = 0; column < 8; column++) forwardDct(block, column, 8, PASS_BITS, FACTOR_BITS + PASS_BITS);
      for (let i = 0; i < 64; i++) {
        // The transform leaves its values 8 times too large; halves are rounded away from zero.
        const step = table[i]! << 3;
        const value = block[i]!;
        const magnitude = (value < 0 ? -value : value) + (step >> 1);
        // Most coefficients are rounded to nothing.
        const level = magnitude < step ? 0 : Math.trunc(magnitude / step);
        block[i] = (value < 0 ? -level : level) * table[i]!;
      }
      for (let column = 0; column < 8; column++) {
        if (isFlat(block, column)) spread(block, column);
        else inverseDct(block, column, 8, FACTOR_BITS - PASS_BITS);
      }
      for (let row = 0; row < 64; row += 8) inverseDct(block, row, 1, FACTOR_BITS + PASS_BITS + 3);
      for (let i = 0; i < 64; i++) data[corner + (i >> 3) * stride + (i & 7)] = block[i]! + 128;
    }
  }
}

/** Whether a column of coefficients holds nothing but its first. */
function isFlat(block: Int32Array, column: number): boolean {
  return (
    (block[column + 8]! |
      block[column + 16]! |
      block[column + 24]! |
      block[column + 32]! |
      block[column + 40]! |
      block[column + 48]! |
      block[column + 56]!) ===
    0
  );
}

/** What `inverseDct` makes of such a column. */
function spread(block: Int32Array, column: number): void {
  const value = block[column]! << PASS_BITS;
  for (let i = column; i < 64; i += 8) block[i] = value;
}

const FACTOR_BITS = 13;
/** Fractional bits kept between the two passes of a transform. */
const PASS_BITS = 2;

// c[k] = sqrt(2) cos(k pi / 16); the rotations of the paper's figure 1 in the form with three multiplications.
const [, c1, c2, c3, , c5, c6, c7] = Array.from({ length: 8 }, (_, k) => Math.SQRT2 * Math.cos((k * Math.PI) / 16)) as [
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
];
const fixed = (factor: number): number => Math.round(factor * 2 ** FACTOR_BITS);
const EVEN = fixed(c6);
const EVEN_UP = fixed(c2 - c6);
const EVEN_DOWN = fixed(c2 + c6);
const ODD = fixed(c3);
const ODD_7 = fixed(-c1 + c3 + c5 - c7);
const ODD_5 = fixed(c1 + c3 - c5 + c7);
const ODD_3 = fixed(c1 + c3 + c5 - c7);
const ODD_1 = fixed(c1 + c3 - c5 - c7);
const CROSS_17 = fixed(c7 - c3);
const CROSS_35 = fixed(-c1 - c3);
const CROSS_37 = fixed(-c3 - c5);
const CROSS_15 = fixed(c5 - c3);

/** One transform of 8 values `step` apart. `sumShift`: right shift of the two plain sums, negative for left. */
function forwardDct(block: Int32Array, at: number, step: number, sumShift: number, shift: number): void {
  const half = 1 << (shift - 1);
  const x0 = block[at]!;
  const x1 = block[at + step]!;
  const x2 = block[at + 2 * step]!;
  const x3 = block[at + 3 * step]!;
  const x4 = block[at + 4 * step]!;
  const x5 = block[at + 5 * step]!;
  const x6 = block[at + 6 * step]!;
  const x7 = block[at + 7 * step]!;
  const outer = x0 + x7 + x3 + x4;
  const inner = x1 + x6 + x2 + x5;
  const outerDifference = x0 + x7 - x3 - x4;
  const innerDifference = x1 + x6 - x2 - x5;
  if (sumShift < 0) {
    block[at] = (outer + inner) << -sumShift;
    block[at + 4 * step] = (outer - inner) << -sumShift;
  } else {
    const sumHalf = 1 << (sumShift - 1);
    block[at] = (outer + inner + sumHalf) >> sumShift;
    block[at + 4 * step] = (outer - inner + sumHalf) >> sumShift;
  }
  const even = (outerDifference + innerDifference) * EVEN + half;
  block[at + 2 * step] = (even + outerDifference * EVEN_UP) >> shift;
  block[at + 6 * step] = (even - innerDifference * EVEN_DOWN) >> shift;
  const d7 = x3 - x4;
  const d5 = x2 - x5;
  const d3 = x1 - x6;
  const d1 = x0 - x7;
  const odd = (d7 + d3 + d5 + d1) * ODD + half;
  const cross17 = (d7 + d1) * CROSS_17;
  const cross35 = (d5 + d3) * CROSS_35;
  const cross37 = (d7 + d3) * CROSS_37 + odd;
  const cross15 = (d5 + d1) * CROSS_15 + odd;
  block[at + 7 * step] = (d7 * ODD_7 + cross17 + cross37) >> shift;
  block[at + 5 * step] = (d5 * ODD_5 + cross35 + cross15) >> shift;
  block[at + 3 * step] = (d3 * ODD_3 + cross35 + cross37) >> shift;
  block[at + step] = (d1 * ODD_1 + cross17 + cross15) >> shift;
}

/** The inverse of 8 values `step` apart, the rounded right shift included. */
function inverseDct(block: Int32Array, at: number, step: number, shift: number): void {
  const half = 1 << (shift - 1);
  const y2 = block[at + 2 * step]!;
  const y6 = block[at + 6 * step]!;
  const even = (y2 + y6) * EVEN;
  const low = even - y6 * EVEN_DOWN;
  const high = even + y2 * EVEN_UP;
  const sum = (block[at]! + block[at + 4 * step]!) * 2 ** FACTOR_BITS + half;
  const difference = (block[at]! - block[at + 4 * step]!) * 2 ** FACTOR_BITS + half;
  const y7 = block[at + 7 * step]!;
  const y5 = block[at + 5 * step]!;
  const y3 = block[at + 3 * step]!;
  const y1 = block[at + step]!;
  const odd = (y7 + y3 + y5 + y1) * ODD;
  const cross17 = (y7 + y1) * CROSS_17;
  const cross35 = (y5 + y3) * CROSS_35;
  const cross37 = (y7 + y3) * CROSS_37 + odd;
  const cross15 = (y5 + y1) * CROSS_15 + odd;
  const o3 = y7 * ODD_7 + cross17 + cross37;
  const o2 = y5 * ODD_5 + cross35 + cross15;
  const o1 = y3 * ODD_3 + cross35 + cross37;
  const o0 = y1 * ODD_1 + cross17 + cross15;
  block[at] = (sum + high + o0) >> shift;
  block[at + 7 * step] = (sum + high - o0) >> shift;
  block[at + step] = (difference + low + o1) >> shift;
  block[at + 6 * step] = (difference + low - o1) >> shift;
  block[at + 2 * step] = (difference - low + o2) >> shift;
  block[at + 5 * step] = (difference - low - o2) >> shift;
  block[at + 3 * step] = (sum - high + o3) >> shift;
  block[at + 4 * step] = (sum - high - o3) >> shift;
}

export const jpeg = defineStep({
  name: 'jpeg',
  parameters: { quality: integer(75, 1, 100), subsampling: choice('420', '444') },
  apply(planes, width, height, parameters) {
    jpegRoundTrip(planes, width, height, parameters);
  },
});
