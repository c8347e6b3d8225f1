/** A value with the way back: what a function gave, and its transposed Jacobian there (vector-Jacobian product). */
import type { Planes } from '../grid.js';

export interface Traced {
  readonly value: Planes;
  /** @param cotangent gradient with respect to `value` @returns gradient with respect to what the function was given */
  back(cotangent: Planes): Planes;
}

/** Planes of the same size with other values. */
export function planesLike(
  [red, green, blue]: Planes,
  data: readonly [Float64Array, Float64Array, Float64Array],
): Planes {
  return [
    { ...red, data: data[0] },
    { ...green, data: data[1] },
    { ...blue, data: data[2] },
  ];
}
