/** Writes nodes and constants behind a graph, under names that the graph does not have. */
import { create } from '@bufbuild/protobuf';
import {
  type Attribute,
  AttributeSchema,
  AttributeType,
  type Node,
  NodeSchema,
  type Tensor,
  TensorSchema,
} from './onnx_pb.js';

const FLOAT = 1;
const INT64 = 7;

/** A whole number, whole numbers, a `{ float }`, a text, or one value as the tensor that it fills. */
type AttributeValue = number | readonly number[] | { readonly float: number } | string | Tensor;

export class GraphWriter {
  readonly nodes: Node[] = [];
  readonly initializers: Tensor[] = [];
  /** Version of ONNX's own operators. */
  readonly opset: number;
  readonly #prefix: string;
  readonly #constants = new Map<string, string>();
  #count = 0;

  /** @param prefix no tensor of the graph may begin with it */
  constructor(prefix: string, opset: number) {
    this.#prefix = prefix;
    this.opset = opset;
  }

  /** Appends a node with one output. @returns the name of the output */
  op(opType: string, input: readonly string[], attributes: Readonly<Record<string, AttributeValue>> = {}): string {
    const output = this.name(opType);
    const attribute = Object.entries(attributes).map(([name, value]) => attributeOf(name, value));
    this.nodes.push(create(NodeSchema, { opType, name: output, input: [...input], output: [output], attribute }));
    return output;
  }

  /** A float32 constant of no dimensions. */
  scalar(value: number): string {
    return this.floats([], [value]);
  }

  /** A float32 constant. */
  floats(dims: readonly number[], data: ArrayLike<number>): string {
    const rawData = new Uint8Array(Float32Array.from(data).buffer);
    return this.#constant(`f${dims}:`, create(TensorSchema, { dims: dims.map(BigInt), dataType: FLOAT, rawData }));
  }

  /** A list of 64-bit integers. */
  integers(data: readonly number[]): string {
    const rawData = new Uint8Array(BigInt64Array.from(data, BigInt).buffer);
    return this.#constant('i', create(TensorSchema, { dims: [BigInt(data.length)], dataType: INT64, rawData }));
  }

  add(a: string, b: string): string {
    return this.op('Add', [a, b]);
  }

  subtract(a: string, b: string): string {
    return this.op('Sub', [a, b]);
  }

  multiply(a: string, b: string): string {
    return this.op('Mul', [a, b]);
  }

  divide(a: string, b: string): string {
    return this.op('Div', [a, b]);
  }

  /** `x` times a number. */
  scale(x: string, factor: number): string {
    return factor === 1 ? x : this.multiply(x, this.scalar(factor));
  }

  /** 1 where a condition holds, else 0. */
  indicator(condition: string): string {
    return this.op('Cast', [condition], { to: FLOAT });
  }

  /** Sum over axes, which stay as dimensions of one. */
  sum(x: string, axes: readonly number[]): string {
    return this.opset < 13
      ? this.op('ReduceSum', [x], { axes, keepdims: 1 })
      : this.op('ReduceSum', [x, this.integers(axes)], { keepdims: 1 });
  }

  /** Mean over axes, which stay as dimensions of one. */
  mean(x: string, axes: readonly number[]): string {
    return this.opset < 18
      ? this.op('ReduceMean', [x], { axes, keepdims: 1 })
      : this.op('ReduceMean', [x, this.integers(axes)], { keepdims: 1 });
  }

  unsqueeze(x: string, axes: readonly number[]): string {
    return this.opset < 13 ? this.op('Unsqueeze', [x], { axes }) : this.op('Unsqueeze', [x, this.integers(axes)]);
  }

  reshape(x: string, dims: readonly number[]): string {
    return this.op('Reshape', [x, this.integers(dims)]);
  }

  /** `x` in the shape that `like` has when the graph runs. */
  reshapeLike(x: string, like: string): string {
    return this.op('Reshape', [x, this.op('Shape', [like])]);
  }

  /** `x` repeated along its dimensions of one, to the shape that `like` has when the graph runs. */
  expandLike(x: string, like: string): string {
    return this.op('Expand', [x, this.op('Shape', [like])]);
  }

  /** Zeros in the shape that `like` has when the graph runs. */
  zerosLike(like: string): string {
    return this.zeros(this.op('Shape', [like]));
  }

  /** @param shape name of a list of integers */
  zeros(shape: string): string {
    const value = create(TensorSchema, { dims: [1n], dataType: FLOAT, rawData: new Uint8Array(4) });
    return this.op('ConstantOfShape', [shape], { value });
  }

  /** Elements `starts[i]`, `starts[i] + steps[i]`, ... below `ends[i]` (above it for a step below zero) of each axis. */
  slice(
    x: string,
    axes: readonly number[],
    starts: readonly number[],
    ends: readonly number[],
    steps: readonly number[] = axes.map(() => 1),
  ): string {
    return this.op('Slice', [x, ...[starts, ends, axes, steps].map(list => this.integers(list))]);
  }

  /** Zeros around `x`: as many as `pads` says, at the beginning of each axis, then at the end of each. */
  pad(x: string, pads: readonly number[]): string {
    return pads.every(pad => pad === 0) ? x : this.op('Pad', [x, this.integers(pads)]);
  }

  #constant(kind: string, tensor: Tensor): string {
    const key = tensor.rawData.length > 256 ? undefined : `${kind}${Buffer.from(tensor.rawData).toString('base64')}`;
    const known = key === undefined ? undefined : this.#constants.get(key);
    if (known !== undefined) return known;
    tensor.name = this.name('constant');
    this.initializers.push(tensor);
    if (key !== undefined) this.#constants.set(key, tensor.name);
    return tensor.name;
  }

  /** A name that no tensor has yet. */
  name(what: string): string {
    return `${this.#prefix}${this.#count++}_${what}`;
  }
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
