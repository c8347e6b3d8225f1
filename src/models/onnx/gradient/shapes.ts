/** Operators that put values elsewhere and leave them as they are. */
import type { Rule } from './rule.js';
import { selectBack } from './selection.js';

/** The same values in the same order: Reshape, Flatten, Squeeze, Unsqueeze. */
export const reshaped: Rule = op => [op.reshapeLike(op.dy, op.y, op.x)];

/** The same values in the same places: Identity, and Dropout outside training. */
export const unchanged: Rule = op => [op.dy];

export const cast: Rule = op => {
  if (op.int('to', SINGLE) !== SINGLE) throw op.unsupported('it leaves single precision');
  return [op.dy];
};

/** ONNX's number of the element type float32. */
const SINGLE = 1;

export const transpose: Rule = op => {
  const rank = op.shape(op.x).length;
  const perm = op.ints('perm') ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
  const inverse = perm.map((_, axis) => perm.indexOf(axis));
  return [op.write.op('Transpose', [op.dy], { perm: inverse })];
};

export const expand: Rule = op => [op.unbroadcast(op.dy, op.x)];

export const concat: Rule = op => {
  const axis = op.axis(op.int('axis', 1), op.shape(op.y).length);
  let start = 0;
  return op.node.input.map((input, i) => {
    const from = start;
    start += op.shape(input)[axis]!;
    return op.wants(i) ? op.write.slice(op.dy, [axis], [from], [start]) : undefined;
  });
};

export const split: Rule = op => {
  const axis = op.axis(op.int('axis', 0), op.shape(op.x).length);
  const parts = op.node.output.map((_, i) => op.gradient(i));
  return [op.write.op('Concat', parts, { axis })];
};

export const slice: Rule = op => {
  const shape = op.shape(op.x);
  const starts = op.listed('starts', 1) ?? [];
  const ends = op.listed('ends', 2) ?? [];
  const axes = op.listed('axes', 3) ?? starts.map((_, i) => i);
  const steps = op.constant(4)?.data ?? starts.map(() => 1);
  let gradient = op.dy;
  for (const [i, given] of axes.entries()) {
    const axis = op.axis(given, shape.length);
    const size = shape[axis]!;
    gradient = selectBack(op, gradient, axis, size, sliced(starts[i]!, ends[i]!, steps[i]!, size));
  }
  return [gradient];
};

/** The positions that a slice of one axis takes (ONNX, Slice). */
function sliced(start: number, end: number, step: number, size: number): number[] {
  const within = (at: number, low: number, high: number): number =>
    Math.min(Math.max(at < 0 ? at + size : at, low), high);
  const from = step > 0 ? within(start, 0, size) : within(start, 0, size - 1);
  // Before the first element lies -1, which as a given value would mean the last.
  const to = step > 0 ? within(end, 0, size) : end + size < 0 ? -1 : within(end, -1, size - 1);
  const positions: number[] = [];
  for (let at = from; step > 0 ? at < to : at > to; at += step) positions.push(at);
  return positions;
}

/** A selection by constant indices. */
export const gather: Rule = op => {
  const { write } = op;
  const shape = op.shape(op.x);
  const axis = op.axis(op.int('axis', 0), shape.length);
  const size = shape[axis]!;
  const indices = op.constant(1)!;
  const positions = Array.from(indices.data, index => (index < 0 ? index + size : index));
  let gradient = op.dy;
  if (indices.dims.length === 0) gradient = write.unsqueeze(gradient, [axis]);
  else if (indices.dims.length > 1) throw op.unsupported('its indices are no list');
  return [selectBack(op, gradient, axis, size, positions), undefined];
};

/** Padding by zeros or another constant, by the edge, or by reflection. */
export const pad: Rule = op => {
  const shape = op.shape(op.x);
  const rank = shape.length;
  const mode = op.text('mode', 'constant');
  const listed = op.listed('pads', 1) ?? [];
  const axes = op.constant(3)?.data ?? shape.map((_, axis) => axis);
  let gradient = op.dy;
  for (const [i, given] of Array.from(axes).entries()) {
    const axis = op.axis(given, rank);
    const size = shape[axis]!;
    const [begin, end] = [listed[i]!, listed[i + axes.length]!];
    if (begin === 0 && end === 0) continue;
    const positions = Array.from({ length: begin + size + end }, (_, at) => paddedFrom(mode, at - begin, size));
    if (positions.includes(undefined)) throw op.unsupported(`its mode is ${mode}`);
    gradient = selectBack(op, gradient, axis, size, positions as number[]);
  }
  return [gradient];
};

/** Where a padded position is read from: -1 for nowhere, `undefined` for a mode that is not known. */
function paddedFrom(mode: string, at: number, size: number): number | undefined {
  if (at >= 0 && at < size) return at;
  switch (mode) {
    case 'constant':
      return -1;
    case 'edge':
      return at < 0 ? 0 : size - 1;
    case 'wrap':
      return ((at % size) + size) % size;
    case 'reflect':
      return at < 0 ? -at : 2 * (size - 1) - at;
    default:
      return undefined;
  }
}

export const depthToSpace: Rule = op => {
  if (op.text('mode', 'DCR') === 'DCR') {
    return [op.write.op('SpaceToDepth', [op.dy], { blocksize: op.int('blocksize', 1) })];
  }
  throw op.unsupported('its mode is CRD');
};

export const spaceToDepth: Rule = op => [
  op.write.op('DepthToSpace', [op.dy], { blocksize: op.int('blocksize', 1), mode: 'DCR' }),
];
