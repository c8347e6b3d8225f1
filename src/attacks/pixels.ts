/** Arithmetic of attacks on pixels: float32 vectors on the [0,1] scale. */
import type { UniformSource } from '../defense/defender.js';

/** Euclidean norm. */
export function norm(x: Float32Array): number {
  return Math.sqrt(dot(x, x));
}

export function dot(x: Float32Array, y: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!;
  return sum;
}

/** |x - y| */
export function distance(x: Float32Array, y: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i]! - y[i]!) ** 2;
  return Math.sqrt(sum);
}

/** x + factor y, in [0,1]. */
export function moved(x: Float32Array, y: Float32Array, factor: number): Float32Array {
  const out = new Float32Array(x.length);
  for (let i = 0; i < x.length; i++) out[i] = clamp01(x[i]! + factor * y[i]!);
  return out;
}

/**
 * One step by the sign of a direction, kept within `epsilon` of a centre and in [0,1]. A component of zero stays.
 *
 * @returns a new vector
 */
export function signStep(
  x: Float32Array,
  direction: Float32Array,
  step: number,
  centre: Float32Array,
  epsilon: number,
): Float32Array {
  const out = new Float32Array(x.length);
  for (let i = 0; i < x.length; i++) {
    out[i] = withinBox(x[i]! + step * Math.sign(direction[i]!), centre[i]!, epsilon);
  }
  return out;
}

/** A value within `epsilon` of a centre, and in [0,1]. */
export function withinBox(value: number, centre: number, epsilon: number): number {
  const low = Math.max(0, centre - epsilon);
  const high = Math.min(1, centre + epsilon);
  return value < low ? low : value > high ? high : value;
}

/** As an image of 8 bits holds it. */
function rounded(x: Float32Array): Float32Array {
  return x.map(value => Math.round(value * 255) / 255);
}

/** The pixels by which success is judged. */
export function judged(x: Float32Array, judge: 'rounded' | 'exact'): Float32Array {
  return judge === 'exact' ? x : rounded(x);
}

export function clamp01(value: number): number {
  return value < 0 ? 0 : value > 1 ? 1 : value;
}

/** Two independent standard normal numbers. Box and Muller, Annals of Mathematical Statistics 29, 1958. */
function normalPair(random: UniformSource): [number, number] {
  const radius = Math.sqrt(-2 * Math.log(1 - random.uniform()));
  const angle = 2 * Math.PI * random.uniform();
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

/** A vector of independent standard normal numbers. */
export function normals(length: number, random: UniformSource): Float32Array {
  const out = new Float32Array(length);
  for (let i = 0; i < length; i += 2) {
    const [a, b] = normalPair(random);
    out[i] = a;
    if (i + 1 < length) out[i + 1] = b;
  }
  return out;
}
