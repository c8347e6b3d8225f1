/**
 * The noise of one plane from its finest diagonal sub-band: the median magnitude over 0.6745, zeros left out.
 *
 * Zeros need care. In flat areas and along edges that follow the axes a coefficient is exactly 0, or it is of the size of
 * a rounding error of double precision and counts. Single precision cannot tell; such coefficients are computed again
 * from the 8-bit pixels, operation by operation as the plain defender does.
 */
import {
  CB_B, CB_G, CB_R, COLOUR_UNITS, CR_B, CR_G, CR_R, Y_B, Y_G, Y_R,
} from './colour';
import { medianOfNonZero } from './select';
import { Slot } from './slot';
import { Filters, kept, mirror } from './wavelet';

/** Upper quartile of the standard normal distribution. */
const NORMAL_QUARTILE: f64 = 0.6744897501960817;

/** Coefficients below this, on a plane scaled to [0,1], may be 0. */
const UNSURE: f64 = 4e-6;

/** The upper 26 bits of a double's fraction. */
@inline function upperHalf(value: f64): f64 {
  const scaled = 134217729 * value;
  return scaled - (scaled - value);
}

/** a * b + c rounded once (Dekker 1971), in the order of operations of the plain defender's colour conversion. */
function multiplyAdd(a: f64, b: f64, c: f64): f64 {
  const product = a * b;
  const aHigh = upperHalf(a);
  const bHigh = upperHalf(b);
  const aLow = a - aHigh;
  const bLow = b - bHigh;
  const productError = aHigh * bHigh - product + aHigh * bLow + aLow * bHigh + aLow * bLow;
  const sum = product + c;
  const part = sum - product;
  const sumError = product - (sum - part) + (c - part);
  return sum + (sumError + productError);
}

/** Y (0), Cb (1) or Cr (2) of a pixel, with its offset, in double precision. */
function exactColour(at: usize, plane: i32): f64 {
  const r = <f64>load<u8>(at) / 255;
  const g = <f64>load<u8>(at, 1) / 255;
  const b = <f64>load<u8>(at, 2) / 255;
  if (plane == 0) return multiplyAdd(24.966, b, multiplyAdd(128.553, g, 65.481 * r)) + 16;
  if (plane == 1) return multiplyAdd(112, b, multiplyAdd(-74.203, g, -37.797 * r)) + 128;
  return multiplyAdd(-18.214, b, multiplyAdd(-93.786, g, 112 * r)) + 128;
}

/** A plane of the run's image in double precision: least value and range, where they are known. */
@unmanaged
export class ExactPlane {
  plane: i32;
  isKnown: i32;
  least: f64;
  range: f64;
}

/**
 * Finds least value and range of a plane. Colours that are equal as integers may differ in the last bit of a double (Cb and
 * Cr of all greys do), so every pixel that has an extreme is looked at.
 */
function know(slot: Slot, exact: ExactPlane): void {
  if (exact.isKnown) return;
  const plane = exact.plane;
  const kr = plane == 0 ? Y_R : plane == 1 ? CB_R : CR_R;
  const kg = plane == 0 ? Y_G : plane == 1 ? CB_G : CR_G;
  const kb = plane == 0 ? Y_B : plane == 1 ? CB_B : CR_B;
  const lowest = load<i32>(slot.lowest + (<usize>plane << 2));
  const greatest = load<i32>(slot.greatest + (<usize>plane << 2));
  let least = f64.MAX_VALUE;
  let most = -f64.MAX_VALUE;
  let lastPixel = -1;
  for (let y = 0; y < slot.height; y++) {
    const row = slot.deflected + <usize>y * slot.imageStride;
    const end = row + <usize>slot.width * 3;
    for (let at = row; at < end; at += 3) {
      const r = <i32>load<u8>(at);
      const g = <i32>load<u8>(at, 1);
      const b = <i32>load<u8>(at, 2);
      const colour = kr * r + kg * g + kb * b;
      if (colour != lowest && colour != greatest) continue;
      const pixel = r | (g << 8) | (b << 16);
      if (pixel == lastPixel) continue;
      lastPixel = pixel;
      const value = exactColour(at, plane);
      if (colour == lowest) least = min(least, value);
      else most = max(most, value);
    }
  }
  exact.least = least;
  exact.range = most - least;
  exact.isKnown = 1;
}

