/**
 * Finds, by reading the graph backwards from its scores, the parts that class activation mapping needs (Zhou et
 * al., CVPR 2016): the last convolutional feature maps, a global average pooling, and one linear layer. Then
 * score[c] = bias[c] + sum_k weight[c,k] * mean(feature[k]), and weight[c] * feature is the map of class c.
 */
import type { LinearLayer, LocatableHead } from '../network.js';
import { type Constant, constantValue } from './constants.js';
import { attribute, type IndexedGraph, intAttribute, intsAttribute, operator, quote } from './graph.js';
import type { Node } from './onnx_pb.js';

export interface HeadSearch {
  /** Whether the scores leave a softmax. */
  readonly outputs: 'logits' | 'probabilities';
  /** Whether each score is a probability of its own: the classifier picks labels, not one of many classes. */
  readonly independent: boolean;
  readonly head: LocatableHead | undefined;
  /** Why there is no head: a clause for a message. */
  readonly reason: string | undefined;
}

/** Operators that change the shape or the type of a vector of scores or pooled channels, never its values. */
const SHAPE_ONLY = new Set(['Identity', 'Cast', 'Dropout', 'Squeeze', 'Unsqueeze', 'Flatten', 'Reshape', 'Transpose']);

/** Operators between the last convolution and the pooling that keep the places of a feature map in their order. */
const PLACE_KEEPING = new Set([
  ...['Identity', 'Cast', 'Dropout', 'Relu', 'Clip', 'LeakyRelu', 'PRelu', 'Elu', 'Selu', 'Celu', 'Gelu', 'Softplus'],
  ...['Sigmoid', 'HardSigmoid', 'HardSwish', 'Mish', 'Swish', 'Tanh', 'Erf', 'Add', 'Sub', 'Mul', 'Div', 'Max', 'Min'],
  ...['BatchNormalization', 'Concat', 'MaxPool', 'AveragePool', 'LRN', 'QuantizeLinear', 'DequantizeLinear'],
]);

/** Longest walk over operators that are passed by; a real head has fewer than ten. */
const MAX_STEPS = 64;

/** The steps from the scores back to the feature maps. */
export function findHead(indexed: IndexedGraph, scores: string): HeadSearch {
  const last = passBy(indexed, scores);
  const softmax = last !== undefined && operator(last) === 'Softmax';
  const outputs = softmax ? 'probabilities' : 'logits';
  const independent = last !== undefined && operator(last) === 'Sigmoid';
  // The logarithm of a softmax differs from the logits by one number an image, which no reader of logits notices.
  const node = softmax || (last && operator(last) === 'LogSoftmax') ? passBy(indexed, last!.input[0] ?? '') : last;
  if (node === undefined) return { outputs, independent, head: undefined, reason: 'its scores come from no operator' };
  const found = headBehind(indexed, node);
  return typeof found === 'string'
    ? { outputs, independent, head: undefined, reason: found }
    : { outputs, independent, head: found, reason: undefined };
}

function headBehind(indexed: IndexedGraph, node: Node): LocatableHead | string {
  const direct = pooledFeatures(indexed, node);
  if (typeof direct !== 'string') return { ...direct, linear: undefined };
  const layer = linearLayer(indexed, node);
  if (typeof layer === 'string') return layer;
  const pooling = passBy(indexed, layer.input);
  if (pooling === undefined) return 'its linear layer reads no feature maps';
  const pooled = pooledFeatures(indexed, pooling);
  return typeof pooled === 'string' ? pooled : { ...pooled, linear: layer.linear };
}

/** The node behind those that leave values as they are. */
function passBy(indexed: IndexedGraph, name: string): Node | undefined {
  let node = indexed.producers.get(name);
  for (let step = 0; step < MAX_STEPS && node !== undefined && SHAPE_ONLY.has(operator(node)); step++) {
    node = indexed.producers.get(node.input[0] ?? '');
  }
  return node;
}

