/** Values of constant tensors: initialisers, and what simple operators make of them. */
import { DeflectorError } from '../../errors.js';
import { attribute, type IndexedGraph, intAttribute, intsAttribute, operator, quote } from './graph.js';
import { halfToFloat, halvesToFloats } from './half.js';
import { DataLocation, type Node, type Tensor } from './onnx_pb.js';

/** A constant: float32 values, row by row. */
export interface Constant {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** Longest chain of operators on a constant that is followed: weights come behind a cast and a transpose at most. */
const MAX_CHAIN = 16;

/** Element types by their ONNX number: bytes an element, and how raw little-endian data of that type is read. */
const RAW_TYPES: Readonly<Record<number, { bytes: number; read: (raw: ArrayBuffer) => Float32Array }>> = {
  1: { bytes: 4, read: raw => new Float32Array(raw) },
  2: { bytes: 1, read: raw => Float32Array.from(new Uint8Array(raw)) },
  3: { bytes: 1, read: raw => Float32Array.from(new Int8Array(raw)) },
  4: { bytes: 2, read: raw => Float32Array.from(new Uint16Array(raw)) },
  5: { bytes: 2, read: raw => Float32Array.from(new Int16Array(raw)) },
  6: { bytes: 4, read: raw => Float32Array.from(new Int32Array(raw)) },
  7: { bytes: 8, read: raw => Float32Array.from(new BigInt64Array(raw), Number) },
  10: { bytes: 2, read: raw => halvesToFloats(new Uint16Array(raw)) },
  11: { bytes: 8, read: raw => Float32Array.from(new Float64Array(raw)) },
  16: { bytes: 2, read: raw => Float32Array.from(new Uint16Array(raw), bfloat16) },
};

/**
 * Values of a tensor of the file as float32.
 *
 * @throws DeflectorError MODEL_INVALID where shape and data disagree, MODEL_UNSUPPORTED for other element types
 */
export function tensorValues(tensor: Tensor): Constant {
  const dims = tensor.dims.map(Number);
  const size = dims.reduce((product, dim) => product * dim, 1);
  if (!Number.isSafeInteger(size) || dims.some(dim => dim < 0)) {
    throw new DeflectorError('MODEL_INVALID', `The tensor ${quote(tensor.name)} has no valid shape`);
  }
  if (tensor.dataLocation === DataLocation.EXTERNAL) {
    throw new DeflectorError('MODEL_INVALID', `The tensor ${quote(tensor.name)} lies in a file that was not given`);
  }
  if (tensor.rawData.length === 0 && size > 0) return { dims, data: typedValues(tensor, size) };
  const type = RAW_TYPES[tensor.dataType];
  if (type === undefined) throw unsupportedType(tensor);
  if (tensor.rawData.length !== size * type.bytes) throw wrongSize(tensor, size);
  // A copy, because views of a file are not aligned to their elements.
  return { dims, data: type.read(new Uint8Array(tensor.rawData).buffer) };
}

function typedValues(tensor: Tensor, size: number): Float32Array {
  const readers: Readonly<Record<number, () => Float32Array>> = {
    1: () => Float32Array.from(tensor.floatData),
    2: () => Float32Array.from(tensor.int32Data),
    3: () => Float32Array.from(tensor.int32Data),
    6: () => Float32Array.from(tensor.int32Data),
    7: () => Float32Array.from(tensor.int64Data, Number),
    10: () => Float32Array.from(tensor.int32Data, halfToFloat),
    11: () => Float32Array.from(tensor.doubleData),
    16: () => Float32Array.from(tensor.int32Data, bfloat16),
  };
  const values = readers[tensor.dataType]?.();
  if (values === undefined) throw unsupportedType(tensor);
  if (values.length !== size) throw wrongSize(tensor, size);
  return values;
}

/** bfloat16 is the upper half of a float32. */
function bfloat16(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, bits * 0x10000);
  return view.getFloat32(0);
}

function unsupportedType(tensor: Tensor): DeflectorError {
  return new DeflectorError(
    'MODEL_UNSUPPORTED',
    `The weights ${quote(tensor.name)} have the ONNX element type ${tensor.dataType}, which is not read here`,
  );
}

function wrongSize(tensor: Tensor, size: number): DeflectorError {
  return new DeflectorError(
    'MODEL_INVALID',
    `The tensor ${quote(tensor.name)} does not hold the ${size} values it claims`,
  );
}

