/**
 * Convolution. Its gradient with respect to its input is a convolution too: with stride 1 by the flipped kernel; with
 * stride s one convolution for each of the s x s phases of the input's grid, woven together again. Each multiplies
 * exactly what the forward pass multiplied, and runs in the runtime's fastest kernels, which ConvTranspose does not.
 */
import { type Gradient, type PhasedGradient, woven } from './phases.js';
import type { Operation, Rule } from './rule.js';

/** Ends a slice behind the last element of any axis; negative, before the first. */
const WHOLE = 2 ** 40;

/** Geometry of a two-dimensional convolution or pooling; each list is [height, width]. */
export interface Windows {
  readonly kernel: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  /** Padding at top and left. */
  readonly begin: readonly [number, number];
  /** Sizes of what is read and of what is made. */
  readonly input: readonly [number, number];
  readonly output: readonly [number, number];
}

/** Y[o] = sum_k W[k] X[s o + d k - p], in groups. */
export const conv: Rule = op => {
  const windows = windowsOf(op, op.shape(op.input(1)).slice(2));
  if (op.wants(1) || op.wants(2)) throw op.unsupported('its weights depend on the image');
  const group = op.int('group', 1);
  const weights = { name: op.input(1), dims: op.shape(op.input(1)) };
  if (op.phased !== undefined && narrows(weights.dims, group, windows)) {
    // One position reads one position: phase by phase, and together again now that there are fewer channels.
    const channels = weights.dims[1]!;
    const phases = op.phased.phases.map(dy => op.write.op('Conv', [dy, turn(op, weights, group)]));
    return [woven(op.write, { ...op.phased, phases, channels })];
  }
  const made = convolveBackInPhases(op, op.dy, weights, group, windows);
  // Behind a depthwise convolution comes one that had widened the image.
  const depthwise = weights.dims[1] === 1 && weights.dims[0] === group;
  return [typeof made === 'string' || (depthwise && isWhole(made, windows)) ? made : joined(op, made, windows)];
};

/** Whether a convolution looks at one position at a time and has no more channels before it than behind it. */
function narrows(
  [outputs, inputs]: readonly number[],
  group: number,
  { kernel, strides, begin, input, output }: Windows,
) {
  const alone = [0, 1].every(
    axis => kernel[axis] === 1 && strides[axis] === 1 && begin[axis] === 0 && input[axis] === output[axis],
  );
  return alone && group === 1 && inputs! <= outputs!;
}

/** Whether phases, woven, are of just the size that is wanted. */
function isWhole({ size, strides }: PhasedGradient, { input }: Windows): boolean {
  return size[0] * strides[0] === input[0] && size[1] * strides[1] === input[1];
}

/** Phases as one tensor of the size of the input. */
function joined(op: Operation, made: PhasedGradient, windows: Windows): string {
  const whole = woven(op.write, made);
  return isWhole(made, windows) ? whole : op.write.slice(whole, [2, 3], [0, 0], [...windows.input]);
}