/** The linear layer that ends in `node`, and the tensor it reads; or why it is none. */
function linearLayer(indexed: IndexedGraph, node: Node): { linear: LinearLayer; input: string } | string {
  switch (operator(node)) {
    case 'Gemm':
      return gemm(indexed, node);
    case 'MatMul':
      return matMul(indexed, node, undefined);
    case 'Conv':
      return pointwise(indexed, node);
    case 'Add':
      return biased(indexed, node);
    default:
      return `its scores come from ${quote(operator(node))}, not from a linear layer`;
  }
}

const NOT_CONSTANT = 'the weights of its last layer are no constants';

function gemm(indexed: IndexedGraph, node: Node): { linear: LinearLayer; input: string } | string {
  const weights = constantValue(indexed, node.input[1] ?? '');
  if (weights === undefined || weights.dims.length !== 2) return NOT_CONSTANT;
  const bias = node.input[2] ? constantValue(indexed, node.input[2]) : undefined;
  if (node.input[2] && bias === undefined) return NOT_CONSTANT;
  if (intAttribute(node, 'transA', 0) !== 0) return 'its last layer reads its input transposed';
  const alpha = attribute(node, 'alpha')?.f ?? 1;
  const beta = attribute(node, 'beta')?.f ?? 1;
  const rows = intAttribute(node, 'transB', 0) === 0 ? columnsToRows(weights) : weights;
  return { linear: layer(rows, bias, alpha, beta), input: node.input[0] ?? '' };
}

function matMul(
  indexed: IndexedGraph,
  node: Node,
  bias: Constant | undefined,
): { linear: LinearLayer; input: string } | string {
  const weights = constantValue(indexed, node.input[1] ?? '');
  if (weights === undefined || weights.dims.length !== 2) return NOT_CONSTANT;
  return { linear: layer(columnsToRows(weights), bias, 1, 1), input: node.input[0] ?? '' };
}

/** A 1x1 convolution of pooled channels is the same linear layer. */
function pointwise(indexed: IndexedGraph, node: Node): { linear: LinearLayer; input: string } | string {
  const weights = constantValue(indexed, node.input[1] ?? '');
  if (weights === undefined || weights.dims.length !== 4) return NOT_CONSTANT;
  if (weights.dims[2] !== 1 || weights.dims[3] !== 1 || intAttribute(node, 'group', 1) !== 1) {
    return 'its scores come from a convolution wider than 1x1';
  }
  const bias = node.input[2] ? constantValue(indexed, node.input[2]) : undefined;
  if (node.input[2] && bias === undefined) return NOT_CONSTANT;
  const rows = { dims: weights.dims.slice(0, 2), data: weights.data };
  return { linear: layer(rows, bias, 1, 1), input: node.input[0] ?? '' };
}

/** A matrix product or a convolution, and its bias as an addition of its own. */
function biased(indexed: IndexedGraph, node: Node): { linear: LinearLayer; input: string } | string {
  for (const [product, addend] of [node.input, [...node.input].reverse()]) {
    const bias = constantValue(indexed, addend ?? '');
    const inner = passBy(indexed, product ?? '');
    if (bias === undefined || inner === undefined) continue;
    if (operator(inner) === 'MatMul') return matMul(indexed, inner, bias);
    if (operator(inner) === 'Conv' && !inner.input[2]) {
      const found = pointwise(indexed, inner);
      if (typeof found === 'string') return found;
      const rows = { dims: [found.linear.classes, found.linear.channels], data: found.linear.weights };
      return { linear: layer(rows, bias, 1, 1), input: found.input };
    }
  }
  return 'its scores come from an addition that is no bias';
}

function columnsToRows(matrix: Constant): Constant {
  const [rows, columns] = matrix.dims as [number, number];
  const data = new Float32Array(matrix.data.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) data[c * rows + r] = matrix.data[r * columns + c]!;
  }
  return { dims: [columns, rows], data };
}

