/**
 * Colour: 8-bit RGB to Y, Cb, Cr (ITU-R BT.601, the matrix of scikit-image's rgb2ycbcr) without its offsets 16, 128, 128,
 * which the way back takes away again.
 */

/** Rows of the matrix in thousandths: with them the colours of 8-bit pixels are integers below 2^26. */
@inline export const Y_R: i32 = 65481;
@inline export const Y_G: i32 = 128553;
@inline export const Y_B: i32 = 24966;
@inline export const CB_R: i32 = -37797;
@inline export const CB_G: i32 = -74203;
@inline export const CB_B: i32 = 112000;
@inline export const CR_R: i32 = 112000;
@inline export const CR_G: i32 = -93786;
@inline export const CR_B: i32 = -18214;
/** Units of those integers in one unit of Y, Cb, Cr. */
@inline export const COLOUR_UNITS: f64 = 255000.0;

/** A coefficient of the matrix for pixels 0 to 255 and sums over 4^level of them. */
@inline export function weight(thousandths: i32, scale: f32): f32 {
  return <f32>(<f64>thousandths / COLOUR_UNITS) * scale;
}

/** 4^-level. */
@inline export function levelScale(level: i32): f32 {
  return reinterpret<f32>((127 - 2 * level) << 23);
}

/** One RGB pixel as 32-bit integers: R, G, B and a fourth lane without meaning. */
@inline export function loadPixel(at: usize): v128 {
  return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(at)));
}

/** Y, Cb, Cr of one pixel in integer units. */
@inline export function pixelColour(pixel: v128): v128 {
  const r = i32x4.shuffle(pixel, pixel, 0, 0, 0, 0);
  const g = i32x4.shuffle(pixel, pixel, 1, 1, 1, 1);
  const b = i32x4.shuffle(pixel, pixel, 2, 2, 2, 2);
  return i32x4.add(
    i32x4.add(i32x4.mul(r, i32x4(Y_R, CB_R, CR_R, 0)), i32x4.mul(g, i32x4(Y_G, CB_G, CR_G, 0))),
    i32x4.mul(b, i32x4(Y_B, CB_B, CR_B, 0)),
  );
}

/** Red of sixteen interleaved pixels, as bytes. */
@inline export function sixteenReds(v0: v128, v1: v128, v2: v128): v128 {
  const first = i8x16.shuffle(v0, v1, 0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 0, 0, 0, 0, 0);
  return i8x16.shuffle(first, v2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 20, 23, 26, 29);
}

/** Green of sixteen interleaved pixels, as bytes. */
@inline export function sixteenGreens(v0: v128, v1: v128, v2: v128): v128 {
  const first = i8x16.shuffle(v0, v1, 1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 0, 0, 0, 0, 0);
  return i8x16.shuffle(first, v2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 18, 21, 24, 27, 30);
}

/** Blue of sixteen interleaved pixels, as bytes. */
@inline export function sixteenBlues(v0: v128, v1: v128, v2: v128): v128 {
  const first = i8x16.shuffle(v0, v1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 0, 0, 0, 0, 0, 0);
  return i8x16.shuffle(first, v2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 19, 22, 25, 28, 31);
}