/** The transpose of a convolution; so its gradient is that convolution. */
export const convTranspose: Rule = op => {
  if (op.wants(1) || op.wants(2)) throw op.unsupported('its weights depend on the image');
  if (op.text('auto_pad', 'NOTSET') !== 'NOTSET' || op.has('output_shape')) {
    throw op.unsupported('its padding is worked out by the runtime');
  }
  const shared = Object.fromEntries(
    ['strides', 'pads', 'dilations'].flatMap(name => {
      const value = op.ints(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
  return [op.write.op('Conv', [op.dy, op.input(1)], { ...shared, group: op.int('group', 1) })];
};

/** The geometry of a node with `kernel_shape`, `strides`, `pads`, `dilations` and `auto_pad`. */
export function windowsOf(op: Operation, kernel: readonly number[]): Windows {
  const input = op.shape(op.x).slice(2);
  const output = op.shape(op.y).slice(2);
  if (kernel.length !== 2 || input.length !== 2) throw op.unsupported('it is not two-dimensional');
  const strides = op.ints('strides') ?? [1, 1];
  const dilations = op.ints('dilations') ?? [1, 1];
  const automatic = op.text('auto_pad', 'NOTSET');
  const begin = [0, 1].map(axis => {
    if (automatic === 'NOTSET') return op.ints('pads')?.[axis] ?? 0;
    if (automatic === 'VALID') return 0;
    const reach = (kernel[axis]! - 1) * dilations[axis]! + 1;
    const total = Math.max(0, (output[axis]! - 1) * strides[axis]! + reach - input[axis]!);
    return automatic === 'SAME_LOWER' ? Math.ceil(total / 2) : Math.floor(total / 2);
  });
  const pair = (list: readonly number[]): [number, number] => [list[0]!, list[1]!];
  return {
    kernel: pair(kernel),
    strides: pair(strides),
    dilations: pair(dilations),
    begin: pair(begin),
    input: pair(input),
    output: pair(output),
  };
}

/** The taps of one axis that reach the input positions s q + r, as a convolution of the gradient with stride 1. */
interface Phase {
  /** Kernel positions from the last to the first: first, and step to the next (below zero). */
  readonly from: number;
  readonly step: number;
  readonly taps: number;
  readonly dilation: number;
  /** Padding at the beginning and the end; below zero: that many are cut off. */
  readonly begin: number;
  readonly end: number;
}

/**
 * dX[i] = sum over (o, k) with s o + d k - p = i of W[k] dY[o]. At i = s q + r the taps are those with d k = r + p
 * modulo s, and each reads dY at o = q + (r + p - d k) / s.
 *
 * @param size positions q that are wanted
 */
function phaseOf(windows: Windows, axis: 0 | 1, remainder: number, size: number): Phase | undefined {
  const [kernel, stride, dilation] = [windows.kernel[axis], windows.strides[axis], windows.dilations[axis]];
  const offset = remainder + windows.begin[axis];
  const hits = Array.from({ length: kernel }, (_, k) => k).filter(k => (offset - dilation * k) % stride === 0);
  const last = hits.at(-1);
  if (last === undefined) return undefined;
  const apart = hits.length > 1 ? hits[1]! - hits[0]! : stride;
  const reach = (apart * dilation) / stride;
  const begin = (dilation * last - offset) / stride;
  const end = size - windows.output[axis] - begin + (hits.length - 1) * reach;
  return { from: last, step: -apart, taps: hits.length, dilation: hits.length > 1 ? reach : 1, begin, end };
}

/**
 * The transposed convolution of a gradient.
 *
 * @param dy [N, M, ...windows.output]
 * @param weights [M, C / group, ...windows.kernel]
 * @returns [N, C, ...windows.input]
 */
export function convolveBack(
  op: Operation,
  dy: string,
  weights: { readonly name: string; readonly dims: readonly number[] },
  group: number,
  windows: Windows,
): string {
  const made = convolveBackInPhases(op, dy, weights, group, windows);
  return typeof made === 'string' ? made : joined(op, made, windows);
}

/** The same, in phases where a stride is above 1. */
function convolveBackInPhases(
  op: Operation,
  dy: string,
  weights: { readonly name: string; readonly dims: readonly number[] },
  group: number,
  windows: Windows,
): Gradient {
  const { write } = op;
  const [vertical, horizontal] = windows.strides;
  const turned = turn(op, weights, group);
  const [height, width] = windows.input;
  if (vertical === 1 && horizontal === 1) {
    return convolvePhase(op, dy, turned, group, phaseOf(windows, 0, 0, height), phaseOf(windows, 1, 0, width))!;
  }
  const size = [Math.ceil(height / vertical), Math.ceil(width / horizontal)] as const;
  const rows = Array.from({ length: vertical }, (_, r) => phaseOf(windows, 0, r, size[0]));
  const columns = Array.from({ length: horizontal }, (_, r) => phaseOf(windows, 1, r, size[1]));
  const phases = rows.flatMap(row => columns.map(column => convolvePhase(op, dy, turned, group, row, column)));
  const made = phases.find(phase => phase !== undefined);
  if (made === undefined) throw op.unsupported('its windows reach nothing');
  const empty = phases.includes(undefined) ? write.zerosLike(made) : '';
  const filled = phases.map(phase => phase ?? empty);
  return { phases: filled, channels: weights.dims[1]! * group, size, strides: [vertical, horizontal] };
}

/** Weights [M, C / group, h, w] as those of the convolution back: [C, M / group, h, w]. */
function turn(
  op: Operation,
  { name, dims }: { readonly name: string; readonly dims: readonly number[] },
  group: number,
): string {
  const { write } = op;
  const [outputs, inputs, height, width] = dims as [number, number, number, number];
  if (group === 1) return write.op('Transpose', [name], { perm: [1, 0, 2, 3] });
  if (inputs === 1 && outputs === group) return name;
  const grouped = write.reshape(name, [group, outputs / group, inputs, height, width]);
  const swapped = write.op('Transpose', [grouped], { perm: [0, 2, 1, 3, 4] });
  return write.reshape(swapped, [group * inputs, outputs / group, height, width]);
}

/** One phase; `undefined` where no tap reaches it. */
function convolvePhase(
  op: Operation,
  dy: string,
  turned: string,
  group: number,
  row: Phase | undefined,
  column: Phase | undefined,
): string | undefined {
  if (row === undefined || column === undefined) return undefined;
  const { write } = op;
  const both = [row, column];
  const kernel = write.slice(
    turned,
    [2, 3],
    both.map(({ from }) => from),
    both.map(() => -WHOLE),
    both.map(({ step }) => step),
  );
  const cut = both.some(({ begin, end }) => begin < 0 || end < 0);
  const read = cut
    ? write.slice(
        dy,
        [2, 3],
        both.map(({ begin }) => Math.max(0, -begin)),
        both.map(({ end }) => (end < 0 ? end : WHOLE)),
      )
    : dy;
  return write.op('Conv', [read, kernel], {
    group,
    dilations: both.map(({ dilation }) => dilation),
    pads: [...both.map(({ begin }) => Math.max(0, begin)), ...both.map(({ end }) => Math.max(0, end))],
  });
}
