/**
 * Reverse-mode differentiation of a network into another network: one that gives the scores and the gradient of a loss
 * with respect to the image, in one pass of the same runtime. Griewank and Walther, 'Evaluating Derivatives', 2nd edition,
 * SIAM 2008, chapter 3.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { DeflectorError } from '../../../errors.js';
import { type IndexedGraph, operator, quote, readGraph } from '../graph.js';
import { GraphWriter } from '../graph-writer.js';
import { opsetOf, withModernOperators } from '../modern-operators.js';
import type { OnnxNetwork } from '../network.js';
import {
  DimensionSchema,
  GraphSchema,
  ModelSchema,
  type Node,
  NodeSchema,
  ShapeSchema,
  TensorTypeSchema,
  TypeSchema,
  type ValueInfo,
  ValueInfoSchema,
} from '../onnx_pb.js';
import { type Gradient, woven } from './phases.js';
import { type MeasuredShape, Operation } from './rule.js';
import { CONSTANT_ALMOST_EVERYWHERE, RULES } from './rules.js';

/** Larger than any score, so that a score less this is no maximum. */
const BEYOND_SCORES = 1e30;

/**
 * The tensors that the gradient network takes beside the image. With scores z [N, classes] and feature maps f its loss is,
 * for each image,
 *
 *     sum_j seed_j z_j + crossEntropy (log sum_j exp z_j - sum_j truth_j z_j)
 *                      + margin (max over j with truth_j = 0 of z_j - sum_j truth_j z_j) + sum_i features_i f_i
 *
 * so with a one-hot `truth` the cross-entropy and the margin are those by which the class loses.
 */
export interface LossInputs {
  /** [N, classes] */
  readonly seed: string;
  /** [N, classes], each row all zeros or a single one. */
  readonly truth: string;
  /** [N, 1] */
  readonly crossEntropy: string;
  /** [N, 1] */
  readonly margin: string;
  /** [N, ...shape]; absent where the network has no feature maps that an activation map is made from. */
  readonly features: { readonly name: string; readonly shape: readonly [number, number, number] } | undefined;
}

/** A network that gives gradients. */
export interface GradientNetwork {
  readonly bytes: Uint8Array;
  readonly inputs: LossInputs;
  /** Scores before any softmax, [N, classes]. */
  readonly scores: string;
  /** In the shape of the image input. */
  readonly gradient: string;
}

/** A differentiation, half done: the shapes of some tensors are asked for, which the runtime knows best. */
export interface Differentiation {
  /** A network that takes the image and gives shapes: its outputs, by the tensors that they describe. */
  readonly shapes: { readonly bytes: Uint8Array; readonly outputs: ReadonlyMap<string, string> };
  /** Numbers of images that the shapes are to be measured with: two, or the network's fixed one. */
  readonly batches: readonly number[];
  /**
   * @param measured for each of `batches`, the shape of each tensor
   * @throws DeflectorError MODEL_UNSUPPORTED naming the operator and the node that has no gradient
   */
  finish(measured: readonly ReadonlyMap<string, readonly number[]>[]): GradientNetwork;
}

/**
 * Begins to differentiate a network.
 *
 * @throws DeflectorError MODEL_UNSUPPORTED where an operator has no rule, the operators are too old, or the network
 *   computes in half precision
 */
export function differentiate(network: OnnxNetwork): Differentiation {
  const graph = withModernOperators(readGraph(network.session));
  const { input, output } = network;
  if (input.type !== 'float32' || output.type !== 'float32') {
    throw unsupported('Gradients need a network that computes in single precision; this one takes or gives halves');
  }
  const logits = output.kind === 'probabilities' ? behindSoftmax(graph, output.name) : output.name;
  const differentiable = dependents(graph, input.name);
  const path = pathTo(graph, logits, differentiable);
  if (!differentiable.has(logits)) throw unsupported(`The scores ${quote(logits)} do not depend on the image`);
  for (const node of path) if (RULES[operator(node)] === undefined) throw withoutRule(node);
  const prefix = freshPrefix(graph);
  return {
    shapes: shapeNetwork(graph, path, prefix),
    batches: input.batch === undefined ? [2, 3] : [input.batch],
    finish: measured =>
      finish(
        {
          graph,
          opset: opsetOf(graph),
          prefix,
          path,
          differentiable,
          logits,
          image: input.name,
          features: network.head?.features,
        },
        measured,
      ),
  };
}

interface Begun {
  readonly graph: IndexedGraph;
  readonly opset: number;
  readonly prefix: string;
  readonly path: readonly Node[];
  readonly differentiable: ReadonlySet<string>;
  readonly logits: string;
  readonly image: string;
  /** Tensor with the feature maps of the head. */
  readonly features: string | undefined;
}

