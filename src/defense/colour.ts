/**
 * RGB and YCbCr as scikit-image has them: ITU-R BT.601 in studio range, RGB in [0,1], Y in 16..235, Cb and Cr in 16..240
 * around 128.
 */
/** Three rows of three. */
export type Matrix3 = readonly [Row3, Row3, Row3];
export type Row3 = readonly [number, number, number];

/** Rows Y, Cb, Cr; the offsets are added after. */
export const YCBCR_FROM_RGB: Matrix3 = [
  [65.481, 128.553, 24.966],
  [-37.797, -74.203, 112.0],
  [112.0, -93.786, -18.214],
];

/** Added to Y, Cb, Cr. */
export const YCBCR_OFFSETS: Row3 = [16, 128, 128];

/** Rows R, G, B; the offsets are subtracted before. */
export const RGB_FROM_YCBCR: Matrix3 = inverse(YCBCR_FROM_RGB);

function inverse([a, b, c]: Matrix3): Matrix3 {
  const [bc, ca, ab] = [cross(b, c), cross(c, a), cross(a, b)];
  const determinant = a[0] * bc[0] + a[1] * bc[1] + a[2] * bc[2];
  const row = (i: 0 | 1 | 2): Row3 => [bc[i] / determinant, ca[i] / determinant, ab[i] / determinant];
  return [row(0), row(1), row(2)];
}

function cross(a: Row3, b: Row3): Row3 {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}
