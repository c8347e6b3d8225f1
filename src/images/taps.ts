/** The kernels of resampling, and which inputs each output reads, with which weights. */
import type { Preprocessing } from '../types.js';

export type Interpolation = Preprocessing['interpolation'];

/** Half-width and shape of a continuous kernel. */
export interface Kernel {
  readonly support: number;
  readonly weight: (x: number) => number;
}

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

export const KERNELS: Readonly<Record<Exclude<Interpolation, 'nearest'>, Kernel>> = {
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
export interface Taps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** `stride` weights a position, the unused ones 0. */
  readonly weights: Float64Array;
  readonly stride: number;
}

/** Taps that are kept: photographs of few sizes come many times. */
const TAPS_KEPT = 16;
/** Weights of taps that are kept, at most. */
const MOST_KEPT = 2 ** 14;

const kept = new WeakMap<Kernel, Map<string, Taps>>();

/** @returns what is shared between calls with the same arguments and must not be changed */
export function taps(kernel: Kernel, inputs: number, outputs: number, from: number, length: number): Taps {
  let known = kept.get(kernel);
  if (known === undefined) {
    known = new Map();
    kept.set(kernel, known);
  }
  const key = `${inputs} ${outputs} ${from} ${length}`;
  let made = known.get(key);
  if (made !== undefined) return made;
  made = makeTaps(kernel, inputs, outputs, from, length);
  if (made.weights.length > MOST_KEPT) return made;
  known.set(key, made);
  if (known.size > TAPS_KEPT) known.delete(known.keys().next().value!);
  return made;
}

function makeTaps(kernel: Kernel, inputs: number, outputs: number, from: number, length: number): Taps {
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

/** Nearest source index of each wanted position; steps are summed as Pillow sums them, so that ties fall alike. */
export function nearest(inputs: number, outputs: number, from: number, length: number): Int32Array {
  const step = inputs / outputs;
  const indices = new Int32Array(length);
  let position = step * 0.5;
  for (let i = 0; i < from + length; i++) {
    if (i >= from) indices[i - from] = Math.min(Math.trunc(position), inputs - 1);
    position += step;
  }
  return indices;
}
