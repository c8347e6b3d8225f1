/** Small ONNX models for tests: written with the message schema of src/models/onnx, run by the real runtime. */
import { create, toBinary } from '@bufbuild/protobuf';
import type { OnnxModel } from '../../../src/models/model.js';
import { floatToHalf } from '../../../src/models/onnx/half.js';
import { readNetwork } from '../../../src/models/onnx/network.js';
import {
  type Attribute,
  AttributeSchema,
  AttributeType,
  DataLocation,
  DimensionSchema,
  GraphSchema,
  ModelSchema,
  type Node,
  NodeSchema,
  OperatorSetSchema,
  ShapeSchema,
  type Tensor,
  TensorSchema,
  TensorTypeSchema,
  TypeSchema,
  type ValueInfo,
  ValueInfoSchema,
} from '../../../src/models/onnx/onnx_pb.js';
import type { Preprocessing } from '../../../src/types.js';

type AttributeValue = number | readonly number[] | string | { readonly float: number } | Tensor;

/** A node; integers and lists of integers are attributes as they are, other numbers as `{ float }`. */
export function node(
  opType: string,
  input: string[],
  output: string,
  attributes: Readonly<Record<string, AttributeValue>> = {},
): Node {
  const attribute = Object.entries(attributes).map(([name, value]) => attributeOf(name, value));
  return create(NodeSchema, { opType, input, output: [output], name: output, attribute });
}

function attributeOf(name: string, value: AttributeValue): Attribute {
  if (typeof value === 'number') return create(AttributeSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  if (typeof value === 'string') {
    return create(AttributeSchema, { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) });
  }
  if ('float' in value) return create(AttributeSchema, { name, type: AttributeType.FLOAT, f: value.float });
  if ('$typeName' in value) return create(AttributeSchema, { name, type: AttributeType.TENSOR, t: value });
  return create(AttributeSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) });
}

/** Reproducible values between -1 and 1 that no symmetry of a network hides. */
export function values(count: number, seed = 1): number[] {
  return Array.from({ length: count }, (_, i) => Math.sin((i + 1) * 12.9898 + seed * 78.233));
}

function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/** A float32 initialiser, of reproducible values where none are given. */
export function floats(name: string, dims: readonly number[], data: readonly number[] = values(sizeOf(dims))): Tensor {
  const rawData = new Uint8Array(Float32Array.from(data).buffer);
  return create(TensorSchema, { name, dims: dims.map(BigInt), dataType: 1, rawData });
}

/** The same in half precision. */
export function halves(name: string, dims: readonly number[], data: readonly number[] = values(sizeOf(dims))): Tensor {
  const rawData = new Uint8Array(Uint16Array.from(data, floatToHalf).buffer);
  return create(TensorSchema, { name, dims: dims.map(BigInt), dataType: 10, rawData });
}

/** 8-bit integers. */
export function bytes(name: string, dims: readonly number[], data: readonly number[]): Tensor {
  return create(TensorSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: 3,
    rawData: new Uint8Array(Int8Array.from(data)),
  });
}

/** 64-bit integers, as axes and shapes are given. */
export function integers(name: string, data: readonly number[]): Tensor {
  return create(TensorSchema, { name, dims: [BigInt(data.length)], dataType: 7, int64Data: data.map(BigInt) });
}

/** A tensor of the signature; a dimension given as text is left open. */
export function signature(name: string, dims: readonly (number | string)[], elemType = 1): ValueInfo {
  const dim = dims.map(size =>
    create(DimensionSchema, {
      value: typeof size === 'number' ? { case: 'dimValue', value: BigInt(size) } : { case: 'dimParam', value: size },
    }),
  );
  const tensorType = create(TensorTypeSchema, { elemType, shape: create(ShapeSchema, { dim }) });
  return create(ValueInfoSchema, { name, type: create(TypeSchema, { tensorType }) });
}