/**
 * The value of a tensor where it depends on constants only: an initialiser, a Constant node, or either behind
 * Cast, Identity, Transpose, Reshape, Squeeze, Unsqueeze, Flatten or DequantizeLinear.
 *
 * @returns `undefined` where it does not, or goes through other operators
 * @throws DeflectorError as {@link tensorValues}
 */
export function constantValue(indexed: IndexedGraph, name: string, depth = 0): Constant | undefined {
  const initializer = indexed.initializers.get(name);
  if (initializer !== undefined) return tensorValues(initializer);
  const node = indexed.producers.get(name);
  if (node === undefined || depth > MAX_CHAIN) return undefined;
  const input = (index: number): Constant | undefined =>
    node.input[index] ? constantValue(indexed, node.input[index], depth + 1) : undefined;
  switch (operator(node)) {
    case 'Constant':
      return constantNode(node);
    case 'Cast':
    case 'Identity':
      return input(0);
    case 'Transpose':
      return transpose(input(0), intsAttribute(node, 'perm'));
    case 'Squeeze':
    case 'Unsqueeze':
    case 'Reshape':
    case 'Flatten':
      return reshape(node, input(0), input(1));
    case 'DequantizeLinear':
      return dequantize(input(0), input(1), input(2), intAttribute(node, 'axis', 1));
    default:
      return undefined;
  }
}

function constantNode(node: Node): Constant | undefined {
  const value = attribute(node, 'value');
  if (value?.t !== undefined) return tensorValues(value.t);
  const scalar = attribute(node, 'value_float') ?? attribute(node, 'value_int');
  if (scalar !== undefined) {
    return { dims: [], data: Float32Array.of(scalar.name === 'value_int' ? Number(scalar.i) : scalar.f) };
  }
  const list = attribute(node, 'value_floats') ?? attribute(node, 'value_ints');
  if (list === undefined) return undefined;
  const data = list.name === 'value_ints' ? Float32Array.from(list.ints, Number) : Float32Array.from(list.floats);
  return { dims: [data.length], data };
}

function transpose(value: Constant | undefined, perm: number[] | undefined): Constant | undefined {
  if (value === undefined || value.dims.length !== 2) return undefined;
  const [rows, columns] = value.dims as [number, number];
  if (perm !== undefined && perm[0] === 0) return value;
  const data = new Float32Array(value.data.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) data[c * rows + r] = value.data[r * columns + c]!;
  }
  return { dims: [columns, rows], data };
}

/** Only the shapes that a weight matrix meets: dimensions of one fall away or come in, -1 and 0 are resolved. */
function reshape(node: Node, value: Constant | undefined, shape: Constant | undefined): Constant | undefined {
  if (value === undefined) return undefined;
  const wide = value.dims.filter(dim => dim !== 1);
  if (operator(node) !== 'Reshape') return { dims: wide, data: value.data };
  if (shape === undefined) return undefined;
  const dims = Array.from(shape.data, (dim, i) => (dim === 0 ? (value.dims[i] ?? 1) : dim));
  const known = dims.reduce((product, dim) => (dim === -1 ? product : product * dim), 1);
  const resolved = dims.map(dim => (dim === -1 ? value.data.length / known : dim));
  const size = resolved.reduce((product, dim) => product * dim, 1);
  return size === value.data.length ? { dims: resolved, data: value.data } : undefined;
}

/** ONNX DequantizeLinear: (x - zero point) * scale, for the tensor or along one axis. */
function dequantize(
  value: Constant | undefined,
  scale: Constant | undefined,
  zero: Constant | undefined,
  axis: number,
): Constant | undefined {
  if (value === undefined || scale === undefined) return undefined;
  const along = axis < 0 ? axis + value.dims.length : axis;
  const steps = scale.data.length;
  if (steps !== 1 && steps !== value.dims[along]) return undefined;
  const inner = value.dims.slice(along + 1).reduce((product, dim) => product * dim, 1);
  const data = value.data.map((x, i) => {
    const at = steps === 1 ? 0 : Math.floor(i / inner) % steps;
    return (x - (zero?.data[at] ?? 0)) * scale.data[at]!;
  });
  return { dims: value.dims, data };
}
