/** The transpose of picking positions along an axis. */
import type { Operation } from './rule.js';

/**
 * The gradient of what was picked from.
 *
 * @param gradient of the picked, `positions.length` along `axis`
 * @param size of the axis before the picking
 * @param positions where each was picked from; -1 for one that came from nowhere
 */
export function selectBack(
  op: Operation,
  gradient: string,
  axis: number,
  size: number,
  positions: readonly number[],
): string {
  const { write } = op;
  const rank = op.shape(op.x).length;
  const first = positions.findIndex(at => at >= 0);
  const last = positions.findLastIndex(at => at >= 0);
  if (first < 0) throw op.unsupported('it picks nothing');
  // A run of neighbours is put back between zeros; anything else by a matrix of ones and zeros.
  if (positions.slice(first, last + 1).every((at, i) => at === positions[first]! + i)) {
    const run =
      first === 0 && last === positions.length - 1 ? gradient : write.slice(gradient, [axis], [first], [last + 1]);
    const pads = new Array<number>(2 * rank).fill(0);
    pads[axis] = positions[first]!;
    pads[rank + axis] = size - 1 - positions[last]!;
    return write.pad(run, pads);
  }
  const matrix = new Float32Array(positions.length * size);
  for (const [i, at] of positions.entries()) if (at >= 0) matrix[i * size + at] = 1;
  return alongAxis(op, gradient, axis, rank, write.floats([positions.length, size], matrix));
}

/** A tensor with one axis multiplied by a matrix [from, to]. */
function alongAxis(op: Operation, x: string, axis: number, rank: number, matrix: string): string {
  const { write } = op;
  if (axis === rank - 1) return write.op('MatMul', [x, matrix]);
  const perm = Array.from({ length: rank }, (_, i) => i);
  [perm[axis], perm[rank - 1]] = [rank - 1, axis];
  const turned = write.op('Transpose', [x], { perm });
  return write.op('Transpose', [write.op('MatMul', [turned, matrix])], { perm });
}