/** A float32 tensor [5, 6], weights of HEAD, whose values lie in a file. */
export function outside(name: string, location: string, offset?: number, length?: number): Tensor {
  const place = { location, offset, length };
  const externalData = Object.entries(place).flatMap(([key, value]) =>
    value === undefined ? [] : [{ key, value: String(value) }],
  );
  return create(TensorSchema, {
    ...{ name, dims: [BigInt(CLASSES), BigInt(CHANNELS)], dataType: 1, externalData },
    dataLocation: DataLocation.EXTERNAL,
  });
}

export interface Sketch {
  readonly nodes: readonly Node[];
  readonly tensors?: readonly Tensor[];
  readonly inputs?: readonly ValueInfo[];
  readonly outputs?: readonly ValueInfo[];
  readonly opset?: number;
  readonly irVersion?: number;
}

/** Input of the test networks: 8x8 pixels. */
export const SIDE = 8;
/** Channels of their last convolution, which gives maps of 4x4. */
export const CHANNELS = 6;
/** Their classes. */
export const CLASSES = 5;

/** The bytes of an ONNX model from `input` [N, 3, 8, 8] to `scores` [N, 5], where the sketch says nothing else. */
export function onnx(sketch: Sketch): Uint8Array {
  const graph = create(GraphSchema, {
    name: 'test',
    node: [...sketch.nodes],
    initializer: [...(sketch.tensors ?? [])],
    input: [...(sketch.inputs ?? [signature('input', ['N', 3, SIDE, SIDE])])],
    output: [...(sketch.outputs ?? [signature('scores', ['N', CLASSES])])],
  });
  const opsetImport = [create(OperatorSetSchema, { domain: '', version: BigInt(sketch.opset ?? 17) })];
  return toBinary(ModelSchema, create(ModelSchema, { irVersion: BigInt(sketch.irVersion ?? 8), graph, opsetImport }));
}

/** `input` -> 3x3 convolution with stride 2 -> ReLU -> `maps` [N, 6, 4, 4]. */
export const BODY: { readonly nodes: readonly Node[]; readonly tensors: readonly Tensor[] } = {
  nodes: [
    node('Conv', ['input', 'body_w', 'body_b'], 'body', { strides: [2, 2], pads: [1, 1, 1, 1], kernel_shape: [3, 3] }),
    node('Relu', ['body'], 'maps'),
  ],
  tensors: [floats('body_w', [CHANNELS, 3, 3, 3]), floats('body_b', [CHANNELS])],
};

/** The body, then the given nodes. */
export function behindBody(nodes: readonly Node[], tensors: readonly Tensor[], rest: Partial<Sketch> = {}): Uint8Array {
  return onnx({ nodes: [...BODY.nodes, ...nodes], tensors: [...BODY.tensors, ...tensors], ...rest });
}

/** The head that most networks have: global average pooling, flatten, Gemm with transposed weights. */
export const HEAD = {
  nodes: [
    node('GlobalAveragePool', ['maps'], 'pooled'),
    node('Flatten', ['pooled'], 'flat'),
    node('Gemm', ['flat', 'w', 'b'], 'scores', { transB: 1 }),
  ],
  tensors: [floats('w', [CLASSES, CHANNELS]), floats('b', [CLASSES])],
};

/** Pixels as they are. */
export const PLAIN: Preprocessing = {
  ...{ width: SIDE, height: SIDE, fit: 'stretch', cropFraction: 1, resizeShortest: 0, interpolation: 'bilinear' },
  ...{ mean: [0, 0, 0], std: [1, 1, 1], channels: 'rgb', layout: 'nchw' },
};

/** A model in memory around a network. */
export function modelOf(network: Uint8Array, name = 'sketch'): OnnxModel {
  const read = readNetwork(network);
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

/** Reproducible images for a test network, in [-1, 1]. */
export function images(count: number, seed = 1): Float32Array {
  return Float32Array.from(values(count * 3 * SIDE * SIDE, seed));
}
