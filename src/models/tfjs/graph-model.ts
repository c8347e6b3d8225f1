/**
 * Reads the topology of a TensorFlow.js graph model: TensorFlow's GraphDef as JSON, its constants in the weights. The
 * head is found as in ONNX graphs, from the scores backwards: one linear layer, global average pooling, convolution.
 */
import { z } from 'zod';
import { DeflectorError } from '../../errors.js';
import type { LocatableHead, NetworkSignature } from '../network.js';
import { imageInput, linearLayer, unsupported } from './shapes.js';
import type { Weight, Weights } from './weights.js';

const nodeSchema = z.looseObject({
  name: z.string(),
  op: z.string(),
  input: z.array(z.string()).optional(),
  attr: z.record(z.string(), z.unknown()).optional(),
});

const infoSchema = z.looseObject({ name: z.string() });

const graphSchema = z.looseObject({
  modelTopology: z.looseObject({ node: z.array(nodeSchema).min(1).max(100_000) }),
  signature: z.looseObject({ outputs: z.record(z.string(), infoSchema).nullish() }).nullish(),
  userDefinedMetadata: z
    .looseObject({ signature: z.looseObject({ outputs: z.record(z.string(), infoSchema).nullish() }).nullish() })
    .nullish(),
});

type Node = z.infer<typeof nodeSchema>;

interface Graph {
  readonly nodes: ReadonlyMap<string, Node>;
  readonly weights: Weights;
}

/** Operators that change the shape of a vector of scores or pooled channels, never its values. */
const SHAPE_ONLY = new Set(['Identity', 'IdentityN', 'Squeeze', 'ExpandDims', 'Reshape', 'StopGradient', 'Snapshot']);

/** Operators between the last convolution and the pooling that keep the places of a feature map in their order. */
const PLACE_KEEPING = new Set([
  ...['Identity', 'Relu', 'Relu6', 'LeakyRelu', 'Prelu', 'Elu', 'Selu', 'Softplus', 'Sigmoid', 'Tanh', 'BiasAdd'],
  ...['Add', 'AddV2', 'Sub', 'Mul', 'RealDiv', 'Maximum', 'Minimum', 'FusedBatchNorm', 'FusedBatchNormV2'],
  ...['FusedBatchNormV3', 'ConcatV2', 'MaxPool', 'AvgPool', 'ClipByValue'],
]);

const CONVOLUTIONS = /^(_?Fused)?(Conv2D|DepthwiseConv2dNative)$/;

/** Longest walk over operators that are passed by. */
const MAX_STEPS = 64;