/** Coefficient (x, y) of the finest diagonal sub-band, as the plain defender computes it. */
function exactDiagonal(slot: Slot, exact: ExactPlane, filters: Filters, x: i32, y: i32): f64 {
  const length = filters.length;
  const taps = filters.exactHigh;
  let sum = 0.0;
  for (let j = 0; j < length; j++) {
    const column = <usize>mirror(2 * x + 1 - j, slot.width) * 3;
    let high = 0.0;
    for (let i = 0; i < length; i++) {
      const row = <usize>mirror(2 * y + 1 - i, slot.height) * slot.imageStride;
      const value = (exactColour(slot.deflected + row + column, exact.plane) - exact.least) / exact.range;
      high += load<f64>(taps + (<usize>i << 3)) * value;
    }
    sum += load<f64>(taps + (<usize>j << 3)) * high;
  }
  return sum;
}

/** The pixel's colour if all that coefficient (x, y) reads have one, else -1. */
function flatColour(slot: Slot, length: i32, x: i32, y: i32): i32 {
  let colour = -1;
  for (let j = 0; j < length; j++) {
    const column = <usize>mirror(2 * x + 1 - j, slot.width) * 3;
    for (let i = 0; i < length; i++) {
      const at = slot.deflected + <usize>mirror(2 * y + 1 - i, slot.height) * slot.imageStride + column;
      const here = <i32>load<u16>(at) | (<i32>load<u8>(at, 2) << 16);
      if (colour >= 0 && here != colour) return -1;
      colour = here;
    }
  }
  return colour;
}

/**
 * Replaces magnitudes that may be 0 by what double precision gives.
 *
 * @param magnitudes of the finest diagonal sub-band of a plane in units of Y, Cb, Cr, row by row; overwritten
 */
function settleZeros(slot: Slot, plane: i32, filters: Filters, magnitudes: usize, work: usize): void {
  const exact = changetype<ExactPlane>(work);
  exact.plane = plane;
  exact.isKnown = 0;
  const lane = <usize>plane << 2;
  const range = <f64>(load<i32>(slot.greatest + lane) - load<i32>(slot.lowest + lane)) / COLOUR_UNITS;
  const unsure = <f32>(UNSURE * range);
  const columns = kept(slot.width, filters.length);
  const rows = kept(slot.height, filters.length);
  let lastColour = -1;
  let lastValue: f32 = 0;
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const at = magnitudes + ((<usize>y * <usize>columns + <usize>x) << 2);
      if (load<f32>(at) > unsure) continue;
      know(slot, exact);
      const colour = flatColour(slot, filters.length, x, y);
      if (colour < 0 || colour != lastColour) {
        const value = <f32>(Math.abs(exactDiagonal(slot, exact, filters, x, y)) * range);
        store<f32>(at, value);
        if (colour >= 0) {
          lastColour = colour;
          lastValue = value;
        }
      } else {
        store<f32>(at, lastValue);
      }
    }
  }
}

/**
 * Standard deviation of the noise of one plane, in the unit of the magnitudes.
 *
 * @param isBytes whether the plane is that of the run's 8-bit image: then zeros are settled
 * @param magnitudes row by row, overwritten
 */
export function estimateSigma(
  slot: Slot, plane: i32, isBytes: bool, filters: Filters, magnitudes: usize, count: i32, work: usize,
): f64 {
  if (isBytes) settleZeros(slot, plane, filters, magnitudes, work);
  return medianOfNonZero(magnitudes, count, work) / NORMAL_QUARTILE;
}
