/** The rule of every operator that a gradient can pass. */
import * as activation from './activations.js';
import * as arithmetic from './arithmetic.js';
import { conv, convTranspose } from './convolution.js';
import { gemm, matMul } from './linear.js';
import * as normalisation from './normalisation.js';
import * as pooling from './pooling.js';
import * as reduction from './reductions.js';
import type { Rule } from './rule.js';
import * as shape from './shapes.js';

export const RULES: Readonly<Record<string, Rule>> = {
  Abs: arithmetic.absolute,
  Add: arithmetic.add,
  AveragePool: pooling.averagePool,
  BatchNormalization: normalisation.batchNormalization,
  Cast: shape.cast,
  Celu: activation.celu,
  Clip: activation.clip,
  Concat: shape.concat,
  Conv: conv,
  ConvTranspose: convTranspose,
  Cos: arithmetic.cosine,
  DepthToSpace: shape.depthToSpace,
  Div: arithmetic.divide,
  Dropout: shape.unchanged,
  Elu: activation.elu,
  Erf: activation.erf,
  Exp: arithmetic.exponential,
  Expand: shape.expand,
  Flatten: shape.reshaped,
  Gather: shape.gather,
  Gelu: activation.gelu,
  Gemm: gemm,
  GlobalAveragePool: pooling.globalAveragePool,
  GlobalMaxPool: pooling.globalMaxPool,
  HardSigmoid: activation.hardSigmoid,
  HardSwish: activation.hardSwish,
  Identity: shape.unchanged,
  InstanceNormalization: normalisation.instanceNormalization,
  LRN: normalisation.localResponse,
  LayerNormalization: normalisation.layerNormalization,
  LeakyRelu: activation.leakyRelu,
  Log: arithmetic.logarithm,
  LogSoftmax: activation.logSoftmax,
  MatMul: matMul,
  Max: arithmetic.extreme,
  MaxPool: pooling.maxPool,
  Mean: arithmetic.mean,
  Min: arithmetic.extreme,
  Mish: activation.mish,
  Mul: arithmetic.multiply,
  Neg: arithmetic.negate,
  PRelu: activation.pRelu,
  Pad: shape.pad,
  Pow: arithmetic.power,
  Reciprocal: arithmetic.reciprocal,
  ReduceL2: reduction.reduceL2,
  ReduceMax: reduction.reduceExtreme,
  ReduceMean: reduction.reduceMean,
  ReduceMin: reduction.reduceExtreme,
  ReduceSum: reduction.reduceSum,
  Relu: activation.relu,
  Reshape: shape.reshaped,
  Selu: activation.selu,
  Sigmoid: activation.sigmoid,
  Sin: arithmetic.sine,
  Slice: shape.slice,
  Softmax: activation.softmax,
  Softplus: activation.softplus,
  Softsign: activation.softsign,
  SpaceToDepth: shape.spaceToDepth,
  Split: shape.split,
  Sqrt: arithmetic.squareRoot,
  Squeeze: shape.reshaped,
  Sub: arithmetic.subtract,
  Sum: arithmetic.sum,
  Swish: activation.swish,
  Tanh: activation.tanh,
  Transpose: shape.transpose,
  Unsqueeze: shape.reshaped,
  Where: arithmetic.where,
};

/** Operators whose outputs do not change with small changes of their inputs: shapes, places, conditions. */
export const CONSTANT_ALMOST_EVERYWHERE: ReadonlySet<string> = new Set([
  ...['Shape', 'Size', 'ArgMax', 'ArgMin', 'NonZero', 'ConstantOfShape', 'EyeLike', 'IsNaN', 'IsInf'],
  ...['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'And', 'Or', 'Xor', 'Not'],
]);