/** @throws DeflectorError MODEL_INVALID, MODEL_UNSUPPORTED */
export function readGraphModel(json: unknown, weights: Weights): NetworkSignature {
  const parsed = graphSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new DeflectorError('MODEL_INVALID', `model.json: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  const { modelTopology, signature, userDefinedMetadata } = parsed.data;
  const nodes = new Map(modelTopology.node.map(node => [node.name, node]));
  const inputs = modelTopology.node.filter(node => /^Placeholder(WithDefault)?$/.test(node.op));
  const [image] = inputs;
  if (image === undefined || inputs.length > 1) {
    throw unsupported(`The network takes ${inputs.length} inputs where one image is expected`);
  }
  const dtype = field(image, 'dtype', 'type');
  if (dtype !== undefined && dtype !== 'DT_FLOAT' && dtype !== 1) {
    throw unsupported(`The input ${JSON.stringify(image.name)} takes ${dtype}; float32 is given`);
  }
  const declared = signature?.outputs ?? userDefinedMetadata?.signature?.outputs;
  const outputs =
    declared == null ? unread(modelTopology.node) : Object.values(declared).map(info => nodeName(info.name));
  const output = chosenOutput(nodes, outputs);
  const search = findHead({ nodes, weights }, output);
  if (search.independent) {
    throw unsupported('The scores leave a sigmoid each: the network says which labels apply, not which one of them');
  }
  return {
    input: imageInput(image.name, placeholderShape(image)),
    output: { name: output.name, type: 'float32', kind: search.kind, classes: search.head?.linear?.classes },
    head: search.head,
    headless: search.reason,
  };
}

/** Nodes that no other node reads. */
function unread(nodes: readonly Node[]): string[] {
  const read = new Set(nodes.flatMap(node => (node.input ?? []).map(nodeName)));
  return nodes.filter(node => !read.has(node.name) && node.op !== 'Const').map(node => node.name);
}

function chosenOutput(nodes: ReadonlyMap<string, Node>, names: readonly string[]): Node {
  const found = names.flatMap(name => nodes.get(name) ?? []);
  const named = found.find(node => /^(logits|scores|prob(abilitie)?s?|predictions?)$/i.test(node.name));
  const chosen = named ?? (found.length === 1 ? found[0] : undefined);
  if (chosen !== undefined) return chosen;
  const shown = names.map(name => JSON.stringify(name)).join(', ');
  throw unsupported(`None of the outputs ${shown || '(none)'} is a list of scores [N, classes], or several are`);
}

/** `layer/output:0` and `^control` without what is not the name of the node. */
function nodeName(reference: string): string {
  return reference.replace(/^\^/, '').replace(/:\d+$/, '');
}

/** One field of an attribute; text is stored as base64. */
function field(node: Node, name: string, kind: string): unknown {
  const value = node.attr?.[name];
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[kind] : undefined;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? Buffer.from(value, 'base64').toString('latin1') : '';
}

function list(node: Node, name: string, kind: 'i' | 's'): unknown[] {
  const value = field(node, name, 'list');
  const items = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[kind] : undefined;
  return Array.isArray(items) ? items : [];
}

const dimensionsSchema = z.looseObject({
  dim: z.array(z.looseObject({ size: z.union([z.string(), z.number()]).optional() })).optional(),
});

function placeholderShape(node: Node): (number | undefined)[] | undefined {
  const parsed = dimensionsSchema.safeParse(field(node, 'shape', 'shape'));
  return parsed.data?.dim?.map(({ size }) => (Number(size) > 0 ? Number(size) : undefined));
}

interface Search {
  readonly kind: 'logits' | 'probabilities';
  readonly independent: boolean;
  readonly head: LocatableHead | undefined;
  readonly reason: string | undefined;
}

function findHead(graph: Graph, output: Node): Search {
  const last = passBy(graph, output);
  const kind = last?.op === 'Softmax' ? 'probabilities' : 'logits';
  const independent = last?.op === 'Sigmoid';
  // The logarithm of a softmax differs from the logits by one number an image, which no reader of logits notices.
  const normalised = last?.op === 'Softmax' || last?.op === 'LogSoftmax';
  const node = normalised ? passBy(graph, read(graph, last, 0)) : last;
  const found = node === undefined ? 'its scores come from no operator' : headBehind(graph, node);
  return {
    kind,
    independent,
    head: typeof found === 'string' ? undefined : found,
    reason: typeof found === 'string' ? found : undefined,
  };
}

function read({ nodes }: Graph, node: Node | undefined, input: number): Node | undefined {
  return nodes.get(nodeName(node?.input?.[input] ?? ''));
}

function passBy(graph: Graph, start: Node | undefined): Node | undefined {
  let node = start;
  for (let step = 0; step < MAX_STEPS && node !== undefined && SHAPE_ONLY.has(node.op); step++) {
    node = read(graph, node, 0);
  }
  return node;
}

function headBehind(graph: Graph, node: Node): LocatableHead | string {
  const direct = pooledFeatures(graph, node);
  if (typeof direct !== 'string') return { ...direct, linear: undefined };
  const layer = linearBehind(graph, node);
  if (typeof layer === 'string') return layer;
  const pooling = passBy(graph, layer.input);
  if (pooling === undefined) return 'its linear layer reads no feature maps';
  const pooled = pooledFeatures(graph, pooling);
  return typeof pooled === 'string' ? pooled : { ...pooled, linear: layer.linear };
}

type Linear = { readonly linear: NonNullable<LocatableHead['linear']>; readonly input: Node | undefined };

const NOT_CONSTANT = 'the weights of its last layer are no constants';

function linearBehind(graph: Graph, node: Node): Linear | string {
  if (/^(BiasAdd|Add|AddV2)$/.test(node.op)) {
    const product = passBy(graph, read(graph, node, 0));
    const bias = constant(graph, read(graph, node, 1));
    if (product === undefined || bias === undefined) return 'its scores come from an addition that is no bias';
    return product.op === 'MatMul' || product.op === 'Conv2D'
      ? layerOf(graph, product, bias)
      : `its scores come from ${JSON.stringify(product.op)}, not from a linear layer`;
  }
  if (node.op === 'MatMul' || node.op === 'Conv2D') return layerOf(graph, node, undefined);
  if (node.op === '_FusedMatMul' || node.op === '_FusedConv2D') {
    const fused = list(node, 'fused_ops', 's').map(textOf);
    if (fused.length !== 1 || fused[0] !== 'BiasAdd') return `its last layer is fused with ${fused.join(', ')}`;
    const bias = constant(graph, read(graph, node, 2));
    return bias === undefined ? NOT_CONSTANT : layerOf(graph, node, bias);
  }
  return `its scores come from ${JSON.stringify(node.op)}, not from a linear layer`;
}

function layerOf(graph: Graph, node: Node, bias: Weight | undefined): Linear | string {
  const kernel = constant(graph, read(graph, node, 1));
  if (kernel === undefined) return NOT_CONSTANT;
  const input = read(graph, node, 0);
  if (node.op.endsWith('Conv2D')) {
    if (kernel.dims.length !== 4 || kernel.dims[0] !== 1 || kernel.dims[1] !== 1) {
      return 'its scores come from a convolution wider than 1x1';
    }
    return { linear: linearLayer(kernel, bias), input };
  }
  if (kernel.dims.length !== 2) return NOT_CONSTANT;
  if (field(node, 'transpose_a', 'b') === true) return 'its last layer reads its input transposed';
  return { linear: linearLayer(kernel, bias, field(node, 'transpose_b', 'b') === true), input };
}

function constant(graph: Graph, start: Node | undefined): Weight | undefined {
  const node = passBy(graph, start);
  return node?.op === 'Const' ? graph.weights.read(node.name) : undefined;
}

/** The feature maps that a global average pooling reads; or why the node is none. */
function pooledFeatures(graph: Graph, node: Node): Omit<LocatableHead, 'linear'> | string {
  let window: readonly [number, number] | undefined;
  if (node.op === 'AvgPool') {
    const [, height, width] = list(node, 'ksize', 'i').map(Number);
    if (textOf(field(node, 'data_format', 's')) === 'NCHW') return 'its feature maps have their channels first';
    if (height === undefined || width === undefined || textOf(field(node, 'padding', 's')) !== 'VALID') {
      return 'its pooling is padded';
    }
    window = [height, width];
  } else if (node.op === 'Mean') {
    const axes = Array.from(constant(graph, read(graph, node, 1))?.data ?? [], axis => (axis < 0 ? axis + 4 : axis));
    if (axes.sort().join() !== '1,2') return 'it averages over something else than height and width';
  } else {
    return `its last layer reads ${JSON.stringify(node.op)}, not a global average pooling`;
  }
  const features = read(graph, node, 0);
  return features !== undefined && comesFromConvolution(graph, features)
    ? { features: features.name, window }
    : 'what its global pooling reads are no feature maps of a convolution';
}

function comesFromConvolution(graph: Graph, start: Node): boolean {
  const open = [start];
  const seen = new Set<Node>();
  while (open.length > 0 && seen.size < 4 * MAX_STEPS) {
    const node = open.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    if (CONVOLUTIONS.test(node.op)) return true;
    if (PLACE_KEEPING.has(node.op))
      open.push(...(node.input ?? []).flatMap(name => graph.nodes.get(nodeName(name)) ?? []));
  }
  return false;
}
