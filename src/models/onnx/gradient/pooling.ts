/** Pooling over windows and over whole maps. */
import { convolveBack, type Windows, windowsOf } from './convolution.js';
import type { Operation, Rule } from './rule.js';

/** The gradient of an average is spread evenly over its window: the convolution back, by a kernel of equal weights. */
export const averagePool: Rule = op => {
  const { write } = op;
  const windows = windowsOf(op, op.ints('kernel_shape') ?? []);
  const channels = op.shape(op.x)[1]!;
  const [height, width] = windows.kernel;
  const padded = op.int('count_include_pad', 0) === 1;
  const rows = windowSizes(windows, 0, padded ? endPadding(op, windows, 0) : undefined);
  const columns = windowSizes(windows, 1, padded ? endPadding(op, windows, 1) : undefined);
  const shares = rows.flatMap(row => columns.map(column => 1 / (row * column)));
  const shared = shares.every(share => share === shares[0])
    ? write.scale(op.dy, shares[0]!)
    : write.multiply(op.dy, write.floats([1, 1, rows.length, columns.length], shares));
  const ones = write.floats([channels, 1, height, width], new Float32Array(channels * height * width).fill(1));
  return [convolveBack(op, shared, { name: ones, dims: [channels, 1, height, width] }, channels, windows)];
};

/** Padding at the bottom or right, which counts in an average with `count_include_pad`. */
function endPadding(op: Operation, { input, output, kernel, strides, dilations, begin }: Windows, axis: 0 | 1): number {
  if (op.text('auto_pad', 'NOTSET') === 'NOTSET') return op.ints('pads')?.[axis + 2] ?? 0;
  const reach = (kernel[axis] - 1) * dilations[axis] + 1;
  return Math.max(0, (output[axis] - 1) * strides[axis] + reach - input[axis] - begin[axis]);
}

/** How many positions each window of an axis averages over: those inside the input, or also those of the padding. */
function windowSizes(windows: Windows, axis: 0 | 1, endPadded: number | undefined): number[] {
  const [kernel, stride, dilation] = [windows.kernel[axis], windows.strides[axis], windows.dilations[axis]];
  const [input, begin] = [windows.input[axis], windows.begin[axis]];
  const [from, to] = endPadded === undefined ? [0, input] : [-begin, input + endPadded];
  return Array.from({ length: windows.output[axis] }, (_, o) => {
    const taps = Array.from({ length: kernel }, (_, k) => o * stride - begin + k * dilation);
    return taps.filter(at => at >= from && at < to).length;
  });
}

/**
 * The gradient of a maximum goes to the place it came from (the first of equal ones), which MaxPool tells as its second
 * output. Windows that overlap can share a place, so they are scattered in as many groups as make each disjoint.
 */
export const maxPool: Rule = op => {
  const { write } = op;
  const windows = windowsOf(op, op.ints('kernel_shape') ?? []);
  if (op.int('storage_order', 0) !== 0) throw op.unsupported('its indices are column by column');
  const places = op.secondOutput('places');
  const apart = ([0, 1] as const).map(axis => {
    const reach = (windows.kernel[axis] - 1) * windows.dilations[axis] + 1;
    return Math.min(windows.output[axis], Math.ceil(reach / windows.strides[axis]));
  }) as [number, number];
  const flatZeros = write.zeros(write.reshape(write.op('Size', [op.x]), [1]));
  let sum: string | undefined;
  for (let row = 0; row < apart[0]; row++) {
    for (let column = 0; column < apart[1]; column++) {
      const every = (name: string): string => {
        const chosen =
          apart[0] * apart[1] === 1 ? name : write.slice(name, [2, 3], [row, column], [...windows.output], apart);
        return write.reshape(chosen, [-1]);
      };
      const scattered = write.op('ScatterElements', [flatZeros, every(places), every(op.dy)]);
      sum = sum === undefined ? scattered : write.add(sum, scattered);
    }
  }
  return [write.reshapeLike(sum!, op.x)];
};

export const globalAveragePool: Rule = op => {
  const area = op
    .shape(op.x)
    .slice(2)
    .reduce((product, dim) => product * dim, 1);
  return [op.expandLike(op.write.scale(op.dy, 1 / area), op.x)];
};

/** The gradient of a maximum over whole maps; equal maxima share it. */
export const globalMaxPool: Rule = op => {
  const axes = op.shape(op.x).flatMap((_, axis) => (axis >= 2 ? [axis] : []));
  return [toMaxima(op, op.y, op.dy, axes)];
};

/** A gradient of maxima over axes, kept as dimensions of one, to the places that hold them, in equal shares. */
export function toMaxima(op: Operation, maxima: string, gradient: string, axes: readonly number[]): string {
  const { write } = op;
  const mask = write.indicator(write.op('Equal', [op.x, maxima]));
  return write.multiply(write.divide(mask, write.sum(mask, axes)), gradient);
}
