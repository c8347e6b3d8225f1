/**
 * Reads the topology of a TensorFlow.js layers model, which is Keras' own: layers by name, each with those it reads. The
 * head is found as in ONNX graphs, from the scores backwards: one linear layer, global average pooling, convolution.
 */
import { z } from 'zod';
import { DeflectorError } from '../../errors.js';
import type { LocatableHead, NetworkSignature } from '../network.js';
import { imageInput, linearLayer, unsupported } from './shapes.js';
import type { Weights } from './weights.js';

const layerSchema = z.looseObject({
  class_name: z.string(),
  name: z.string().optional(),
  config: z.looseObject({ name: z.string().optional() }),
  inbound_nodes: z.array(z.unknown()).optional(),
});

const modelSchema = z.looseObject({
  class_name: z.string(),
  // Sequential models of older versions are a bare list of layers.
  config: z.union([
    z.array(layerSchema),
    z.looseObject({ layers: z.array(layerSchema), output_layers: z.array(z.unknown()).optional() }),
  ]),
});

interface Layer {
  readonly name: string;
  readonly kind: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Names of the layers that it reads. */
  readonly reads: readonly string[];
}

type Layers = ReadonlyMap<string, Layer>;

/** Layers that change the shape of a vector of scores or pooled channels, never its values, when a network is used. */
const SHAPE_ONLY = new Set([
  ...['Flatten', 'Reshape', 'Dropout', 'SpatialDropout2D', 'GaussianNoise', 'GaussianDropout', 'AlphaDropout'],
]);

/** Layers between the last convolution and the pooling that keep the places of a feature map in their order. */
const PLACE_KEEPING = new Set([
  ...['Activation', 'ReLU', 'LeakyReLU', 'PReLU', 'ELU', 'ThresholdedReLU', 'BatchNormalization', 'Dropout'],
  ...['SpatialDropout2D', 'Add', 'Multiply', 'Concatenate', 'Maximum', 'Average', 'MaxPooling2D', 'AveragePooling2D'],
]);

const CONVOLUTIONS = new Set(['Conv2D', 'DepthwiseConv2D', 'SeparableConv2D']);

/** Longest walk over layers that are passed by. */
const MAX_STEPS = 64;

