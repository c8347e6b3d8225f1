/**
 * Conversion between RGB and YCbCr in double precision, rounded as scikit-image's matrix product is: one fused multiply-add
 * a term. The last bit matters where the noise is estimated: flat areas give coefficients that are exactly 0 or of the size
 * of a rounding error, and only the former are left out of the median.
 */
import { RGB_FROM_YCBCR, type Row3, YCBCR_FROM_RGB, YCBCR_OFFSETS } from '../colour.js';
import type { Grid, Planes } from '../grid.js';

/** @param rgb planes in [0,1]; values beyond are converted too */
export function rgbToYcbcr([r, g, b]: Planes): Planes {
  const plane = (i: 0 | 1 | 2): Grid => {
    const data = r.data.map((red, p) => product(YCBCR_FROM_RGB[i], red, g.data[p]!, b.data[p]!) + YCBCR_OFFSETS[i]);
    return { ...r, data };
  };
  return [plane(0), plane(1), plane(2)];
}

/** @returns planes in [0,1] where the colour is one of RGB; not clipped */
export function ycbcrToRgb([y, cb, cr]: Planes): Planes {
  const [offsetY, offsetCb, offsetCr] = YCBCR_OFFSETS;
  const plane = (i: 0 | 1 | 2): Grid => {
    const data = y.data.map((luma, p) =>
      product(RGB_FROM_YCBCR[i], luma - offsetY, cb.data[p]! - offsetCb, cr.data[p]! - offsetCr),
    );
    return { ...y, data };
  };
  return [plane(0), plane(1), plane(2)];
}

function product(row: Row3, a: number, b: number, c: number): number {
  return multiplyAdd(row[2], c, multiplyAdd(row[1], b, row[0] * a));
}

/** a * b + c with the product kept whole (Dekker 1971: the rounding errors of the product and of the sum, added last). */
function multiplyAdd(a: number, b: number, c: number): number {
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

/** The upper 26 bits of a double's fraction. */
function upperHalf(value: number): number {
  const scaled = 134217729 * value;
  return scaled - (scaled - value);
}