function finish(begun: Begun, measured: readonly ReadonlyMap<string, readonly number[]>[]): GradientNetwork {
  const { graph, path, differentiable, logits } = begun;
  const shapes = compared(measured);
  for (const [name, tensor] of graph.initializers) {
    shapes.set(name, { dims: tensor.dims.map(Number), varies: tensor.dims.map(() => false) });
  }
  const write = new GraphWriter(begun.prefix, begun.opset);
  const shape = shapes.get(logits)?.dims ?? [];
  if (shape.length < 2 || shape.slice(2).some(dim => dim !== 1)) {
    throw unsupported(`The scores ${quote(logits)} are no list for each image: [${shape.join(', ')}]`);
  }
  const { scores, inputs: ofScores, seed } = lossHead(write, logits, shape);
  const inputs: LossInputs = { ...ofScores, features: featuresInput(begun, shapes, write) };
  // Copies, because a rule may ask its node for one output more.
  const copies = new Map(path.map(node => [node, create(NodeSchema, { ...node, output: [...node.output] })]));
  const gradients = new Map<string, Gradient>([[logits, seed]]);
  if (inputs.features !== undefined) gradients.set(begun.features!, inputs.features.name);
  for (const node of [...path].reverse()) {
    const outputs = node.output.map(name => gradients.get(name));
    if (outputs.every(gradient => gradient === undefined)) continue;
    const op = new Operation(copies.get(node)!, outputs, write, graph, shapes, differentiable);
    for (const [i, gradient] of RULES[operator(node)]!(op).entries()) {
      const name = node.input[i] ?? '';
      if (gradient === undefined || !differentiable.has(name)) continue;
      const others = gradients.get(name);
      gradients.set(name, others === undefined ? gradient : write.add(whole(write, others), whole(write, gradient)));
    }
  }
  const image = gradients.get(begun.image);
  if (image === undefined) throw unsupported(`The scores ${quote(logits)} do not depend on the image`);
  const gradient = write.op('Identity', [whole(write, image)]);
  const { model } = graph;
  const images = write.name('images');
  const both = create(GraphSchema, {
    name: graph.graph.name,
    node: [...graph.graph.node.map(node => copies.get(node) ?? node), ...write.nodes],
    initializer: [...graph.graph.initializer, ...write.initializers],
    input: [
      ...graph.graph.input.map(input => (input.name === begun.image ? withImages(input, images) : input)),
      ...[inputs.seed, inputs.truth].map(name => perImage(name, images, [shape[1]!])),
      ...[inputs.crossEntropy, inputs.margin].map(name => perImage(name, images, [1])),
      ...(inputs.features === undefined ? [] : [perImage(inputs.features.name, images, inputs.features.shape)]),
    ],
    output: [scores, gradient].map(name => create(ValueInfoSchema, { name })),
  });
  const bytes = toBinary(ModelSchema, create(ModelSchema, { ...model, graph: both }));
  return { bytes, inputs, scores, gradient };
}

function whole(write: GraphWriter, gradient: Gradient): string {
  return typeof gradient === 'string' ? gradient : woven(write, gradient);
}

/** Which dimensions differ from batch to batch. */
function compared(measured: readonly ReadonlyMap<string, readonly number[]>[]): Map<string, MeasuredShape> {
  const [first, second = first] = measured;
  return new Map(
    [...(first ?? [])].map(([name, dims]) => {
      const other = second?.get(name);
      return [name, { dims, varies: dims.map((dim, axis) => dim !== other?.[axis]) }];
    }),
  );
}

/** The scores as a matrix, and the gradient of the loss with respect to them: see {@link LossInputs}. */
function lossHead(
  write: GraphWriter,
  logits: string,
  shape: readonly number[],
): { scores: string; inputs: Omit<LossInputs, 'features'>; seed: string } {
  const classes = shape[1]!;
  // 0 keeps the dimension in that place.
  const scores = shape.length === 2 ? logits : write.reshape(logits, [0, classes]);
  const inputs = {
    seed: write.name('seed'),
    truth: write.name('truth'),
    crossEntropy: write.name('cross_entropy'),
    margin: write.name('margin'),
  };
  const probabilities = write.op('Softmax', [scores], { axis: 1 });
  const others = write.subtract(scores, write.scale(inputs.truth, BEYOND_SCORES));
  const rival = write.op('ArgMax', [others], { axis: 1, keepdims: 0 });
  const oneHot = write.op('OneHot', [rival, write.integers([classes]), write.floats([2], [0, 1])], { axis: 1 });
  const term = (factor: string, against: string): string =>
    write.multiply(factor, write.subtract(against, inputs.truth));
  const losses = write.add(term(inputs.crossEntropy, probabilities), term(inputs.margin, oneHot));
  const seed = write.add(inputs.seed, losses);
  return { scores, inputs, seed: shape.length === 2 ? seed : write.reshape(seed, [0, ...shape.slice(1)]) };
}

