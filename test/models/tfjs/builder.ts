/** Small TensorFlow.js models for tests: both kinds, with weights that small ONNX models can have as well. */
import type { TensorflowModel } from '../../../src/models/model.js';
import { readTensorflowNetwork, type TensorflowFiles } from '../../../src/models/tfjs/network.js';
import type { WeightSpec } from '../../../src/models/tfjs/weights.js';
import { CHANNELS, CLASSES, PLAIN, SIDE, values } from '../onnx/builder.js';

export interface Weight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

export function weight(name: string, shape: readonly number[], seed = 1): Weight {
  return {
    name,
    shape,
    data: values(
      shape.reduce((product, dim) => product * dim, 1),
      seed,
    ),
  };
}

/** Kernel and bias of the one convolution, [height, width, in, out] as TensorFlow has it. */
export const BODY_WEIGHTS = [weight('body/kernel', [3, 3, 3, CHANNELS]), weight('body/bias', [CHANNELS], 2)];
export const HEAD_WEIGHTS = [weight('scores/kernel', [CHANNELS, CLASSES], 3), weight('scores/bias', [CLASSES], 4)];

interface Layer {
  readonly class_name: string;
  readonly config: Readonly<Record<string, unknown>> & { readonly name: string };
  readonly inbound_nodes?: readonly unknown[];
}

/** A layer that reads the one before it. */
export function layer(kind: string, name: string, config: Readonly<Record<string, unknown>> = {}): Layer {
  return { class_name: kind, config: { name, ...config } };
}

const CONVOLUTION = {
  ...{ filters: CHANNELS, kernel_size: [3, 3], strides: [2, 2], padding: 'same', data_format: 'channels_last' },
  ...{ dilation_rate: [1, 1], activation: 'linear', use_bias: true },
};

export const INPUT = layer('InputLayer', 'image', { batch_input_shape: [null, SIDE, SIDE, 3], dtype: 'float32' });
export const BODY = [layer('Conv2D', 'body', CONVOLUTION), layer('Activation', 'maps', { activation: 'relu' })];
export const DENSE = layer('Dense', 'scores', { units: CLASSES, activation: 'linear', use_bias: true });
export const HEAD = [layer('GlobalAveragePooling2D', 'pool', { data_format: 'channels_last' }), DENSE];

/** A layers model whose layers read one another in a row, as Keras writes functional or sequential models. */
export function layersModel(
  layers: readonly Layer[] = [INPUT, ...BODY, ...HEAD],
  weights: readonly Weight[] = [...BODY_WEIGHTS, ...HEAD_WEIGHTS],
  kind: 'Model' | 'Sequential' = 'Model',
): TensorflowFiles {
  const inbound = (i: number) => (i === 0 ? [] : [[[layers[i - 1]!.config.name, 0, 0, {}]]]);
  const config =
    kind === 'Sequential'
      ? { name: 'sketch', layers }
      : {
          name: 'sketch',
          layers: layers.map((one, i) => ({ name: one.config.name, ...one, inbound_nodes: inbound(i) })),
          input_layers: [[layers[0]!.config.name, 0, 0]],
          output_layers: [[layers.at(-1)!.config.name, 0, 0]],
        };
  const topology = { keras_version: '2.2.4', backend: 'tensorflow', model_config: { class_name: kind, config } };
  return files({ format: 'layers-model', modelTopology: topology }, weights);
}

interface GraphNode {
  readonly name: string;
  readonly op: string;
  readonly input?: readonly string[];
  readonly attr?: Readonly<Record<string, unknown>>;
}

export const FLOAT = { type: 'DT_FLOAT' };

export function text(value: string): { s: string } {
  return { s: Buffer.from(value).toString('base64') };
}

export function graphNode(op: string, name: string, input: readonly string[], attr: GraphNode['attr'] = {}): GraphNode {
  return { name, op, input, attr: { T: FLOAT, ...attr } };
}

function constantNode({ name, shape }: Weight): GraphNode {
  const dim = shape.map(size => ({ size: String(size) }));
  return { name, op: 'Const', attr: { dtype: FLOAT, value: { tensor: { dtype: 'DT_FLOAT', tensorShape: { dim } } } } };
}

const STRIDES = { list: { i: ['1', '2', '2', '1'] } };

export const GRAPH_BODY: readonly GraphNode[] = [
  graphNode('Conv2D', 'conv', ['image', 'body/kernel'], {
    ...{ strides: STRIDES, padding: text('SAME'), data_format: text('NHWC') },
    dilations: { list: { i: ['1', '1', '1', '1'] } },
  }),
  graphNode('BiasAdd', 'biased', ['conv', 'body/bias'], { data_format: text('NHWC') }),
  graphNode('Relu', 'maps', ['biased']),
];

export const WHOLE_POOL = graphNode('AvgPool', 'pool', ['maps'], {
  ksize: { list: { i: ['1', '4', '4', '1'] } },
  strides: { list: { i: ['1', '4', '4', '1'] } },
  ...{ padding: text('VALID'), data_format: text('NHWC') },
});

export const GRAPH_HEAD: readonly GraphNode[] = [
  WHOLE_POOL,
  graphNode('Squeeze', 'flat', ['pool'], { squeeze_dims: { list: { i: ['1', '2'] } } }),
  graphNode('MatMul', 'product', ['flat', 'scores/kernel'], { transpose_a: { b: false }, transpose_b: { b: false } }),
  graphNode('BiasAdd', 'logits', ['product', 'scores/bias'], { data_format: text('NHWC') }),
];

/** A graph model from `image` [N, 8, 8, 3]. */
export function graphModel(
  nodes: readonly GraphNode[] = [...GRAPH_BODY, ...GRAPH_HEAD],
  weights: readonly Weight[] = [...BODY_WEIGHTS, ...HEAD_WEIGHTS],
  batch = -1,
): TensorflowFiles {
  const dim = [batch, SIDE, SIDE, 3].map(size => ({ size: String(size) }));
  const image = { name: 'image', op: 'Placeholder', attr: { dtype: FLOAT, shape: { shape: { dim } } } };
  const node = [image, ...weights.map(constantNode), ...nodes];
  return files({ format: 'graph-model', modelTopology: { node, versions: { producer: 987 } } }, weights);
}

function files(json: object, weights: readonly Weight[]): TensorflowFiles {
  const specs: WeightSpec[] = weights.map(({ name, shape }) => ({ name, shape: [...shape], dtype: 'float32' }));
  const bytes = new Uint8Array(Float32Array.from(weights.flatMap(one => [...one.data])).buffer);
  // In two shards, since no file system cares where a weight ends.
  const shards = [
    { path: 'group1-shard1of2.bin', bytes: bytes.subarray(0, 100) },
    { path: 'group1-shard2of2.bin', bytes: bytes.subarray(100) },
  ];
  const weightsManifest = [{ paths: shards.map(shard => shard.path), weights: specs }];
  return { json: Buffer.from(JSON.stringify({ ...json, weightsManifest })), shards };
}

/** A model in memory around a network. */
export function modelOf(network: TensorflowFiles, name = 'sketch'): TensorflowModel {
  const read = readTensorflowNetwork(network);
  return {
    identity: { name, sha256: '0'.repeat(64) },
    folder: '',
    recorded: false,
    preprocessing: { ...PLAIN, layout: read.input.layout },
    labels: Array.from({ length: CLASSES }, (_, index) => ({ index, id: '', name: `class ${index}` })),
    recommendation: undefined,
    network: read,
  };
}
