/**
 * The two passes of 8-bit resampling, on RGB (see ../../resample.ts for the arithmetic). Weights are fixed point with 22
 * bits; sums stay below 2^31 for every kernel, since the weights of one output sum to about 1.
 */

@inline const FRACTION_BITS: i32 = 22;

/** Where free memory begins. */
export function heapBase(): usize {
  return (__heap_base + 63) & ~63;
}

/** Half a unit, so that the shift rounds. */
@inline function half(): v128 {
  return i32x4.splat(1 << (FRACTION_BITS - 1));
}

/** Four sums as bytes in the low 32 bits, clipped to 0..255. */
@inline function toBytes(sums: v128): v128 {
  const words = i16x8.narrow_i32x4_s(i32x4.shr_s(sums, FRACTION_BITS), i32x4.splat(0));
  return i8x16.narrow_i16x8_u(words, words);
}

/** One pixel as 32-bit integers: R, G, B, and a fourth lane without meaning. Reads a byte beyond the pixel. */
@inline function loadPixel(at: usize): v128 {
  return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(at)));
}

/**
 * Scales rows. A byte beyond the last pixel of `data` is read, and one beyond the last of `out` written.
 *
 * @param first first input pixel of each of `length` outputs, int32
 * @param count inputs of each output, int32
 * @param weights `taps` for each output, int32
 */
export function horizontal(
  data: usize, stride: usize, rows: i32, first: usize, count: usize, weights: usize, taps: i32, length: i32, out: usize,
): void {
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < length; i++) {
      let from = data + <usize>load<i32>(first + (<usize>i << 2)) * 3;
      let weight = weights + (<usize>(i * taps) << 2);
      const end = weight + (<usize>load<i32>(count + (<usize>i << 2)) << 2);
      let even = half();
      let odd = i32x4.splat(0);
      // Two sums, so that one product need not wait for another.
      for (; weight + 4 < end; weight += 8, from += 6) {
        even = i32x4.add(even, i32x4.mul(loadPixel(from), v128.load32_splat(weight)));
        odd = i32x4.add(odd, i32x4.mul(loadPixel(from + 3), v128.load32_splat(weight, 4)));
      }
      if (weight < end) even = i32x4.add(even, i32x4.mul(loadPixel(from), v128.load32_splat(weight)));
      v128.store32_lane(out, toBytes(i32x4.add(even, odd)), 0);
      out += 3;
    }
    data += stride;
  }
}

/**
 * Scales columns. Works in sixteens: up to 15 bytes beyond the last of `data` are read, and beyond the last of `out`
 * written.
 *
 * @param length samples a row, three times its pixels
 */
export function vertical(
  data: usize, stride: usize, length: i32, first: usize, count: usize, weights: usize, taps: i32, rows: i32, out: usize,
): void {
  for (let i = 0; i < rows; i++) {
    const begin = data + <usize>load<i32>(first + (<usize>i << 2)) * stride;
    const firstWeight = weights + (<usize>(i * taps) << 2);
    const end = firstWeight + (<usize>load<i32>(count + (<usize>i << 2)) << 2);
    for (let x = 0; x < length; x += 16) {
      let a = half();
      let b = half();
      let c = half();
      let d = half();
      let from = begin + <usize>x;
      for (let weight = firstWeight; weight < end; weight += 4, from += stride) {
        const w = v128.load32_splat(weight);
        const bytes = v128.load(from);
        const low = i16x8.extend_low_i8x16_u(bytes);
        const high = i16x8.extend_high_i8x16_u(bytes);
        a = i32x4.add(a, i32x4.mul(i32x4.extend_low_i16x8_u(low), w));
        b = i32x4.add(b, i32x4.mul(i32x4.extend_high_i16x8_u(low), w));
        c = i32x4.add(c, i32x4.mul(i32x4.extend_low_i16x8_u(high), w));
        d = i32x4.add(d, i32x4.mul(i32x4.extend_high_i16x8_u(high), w));
      }
      const ab = i16x8.narrow_i32x4_s(i32x4.shr_s(a, FRACTION_BITS), i32x4.shr_s(b, FRACTION_BITS));
      const cd = i16x8.narrow_i32x4_s(i32x4.shr_s(c, FRACTION_BITS), i32x4.shr_s(d, FRACTION_BITS));
      v128.store(out + <usize>x, i8x16.narrow_i16x8_u(ab, cd));
    }
    // The next row overwrites what was written beyond this one.
    out += <usize>length;
  }
}