function layer(rows: Constant, bias: Constant | undefined, alpha: number, beta: number): LinearLayer {
  const [classes, channels] = rows.dims as [number, number];
  const constant = bias?.data;
  return {
    classes,
    channels,
    weights: alpha === 1 ? rows.data : rows.data.map(weight => weight * alpha),
    bias: Float32Array.from({ length: classes }, (_, c) => {
      if (constant === undefined) return 0;
      return beta * (constant.length === 1 ? constant[0]! : (constant[c] ?? 0));
    }),
  };
}

/** The feature maps that a global average pooling reads; or why `node` is none. */
function pooledFeatures(indexed: IndexedGraph, node: Node): Omit<LocatableHead, 'linear'> | string {
  const input = node.input[0] ?? '';
  let window: readonly [number, number] | undefined;
  let features = input;
  switch (operator(node)) {
    case 'GlobalAveragePool':
      break;
    case 'AveragePool': {
      const [height, width] = intsAttribute(node, 'kernel_shape') ?? [];
      const padded = intsAttribute(node, 'pads')?.some(pad => pad !== 0) ?? false;
      const automatic = attribute(node, 'auto_pad');
      const same = automatic !== undefined && !/^(NOTSET|VALID)$/.test(Buffer.from(automatic.s).toString('latin1'));
      if (height === undefined || width === undefined || padded || same) return 'its pooling is padded';
      window = [height, width];
      features = withoutEmptyPadding(indexed, input);
      break;
    }
    case 'ReduceMean': {
      const planar = reducedPlanar(indexed, node);
      if (planar === undefined) return 'it averages over something else than height and width';
      features = planar;
      break;
    }
    default:
      return `its last layer reads ${quote(operator(node))}, not a global average pooling`;
  }
  return comesFromConvolution(indexed, features)
    ? { features, window }
    : 'what its global pooling reads are no feature maps of a convolution';
}

/** Older exporters write a padding by nothing before each AveragePool. */
function withoutEmptyPadding(indexed: IndexedGraph, name: string): string {
  const node = indexed.producers.get(name);
  if (node === undefined || operator(node) !== 'Pad') return name;
  const pads = intsAttribute(node, 'pads') ?? constantValue(indexed, node.input[1] ?? '')?.data;
  return pads !== undefined && Array.from(pads).every(pad => pad === 0) ? (node.input[0] ?? '') : name;
}

/** The planar feature maps that a ReduceMean averages over height and width; `undefined` where it averages otherwise. */
function reducedPlanar(indexed: IndexedGraph, node: Node): string | undefined {
  const listed =
    intsAttribute(node, 'axes') ?? (node.input[1] ? constantValue(indexed, node.input[1])?.data : undefined);
  if (listed === undefined || listed.length !== 2) return undefined;
  const axes = Array.from(listed, axis => (axis < 0 ? axis + 4 : axis)).sort();
  const input = node.input[0] ?? '';
  if (axes[0] === 2 && axes[1] === 3) return input;
  if (axes[0] !== 1 || axes[1] !== 2) return undefined;
  const before = indexed.producers.get(input);
  const perm = before !== undefined && operator(before) === 'Transpose' ? intsAttribute(before, 'perm') : undefined;
  return perm?.join() === '0,2,3,1' ? before?.input[0] : undefined;
}

/** Whether a tensor is made by a convolution and by operators that keep its places in order. */
function comesFromConvolution(indexed: IndexedGraph, name: string): boolean {
  const open = [name];
  const seen = new Set<string>();
  while (open.length > 0 && seen.size < 4 * MAX_STEPS) {
    const tensor = open.pop()!;
    if (seen.has(tensor)) continue;
    seen.add(tensor);
    const node = indexed.producers.get(tensor);
    if (node === undefined) continue;
    if (/^(Conv|ConvInteger|QLinearConv|FusedConv)$/.test(node.opType)) return true;
    if (PLACE_KEEPING.has(operator(node))) open.push(...node.input.filter(input => input !== ''));
  }
  return false;
}
