/** Reductions over axes. */
import { toMaxima } from './pooling.js';
import type { Operation, Rule } from './rule.js';

/** The axes that are reduced; all of them where none are named. */
function reduced(op: Operation): number[] {
  const rank = op.shape(op.x).length;
  const listed = op.listed('axes', 1);
  if (listed !== undefined && listed.length > 0) return listed.map(axis => op.axis(axis, rank));
  if (op.int('noop_with_empty_axes', 0) !== 0) return [];
  return Array.from({ length: rank }, (_, axis) => axis);
}

/** A reduced tensor with its axes as dimensions of one. */
function withAxes(op: Operation, name: string, axes: readonly number[]): string {
  if (op.int('keepdims', 1) !== 0 || axes.length === 0) return name;
  return op.write.unsqueeze(
    name,
    [...axes].sort((a, b) => a - b),
  );
}

export const reduceSum: Rule = op => [op.expandLike(withAxes(op, op.dy, reduced(op)), op.x)];

export const reduceMean: Rule = op => {
  const axes = reduced(op);
  const shape = op.shape(op.x);
  const count = axes.reduce((product, axis) => product * shape[axis]!, 1);
  return [op.expandLike(op.write.scale(withAxes(op, op.dy, axes), 1 / count), op.x)];
};

/** The largest or smallest; equal ones share the gradient. */
export const reduceExtreme: Rule = op => {
  const axes = reduced(op);
  return [toMaxima(op, withAxes(op, op.y, axes), withAxes(op, op.dy, axes), axes)];
};

/** y = sqrt(sum x^2): x / y */
export const reduceL2: Rule = op => {
  const axes = reduced(op);
  const { write } = op;
  return [write.multiply(op.x, write.divide(withAxes(op, op.dy, axes), withAxes(op, op.y, axes)))];
};
