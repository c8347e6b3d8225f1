/**
 * Activations, element by element. Where the derivative can be told from the output it is, so that the runtime stays
 * free to fuse the activation into what comes before it.
 */
import type { GraphWriter } from '../graph-writer.js';
import { type Gradient, sampled } from './phases.js';
import type { Operation, Rule } from './rule.js';

/** A rule from the derivative by itself. */
function derivative(of: (op: Operation) => string): Rule {
  return op => [op.write.multiply(op.dy, of(op))];
}

/** 1 where `x` is above zero, else 0. */
function positive(op: Operation, x: string): string {
  return op.write.indicator(op.write.op('Greater', [x, op.write.scalar(0)]));
}

/** y = max(0, x) */
export const relu: Rule = op => [gated(op, 0, undefined)];

/** y = min(max(x, low), high): 1 strictly between the bounds, as every framework has it for ReLU6. */
export const clip: Rule = op => {
  const low = op.has('min') ? op.float('min', 0) : op.constant(1)?.data[0];
  const high = op.has('max') ? op.float('max', 0) : op.constant(2)?.data[0];
  const lower = low === undefined || low < LOWEST ? undefined : low;
  const upper = high === undefined || high > -LOWEST ? undefined : high;
  return [gated(op, lower, upper), undefined, undefined];
};

/** Bounds beyond this are the ends of single precision, which exporters write for a bound that is not there. */
const LOWEST = -1e38;

/** How steep a ramp stands for a step: the smallest distance from a bound, in single precision, is past its end. */
const STEEP = 2 ** 30;

/** The gradient where the output, which is never outside its bounds, is strictly between them; else 0. */
function gated(op: Operation, low: number | undefined, high: number | undefined): Gradient {
  const { write, phased } = op;
  const gate = (dy: string, y: string): string => {
    let gradient = dy;
    if (low !== undefined) gradient = write.multiply(gradient, ramp(write, y, STEEP, -low * STEEP));
    if (high !== undefined) gradient = write.multiply(gradient, ramp(write, y, -STEEP, high * STEEP));
    return gradient;
  };
  if (phased === undefined) return gate(op.dy, op.y);
  const outputs = sampled(write, op.y, phased);
  return { ...phased, phases: phased.phases.map((dy, phase) => gate(dy, outputs[phase]!)) };
}

/** slope y + offset, cut off below 0 and above 1: in an eighth of the time that the runtime takes for Sign. */
function ramp(write: GraphWriter, y: string, slope: number, offset: number): string {
  return write.op('HardSigmoid', [y], { alpha: { float: slope }, beta: { float: offset } });
}

/** 1 above zero, else `slope`. */
function leaky(op: Operation, slope: string): string {
  const { write } = op;
  const above = positive(op, op.x);
  return write.add(above, write.multiply(write.subtract(write.scalar(1), above), slope));
}

export const leakyRelu = derivative(op => leaky(op, op.write.scalar(op.float('alpha', 0.01))));

export const pRelu: Rule = op => {
  if (op.wants(1)) throw op.unsupported('its slope depends on the image');
  return [op.write.multiply(op.dy, leaky(op, op.input(1))), undefined];
};

/** y = x above zero, else alpha (exp(x / beta) - 1), all times gamma: Elu, Selu and Celu. */
function exponentialUnit(op: Operation, alpha: number, beta: number, gamma: number): string {
  const { write } = op;
  const above = positive(op, op.x);
  const negative = write.op('Min', [op.x, write.scalar(0)]);
  const slope = write.scale(write.op('Exp', [write.scale(negative, 1 / beta)]), alpha / beta);
  return write.scale(write.add(above, write.multiply(write.subtract(write.scalar(1), above), slope)), gamma);
}

export const elu = derivative(op => exponentialUnit(op, op.float('alpha', 1), 1, 1));

export const celu = derivative(op => {
  const alpha = op.float('alpha', 1);
  return exponentialUnit(op, alpha, alpha, 1);
});

/** Defaults: ONNX, Selu; Klambauer et al., 'Self-Normalizing Neural Networks', NIPS 2017. */
export const selu = derivative(op =>
  exponentialUnit(op, op.float('alpha', 1.6732632423543772), 1, op.float('gamma', 1.0507009873554805)),
);

/** y (1 - y) */
export const sigmoid = derivative(op => {
  const { write } = op;
  return write.multiply(op.y, write.subtract(write.scalar(1), op.y));
});

