/** Products of matrices. */
import type { Operation, Rule } from './rule.js';

/** Y = alpha A' B' + beta C, where A' and B' are A and B or their transposes. */
export const gemm: Rule = op => {
  const { write, dy } = op;
  const [a, b] = [op.input(0), op.input(1)];
  const [transA, transB] = [op.int('transA', 0), op.int('transB', 0)];
  const alpha = { float: op.float('alpha', 1) };
  const product = (left: string, right: string, turnLeft: number, turnRight: number): string =>
    write.op('Gemm', [left, right], { alpha, transA: turnLeft, transB: turnRight });
  const da = () => (transA === 0 ? product(dy, b, 0, 1 - transB) : product(b, dy, transB, 1));
  const db = () => (transB === 0 ? product(a, dy, 1 - transA, 0) : product(dy, a, 1, transA));
  return [
    op.wants(0) ? da() : undefined,
    op.wants(1) ? db() : undefined,
    op.wants(2) ? op.unbroadcast(write.scale(dy, op.float('beta', 1)), op.input(2)) : undefined,
  ];
};

/** Stacks of matrices, broadcast as NumPy's matmul does. */
export const matMul: Rule = op => {
  const { write, dy } = op;
  const [a, b] = [op.input(0), op.input(1)];
  if (op.shape(a).length < 2 || op.shape(b).length < 2) throw op.unsupported('an operand is a vector');
  return [
    op.wants(0) ? fit(op, write.op('MatMul', [dy, turned(op, b)]), a) : undefined,
    op.wants(1) ? fit(op, write.op('MatMul', [turned(op, a), dy]), b) : undefined,
  ];
};

/** The last two axes swapped. */
function turned(op: Operation, name: string): string {
  const rank = op.shape(name).length;
  const perm = Array.from({ length: rank }, (_, axis) => axis);
  perm.splice(-2, 2, rank - 1, rank - 2);
  return op.write.op('Transpose', [name], { perm });
}

/** Sums the stack of a product to the stack of the operand that was broadcast. */
function fit(op: Operation, gradient: string, operand: string): string {
  const stack = op.shape(op.y).slice(0, -2);
  const own = op.shape(operand).slice(0, -2);
  const leading = stack.length - own.length;
  const axes = stack.flatMap((dim, axis) => (axis < leading || (own[axis - leading] === 1 && dim !== 1) ? [axis] : []));
  if (axes.length === 0) return gradient;
  const summed = op.write.sum(gradient, axes);
  return leading === 0 ? summed : op.write.reshapeLike(summed, operand);
}
