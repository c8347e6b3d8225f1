/**
 * Total variation denoising by split Bregman iteration. Goldstein and Osher, 'The Split Bregman Method for
 * L1-Regularized Problems', SIAM J. Imaging Sciences 2(2), 2009; with one Gauss-Seidel sweep an iteration, as in
 * Getreuer, 'Rudin-Osher-Fatemi Total Variation Denoising using Split Bregman', IPOL 2012.
 *
 * Three ways to treat colour are known, and differ in the digits: each channel by itself (the clean definition); all
 * channels under one stopping test (scikit-image up to 0.15); and one channel after another, each starting its split
 * variables from the result of the one before (scikit-image from 0.16, which reuses one buffer).
 */
import { clampToUnit } from './planes.js';
import { choice, decimal, defineStep, integer } from './step.js';

export interface BregmanParameters {
  /** Weight of the fidelity; less is smoother. */
  readonly weight: number;
  /** Root mean square change of a sweep at which the iteration ends. */
  readonly eps: number;
  readonly iterations: number;
  readonly norm: 'isotropic' | 'anisotropic';
  readonly channels: 'separate' | 'joint' | 'chained';
}

/** One channel with a border of one place, and its split variables. */
interface Split {
  readonly u: Float64Array;
  readonly dx: Float64Array;
  readonly dy: Float64Array;
  readonly bx: Float64Array;
  readonly by: Float64Array;
}

/**
 * Denoises in place.
 *
 * @param planes float32, planar [channels, height, width]
 */
export function denoiseBregman(
  planes: Float32Array,
  width: number,
  height: number,
  parameters: BregmanParameters,
): void {
  const area = width * height;
  const sources = Array.from({ length: planes.length / area }, (_, c) => planes.subarray(c * area, (c + 1) * area));
  let before: Split | undefined;
  const begin = (source: Float32Array): Split => {
    before = start(source, width, height, parameters.channels === 'chained' ? before?.u : undefined);
    return before;
  };
  if (parameters.channels === 'joint') {
    iterate(sources.map(begin), sources, width, height, parameters);
  } else {
    for (const source of sources) iterate([begin(source)], [source], width, height, parameters);
  }
}

function start(source: Float32Array, width: number, height: number, before: Float64Array | undefined): Split {
  const stride = width + 2;
  const size = stride * (height + 2);
  const fresh = (): Float64Array => (before === undefined ? new Float64Array(size) : Float64Array.from(before));
  const u = fresh();
  const split = { u, dx: fresh(), dy: fresh(), bx: fresh(), by: fresh() };
  for (let y = 0; y < height; y++) u.set(source.subarray(y * width, (y + 1) * width), (y + 1) * stride + 1);
  const second = Math.min(1, height - 1) * width;
  u.set(source.subarray(second, second + width), 1);
  u.set(source.subarray((height - 1) * width, height * width), (height + 1) * stride + 1);
  for (let y = 0; y < height; y++) {
    u[(y + 1) * stride] = source[y * width + Math.min(1, width - 1)]!;
    u[(y + 1) * stride + width + 1] = source[y * width + width - 1]!;
  }
  return split;
}

function iterate(
  splits: readonly Split[],
  sources: readonly Float32Array[],
  width: number,
  height: number,
  { weight, eps, iterations, norm }: BregmanParameters,
): void {
  const values = width * height * splits.length;
  for (let iteration = 0; iteration < iterations; iteration++) {
    let change = 0;
    for (const [c, split] of splits.entries()) {
      change += sweep(split, sources[c]!, width, height, weight, norm === 'isotropic');
    }
    if (Math.sqrt(change / values) <= eps) break;
  }
  const stride = width + 2;
  for (const [c, { u }] of splits.entries()) {
    for (let y = 0; y < height; y++) {
      sources[c]!.set(u.subarray((y + 1) * stride + 1, (y + 1) * stride + 1 + width), y * width);
    }
  }
}

/** One Gauss-Seidel sweep with the update of the split variables; returns the sum of squared changes. */
function sweep(
  { u, dx, dy, bx, by }: Split,
  source: Float32Array,
  width: number,
  height: number,
  weight: number,
  isotropic: boolean,
): number {
  const stride = width + 2;
  const lambda = 2 * weight;
  const threshold = 1 / lambda;
  const norm = 1 / (weight + 4 * lambda);
  let change = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y + 1) * stride + x + 1;
      const left = at - 1;
      const up = at - stride;
      const old = u[at]!;
      const right = u[at + 1]!;
      const down = u[at + stride]!;
      const neighbours = right + down + u[left]! + u[up]!;
      const splitting = dx[left]! - dx[at]! + dy[up]! - dy[at]! - bx[left]! + bx[at]! - by[up]! + by[at]!;
      const now = (lambda * (neighbours + splitting) + weight * source[y * width + x]!) * norm;
      u[at] = now;
      change += (now - old) * (now - old);
      const tx = right - old + bx[at]!;
      const ty = down - old + by[at]!;
      let newX: number;
      let newY: number;
      if (isotropic) {
        const length = Math.sqrt(tx * tx + ty * ty) * lambda;
        const shrink = length / (length + 1);
        newX = shrink * tx;
        newY = shrink * ty;
      } else {
        newX = tx > threshold ? tx - threshold : tx < -threshold ? tx + threshold : 0;
        newY = ty > threshold ? ty - threshold : ty < -threshold ? ty + threshold : 0;
      }
      dx[at] = newX;
      dy[at] = newY;
      bx[at] = tx - newX;
      by[at] = ty - newY;
    }
  }
  return change;
}

export const bregman = defineStep({
  name: 'tvbregman',
  parameters: {
    weight: decimal(5, 0.001, 1000),
    iterations: integer(100, 1, 10000),
    norm: choice('isotropic', 'anisotropic'),
    channels: choice('separate', 'joint', 'chained'),
  },
  apply(planes, width, height, { weight, iterations, norm, channels }) {
    denoiseBregman(planes, width, height, { weight, iterations, norm, channels, eps: 1e-3 });
    clampToUnit(planes);
  },
});