/** The input by which the loss looks at the feature maps. */
function featuresInput(
  { features, differentiable }: Begun,
  shapes: ReadonlyMap<string, MeasuredShape>,
  write: GraphWriter,
): LossInputs['features'] {
  const { dims, varies } = shapes.get(features ?? '') ?? {};
  if (features === undefined || !differentiable.has(features) || dims?.length !== 4) return undefined;
  if (varies!.slice(1).includes(true)) return undefined;
  return { name: write.name('features'), shape: [dims[1]!, dims[2]!, dims[3]!] };
}

/** What a softmax at the end reads. */
function behindSoftmax(graph: IndexedGraph, output: string): string {
  let node = graph.producers.get(output);
  while (node !== undefined && operator(node) !== 'Softmax') node = graph.producers.get(node.input[0] ?? '');
  return node?.input[0] ?? output;
}

/** Tensors that change with the image by small amounts. */
function dependents(graph: IndexedGraph, image: string): ReadonlySet<string> {
  const found = new Set([image]);
  for (const node of graph.graph.node) {
    if (CONSTANT_ALMOST_EVERYWHERE.has(operator(node))) continue;
    if (node.input.some(name => found.has(name))) for (const name of node.output) if (name !== '') found.add(name);
  }
  return found;
}

/** The nodes by which the scores depend on the image, in the order of the graph. */
function pathTo(graph: IndexedGraph, logits: string, differentiable: ReadonlySet<string>): Node[] {
  const wanted = new Set([logits]);
  const path: Node[] = [];
  for (const node of [...graph.graph.node].reverse()) {
    if (!node.output.some(name => wanted.has(name) && differentiable.has(name))) continue;
    path.unshift(node);
    for (const name of node.input) if (differentiable.has(name)) wanted.add(name);
  }
  return path;
}

/** The network with the shape of each tensor that a rule may ask about as an output, and without its own. */
function shapeNetwork(graph: IndexedGraph, path: readonly Node[], prefix: string): Differentiation['shapes'] {
  const names = new Set(path.flatMap(node => [...node.input, ...node.output]));
  const asked = [...names].filter(name => name !== '' && !graph.initializers.has(name));
  const outputs = new Map(asked.map((name, i) => [name, `${prefix}shape_${i}`]));
  const shapes = [...outputs].map(([name, shape]) =>
    create(NodeSchema, { opType: 'Shape', name: shape, input: [name], output: [shape] }),
  );
  const whole = create(GraphSchema, {
    ...graph.graph,
    node: [...graph.graph.node, ...shapes],
    output: [...outputs.values()].map(name => create(ValueInfoSchema, { name })),
  });
  return { bytes: toBinary(ModelSchema, create(ModelSchema, { ...graph.model, graph: whole })), outputs };
}

/** float32 [images, ...shape] */
function perImage(name: string, images: string, shape: readonly number[]): ValueInfo {
  const sizes = [
    { case: 'dimParam', value: images } as const,
    ...shape.map(size => ({ case: 'dimValue', value: BigInt(size) }) as const),
  ];
  const dim = sizes.map(value => create(DimensionSchema, { value }));
  const tensorType = create(TensorTypeSchema, { elemType: 1, shape: create(ShapeSchema, { dim }) });
  return create(ValueInfoSchema, { name, type: create(TypeSchema, { tensorType }) });
}

/** The image input, its open number of images called as that of the other inputs, by which the runtime knows it. */
function withImages(input: ValueInfo, images: string): ValueInfo {
  const [first, ...rest] = input.type?.tensorType?.shape?.dim ?? [];
  if (first === undefined || (first.value.case === 'dimValue' && first.value.value > 0n)) return input;
  const open = create(DimensionSchema, { value: { case: 'dimParam', value: images } });
  const shape = create(ShapeSchema, { dim: [open, ...rest] });
  const tensorType = create(TensorTypeSchema, { elemType: input.type!.tensorType!.elemType, shape });
  return create(ValueInfoSchema, { name: input.name, type: create(TypeSchema, { tensorType }) });
}

function freshPrefix(graph: IndexedGraph): string {
  const names = [
    ...graph.producers.keys(),
    ...graph.initializers.keys(),
    ...graph.graph.input.map(input => input.name),
    ...graph.graph.node.map(node => node.name),
  ];
  let prefix = 'gradient_';
  while (names.some(name => name.startsWith(prefix))) prefix += '_';
  return prefix;
}

function withoutRule(node: Node): DeflectorError {
  const name = node.name || node.output[0] || '';
  return unsupported(`There is no gradient of ${quote(operator(node))} at the node ${quote(name)}: it has no rule`);
}

function unsupported(message: string): DeflectorError {
  return new DeflectorError('MODEL_UNSUPPORTED', message);
}