/** 1 - y^2 */
export const tanh = derivative(op => {
  const { write } = op;
  return write.subtract(write.scalar(1), write.multiply(op.y, op.y));
});

export const softplus = derivative(op => op.write.op('Sigmoid', [op.x]));

/** y = x / (1 + |x|) */
export const softsign = derivative(op => {
  const { write } = op;
  const one = write.scalar(1);
  const below = write.add(one, write.op('Abs', [op.x]));
  return write.divide(one, write.multiply(below, below));
});

/** alpha where the output is strictly between 0 and 1. */
function hardSigmoidSlope(op: Operation, y: string, alpha: number): string {
  const { write } = op;
  return write.scale(write.op('Sign', [write.multiply(y, write.subtract(write.scalar(1), y))]), alpha);
}

export const hardSigmoid = derivative(op => hardSigmoidSlope(op, op.y, op.float('alpha', 0.2)));

/** y = x HardSigmoid(x; 1/6, 1/2) */
export const hardSwish = derivative(op => {
  const { write } = op;
  const gate = write.op('HardSigmoid', [op.x], { alpha: { float: 1 / 6 }, beta: { float: 0.5 } });
  return write.add(gate, write.multiply(op.x, hardSigmoidSlope(op, gate, 1 / 6)));
});

/** y = x sigmoid(alpha x): SiLU where it is one operator. */
export const swish = derivative(op => {
  const { write } = op;
  const scaled = write.scale(op.x, op.float('alpha', 1));
  const gate = write.op('Sigmoid', [scaled]);
  const turn = write.multiply(scaled, write.subtract(write.scalar(1), gate));
  return write.multiply(gate, write.add(write.scalar(1), turn));
});

/** y = x tanh(softplus(x)) */
export const mish = derivative(op => {
  const { write } = op;
  const gate = write.op('Tanh', [write.op('Softplus', [op.x])]);
  const rest = write.subtract(write.scalar(1), write.multiply(gate, gate));
  return write.add(gate, write.multiply(write.multiply(op.x, write.op('Sigmoid', [op.x])), rest));
});

/** y = x Phi(x), or its approximation by tanh. Hendrycks and Gimpel, 'Gaussian Error Linear Units', 2016. */
export const gelu = derivative(op => {
  const { write } = op;
  const one = write.scalar(1);
  const square = write.multiply(op.x, op.x);
  if (op.text('approximate', 'none') === 'tanh') {
    const root = Math.sqrt(2 / Math.PI);
    const inner = write.multiply(op.x, write.add(write.scalar(root), write.scale(square, 0.044715 * root)));
    const t = write.op('Tanh', [inner]);
    const slope = write.add(write.scalar(root), write.scale(square, 3 * 0.044715 * root));
    const turn = write.multiply(write.multiply(op.x, write.subtract(one, write.multiply(t, t))), slope);
    return write.scale(write.add(write.add(one, t), turn), 0.5);
  }
  const cumulative = write.scale(write.add(one, write.op('Erf', [write.scale(op.x, Math.SQRT1_2)])), 0.5);
  const density = write.scale(write.op('Exp', [write.scale(square, -0.5)]), 1 / Math.sqrt(2 * Math.PI));
  return write.add(cumulative, write.multiply(op.x, density));
});

/** 2 / sqrt(pi) exp(-x^2) */
export const erf = derivative(op => {
  const { write } = op;
  const bell = write.op('Exp', [write.op('Neg', [write.multiply(op.x, op.x)])]);
  return write.scale(bell, 2 / Math.sqrt(Math.PI));
});

/** Before version 13 of the operator sets, Softmax ran over all axes from its own to the last. */
function softmaxAxes(op: Operation): number[] {
  const rank = op.shape(op.x).length;
  const old = op.write.opset < 13;
  const axis = op.axis(op.int('axis', old ? 1 : -1), rank);
  return old ? Array.from({ length: rank - axis }, (_, i) => axis + i) : [axis];
}

/** y (dy - sum(dy y)) */
export const softmax: Rule = op => {
  const { write } = op;
  const weighted = write.multiply(op.dy, op.y);
  return [write.subtract(weighted, write.multiply(op.y, write.sum(weighted, softmaxAxes(op))))];
};

/** dy - exp(y) sum(dy) */
export const logSoftmax: Rule = op => {
  const { write } = op;
  const total = write.sum(op.dy, softmaxAxes(op));
  return [write.subtract(op.dy, write.multiply(write.op('Exp', [op.y]), total))];
};