/** @throws DeflectorError MODEL_INVALID, MODEL_UNSUPPORTED */
export function readLayersModel(topology: Readonly<Record<string, unknown>>, weights: Weights): NetworkSignature {
  const parsed = modelSchema.safeParse(topology.model_config ?? topology);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new DeflectorError('MODEL_INVALID', `model.json: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  const { layers, output } = layersOf(parsed.data);
  const inputs = [...layers.values()].filter(layer => shapeOf(layer) !== undefined && layer.reads.length === 0);
  const [image] = inputs;
  if (image === undefined || inputs.length > 1) {
    throw unsupported(`The network takes ${inputs.length} inputs where one image is expected`);
  }
  const input = imageInput(image.name, shapeOf(image));
  const dtype = image.config.dtype;
  if (typeof dtype === 'string' && dtype !== 'float32') throw unsupported(`The input takes ${dtype}; float32 is given`);
  const search = findHead(layers, output, weights);
  if (search.independent) {
    throw unsupported('The scores leave a sigmoid each: the network says which labels apply, not which one of them');
  }
  return {
    input,
    output: { name: output.name, type: 'float32', kind: search.kind, classes: search.classes },
    head: search.head,
    headless: search.reason,
  };
}

function layersOf({ config, class_name: kind }: z.infer<typeof modelSchema>): { layers: Layers; output: Layer } {
  const listed = Array.isArray(config) ? config : config.layers;
  const sequential = kind === 'Sequential';
  const layers = new Map<string, Layer>();
  let previous: Layer | undefined;
  for (const { class_name, name = '', config: own, inbound_nodes } of listed) {
    const called = own.name ?? name;
    const reads = sequential ? (previous === undefined ? [] : [previous.name]) : inboundNames(inbound_nodes ?? []);
    previous = { name: called, kind: class_name, config: own, reads };
    layers.set(called, previous);
  }
  const outputs = sequential || Array.isArray(config) ? [previous?.name] : inboundNames([config.output_layers ?? []]);
  const output = layers.get(outputs[0] ?? '');
  if (output === undefined || outputs.length !== 1) {
    throw unsupported(`The network has ${outputs.length} outputs where one list of scores is expected`);
  }
  return { layers, output };
}

/** Names in Keras' references `[name, node, tensor, ...]`, however deeply they are nested. */
function inboundNames(nodes: readonly unknown[]): string[] {
  return nodes.flatMap(node => {
    if (!Array.isArray(node)) return [];
    const [name] = node;
    return typeof name === 'string' ? [name] : inboundNames(node);
  });
}

/** Shape of the input that a layer declares, or the first layer of a model within the model. */
function shapeOf({ config }: Pick<Layer, 'config'>): (number | undefined)[] | undefined {
  const shape = config.batch_input_shape ?? config.batch_shape;
  if (!Array.isArray(shape)) {
    const inner = z.looseObject({ layers: z.array(layerSchema) }).safeParse(config);
    const [first] = inner.data?.layers ?? [];
    return first === undefined ? undefined : shapeOf(first);
  }
  return shape.map(dim => (typeof dim === 'number' && dim > 0 ? dim : undefined));
}

interface Search {
  readonly kind: 'logits' | 'probabilities';
  readonly independent: boolean;
  readonly classes: number | undefined;
  readonly head: LocatableHead | undefined;
  readonly reason: string | undefined;
}

function findHead(layers: Layers, output: Layer, weights: Weights): Search {
  let last = passBy(layers, output);
  let activation = activationOf(last);
  const own = last?.kind === 'Softmax' || last?.kind === 'Activation';
  if (own) last = passBy(layers, layers.get(last?.reads[0] ?? ''));
  if (last?.kind === 'Softmax') activation = 'softmax';
  const kind = activation === 'softmax' ? 'probabilities' : 'logits';
  const units = last?.config.units ?? last?.config.filters;
  const classes = typeof units === 'number' ? units : undefined;
  const found = last === undefined ? 'its scores come from no layer' : headBehind(layers, last, own, weights);
  return {
    kind,
    independent: activation === 'sigmoid',
    classes,
    head: typeof found === 'string' ? undefined : found,
    reason: typeof found === 'string' ? found : undefined,
  };
}

function activationOf(layer: Layer | undefined): string {
  if (layer?.kind === 'Softmax') return 'softmax';
  const activation = layer?.config.activation;
  return typeof activation === 'string' ? activation : 'linear';
}

function headBehind(layers: Layers, last: Layer, activated: boolean, weights: Weights): LocatableHead | string {
  const direct = pooledFeatures(layers, last);
  if (typeof direct !== 'string') return { ...direct, linear: undefined };
  if (last.kind !== 'Dense' && last.kind !== 'Conv2D') {
    return `its scores come from a layer ${last.kind}, not from a linear one`;
  }
  const activation = activationOf(last);
  if (activation !== 'linear' && (activated || activation !== 'softmax')) {
    return `its last layer has the activation ${activation}`;
  }
  if (last.kind === 'Conv2D' && !isUnit(last.config.kernel_size)) {
    return 'its scores come from a convolution wider than 1x1';
  }
  const pooling = passBy(layers, layers.get(last.reads[0] ?? ''));
  if (pooling === undefined) return 'its linear layer reads no feature maps';
  const pooled = pooledFeatures(layers, pooling);
  if (typeof pooled === 'string') return pooled;
  const kernel = weightOf(weights, last.name, 'kernel');
  const bias = weightOf(weights, last.name, 'bias');
  if (kernel === undefined || (bias === undefined && last.config.use_bias !== false)) {
    return 'the weights of its last layer are not in the file under its name';
  }
  return { ...pooled, linear: linearLayer(kernel, bias) };
}

function weightOf(weights: Weights, layer: string, part: 'kernel' | 'bias') {
  const wanted = `${layer}/${part}`;
  const names = weights.namesWhere(name => name === wanted || name.endsWith(`/${wanted}`));
  return names.length === 1 ? weights.read(names[0]!) : undefined;
}

/** The layer behind those that leave values as they are. */
function passBy(layers: Layers, start: Layer | undefined): Layer | undefined {
  let layer = start;
  for (let step = 0; step < MAX_STEPS && layer !== undefined; step++) {
    const linear = layer.kind === 'Activation' && activationOf(layer) === 'linear';
    if (!SHAPE_ONLY.has(layer.kind) && !linear) return layer;
    layer = layers.get(layer.reads[0] ?? '');
  }
  return layer;
}

/** The feature maps that a global average pooling reads; or why the layer is none. */
function pooledFeatures(layers: Layers, layer: Layer): Omit<LocatableHead, 'linear'> | string {
  const { kind, config, reads } = layer;
  if (kind === 'Sequential' || kind === 'Model' || kind === 'Functional') {
    return 'its last layers lie in a model within the model';
  }
  if (kind !== 'GlobalAveragePooling2D' && kind !== 'AveragePooling2D') {
    return `its last layer reads a layer ${kind}, not a global average pooling`;
  }
  if (config.data_format === 'channels_first') return 'its feature maps have their channels first';
  let window: readonly [number, number] | undefined;
  if (kind === 'AveragePooling2D') {
    const size = pair(config.pool_size);
    if (size === undefined || config.padding === 'same') return 'its pooling is padded';
    window = size;
  }
  const features = reads[0] ?? '';
  if (!comesFromConvolution(layers, features)) {
    return 'what its global pooling reads are no feature maps of a convolution';
  }
  return { features, window };
}

function comesFromConvolution(layers: Layers, name: string): boolean {
  const open = [name];
  const seen = new Set<string>();
  while (open.length > 0 && seen.size < 4 * MAX_STEPS) {
    const next = open.pop()!;
    const layer = layers.get(next);
    if (seen.has(next) || layer === undefined) continue;
    seen.add(next);
    if (CONVOLUTIONS.has(layer.kind)) return true;
    if (PLACE_KEEPING.has(layer.kind)) open.push(...layer.reads);
  }
  return false;
}

function pair(value: unknown): readonly [number, number] | undefined {
  if (typeof value === 'number') return [value, value];
  if (!Array.isArray(value)) return undefined;
  const [height, width = height] = value;
  return typeof height === 'number' && typeof width === 'number' ? [height, width] : undefined;
}

function isUnit(value: unknown): boolean {
  return pair(value)?.every(side => side === 1) ?? false;
}
