/** Arithmetic, element by element, with broadcasting. */
import type { Operation, Rule } from './rule.js';

/** A rule for one operand from the derivative by itself. */
function derivative(of: (op: Operation) => string): Rule {
  return op => [op.write.multiply(op.dy, of(op))];
}

/** A rule for operands that are broadcast to one shape; each gradient is asked for only where it is wanted. */
function broadcast(...gradients: readonly ((op: Operation) => string)[]): Rule {
  return op => gradients.map((gradient, i) => (op.wants(i) ? op.unbroadcast(gradient(op), op.input(i)) : undefined));
}

export const add: Rule = broadcast(
  op => op.dy,
  op => op.dy,
);

export const subtract: Rule = broadcast(
  op => op.dy,
  op => op.write.op('Neg', [op.dy]),
);

export const multiply: Rule = broadcast(
  op => op.write.multiply(op.dy, op.input(1)),
  op => op.write.multiply(op.dy, op.input(0)),
);

export const divide: Rule = broadcast(
  op => op.write.divide(op.dy, op.input(1)),
  op => op.write.op('Neg', [op.write.divide(op.write.multiply(op.dy, op.y), op.input(1))]),
);

/** y = a^b: b a^(b - 1) da + y log(a) db */
export const power: Rule = broadcast(
  op => {
    const { write } = op;
    const exponent = op.wants(1) ? undefined : op.constant(1)?.data;
    // Squares are common, and a power is slow.
    if (exponent?.length === 1 && exponent[0] === 2) return write.multiply(op.dy, write.scale(op.x, 2));
    const less = write.subtract(op.input(1), write.scalar(1));
    return write.multiply(op.dy, write.multiply(op.input(1), write.op('Pow', [op.x, less])));
  },
  op => op.write.multiply(op.dy, op.write.multiply(op.y, op.write.op('Log', [op.x]))),
);

/** The larger or the smaller of the operands; equal ones share the gradient. */
export const extreme: Rule = op => {
  const { write } = op;
  const masks = op.node.input.map(input => write.indicator(write.op('Equal', [input, op.y])));
  const ties = masks.reduce((sum, mask) => write.add(sum, mask));
  const share = write.divide(op.dy, ties);
  return op.node.input.map((input, i) =>
    op.wants(i) ? op.unbroadcast(write.multiply(share, masks[i]!), input) : undefined,
  );
};

/** The sum of any number of operands. */
export const sum: Rule = op =>
  op.node.input.map((input, i) => (op.wants(i) ? op.unbroadcast(op.dy, input) : undefined));

/** Their mean. */
export const mean: Rule = op => {
  const share = op.write.scale(op.dy, 1 / op.node.input.length);
  return op.node.input.map((input, i) => (op.wants(i) ? op.unbroadcast(share, input) : undefined));
};

/** The first where a condition holds, else the second. */
export const where: Rule = op => {
  const { write } = op;
  const zero = write.scalar(0);
  const side = (i: 1 | 2): string | undefined => {
    if (!op.wants(i)) return undefined;
    const [first, second] = i === 1 ? [op.dy, zero] : [zero, op.dy];
    return op.unbroadcast(write.op('Where', [op.input(0), first, second]), op.input(i));
  };
  return [undefined, side(1), side(2)];
};

export const negate: Rule = op => [op.write.op('Neg', [op.dy])];

export const absolute = derivative(op => op.write.op('Sign', [op.x]));

export const exponential = derivative(op => op.y);

export const logarithm: Rule = op => [op.write.divide(op.dy, op.x)];

/** dy / (2 y) */
export const squareRoot: Rule = op => [op.write.divide(op.write.scale(op.dy, 0.5), op.y)];

/** -y^2 */
export const reciprocal = derivative(op => op.write.op('Neg', [op.write.multiply(op.y, op.y)]));

export const sine = derivative(op => op.write.op('Cos', [op.x]));

export const cosine = derivative(op => op.write.op('Neg', [op.write.op('Sin', [op.x])]));
