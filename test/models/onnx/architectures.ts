/**
 * Networks as the files of ONNX's model zoo have them, at a fraction of the width and with made-up weights: the operators,
 * the versions and the habits of their exporters, whose files are too large for tests.
 *
 * - MXNet (ResNet, VGG, MobileNetV2, SqueezeNet): version 7, file format 3, constants among the inputs, `spatial`, Clip with
 *   attributes, reshapes by constants.
 * - Caffe2 (DenseNet): batches of one, scale and shift as operators of their own, classes from a 1x1 convolution.
 * - PyTorch (Inception-v3, ShuffleNetV2): batches of one, the input transformed channel by channel; channels shuffled.
 */
import type { Node, Tensor } from '../../../src/models/onnx/onnx_pb.js';
import { CLASSES, floats, integers, node, onnx, signature, values } from './builder.js';

/** Pixels of a side. */
export const ARCHITECTURE_SIDE = 32;

type Attributes = Parameters<typeof node>[3];

/** Appends nodes with their weights; each method returns the name of what it made. */
class Sketcher {
  readonly nodes: Node[] = [];
  readonly tensors: Tensor[] = [];
  #count = 0;

  op(opType: string, input: string[], attributes: Attributes = {}): string {
    const output = `${opType.toLowerCase()}${this.#count++}`;
    this.nodes.push(node(opType, input, output, attributes));
    return output;
  }

  /** Weights that keep signals at their size. */
  weights(dims: readonly number[], fan: number, shift = 0): string {
    const name = `weights${this.#count++}`;
    const count = dims.reduce((product, dim) => product * dim, 1);
    const data = values(count, this.#count).map(value => shift + (2 * value) / Math.sqrt(fan));
    this.tensors.push(floats(name, dims, data));
    return name;
  }

  integers(data: readonly number[]): string {
    const name = `integers${this.#count++}`;
    this.tensors.push(integers(name, data));
    return name;
  }

  /** One number, of no dimensions. */
  integer(value: number): string {
    const name = this.integers([value]);
    this.tensors.at(-1)!.dims = [];
    return name;
  }

  conv(
    x: string,
    from: number,
    to: number,
    size: number,
    rest: { stride?: number; group?: number; bias?: boolean } = {},
  ) {
    const { stride = 1, group = 1, bias = false } = rest;
    const fan = (from / group) * size * size;
    const input = [x, this.weights([to, from / group, size, size], fan)];
    if (bias) input.push(this.weights([to], 100));
    const pad = size >> 1;
    return this.op('Conv', input, {
      ...{
        kernel_shape: [size, size],
        strides: [stride, stride],
        pads: [pad, pad, pad, pad],
        dilations: [1, 1],
        group,
      },
    });
  }

  norm(x: string, channels: number, attributes: Attributes = {}): string {
    const [scale, shift, mean, variance] = [1, 0, 0, 1].map(about => this.weights([channels], 64, about));
    return this.op('BatchNormalization', [x, scale!, shift!, mean!, variance!], {
      epsilon: { float: 1e-5 },
      ...attributes,
    });
  }

  gemm(x: string, from: number, to: number): string {
    const input = [x, this.weights([to, from], from), this.weights([to], 100)];
    return this.op('Gemm', input, { alpha: { float: 1 }, beta: { float: 1 }, transA: 0, transB: 1 });
  }

  pool(kind: 'MaxPool' | 'AveragePool', x: string, size: number, stride: number, pad = 0): string {
    return this.op(kind, [x], { kernel_shape: [size, size], strides: [stride, stride], pads: [pad, pad, pad, pad] });
  }
}

/** A file as MXNet's exporter writes it. */
function mxnet(build: (sketch: Sketcher) => string): Uint8Array {
  const sketch = new Sketcher();
  const scores = build(sketch);
  const constants = sketch.tensors.map(({ name, dims, dataType }) => signature(name, dims.map(Number), dataType));
  return onnx({
    ...{ nodes: sketch.nodes, tensors: sketch.tensors, opset: 7, irVersion: 3 },
    inputs: [signature('data', ['N', 3, ARCHITECTURE_SIDE, ARCHITECTURE_SIDE]), ...constants],
    outputs: [signature(scores, ['N', CLASSES])],
  });
}

/** A file for batches of one. */
function alone(opset: number, outputs: readonly number[], build: (sketch: Sketcher) => string): Uint8Array {
  const sketch = new Sketcher();
  const scores = build(sketch);
  return onnx({
    ...{ nodes: sketch.nodes, tensors: sketch.tensors, opset },
    inputs: [signature('data', [1, 3, ARCHITECTURE_SIDE, ARCHITECTURE_SIDE])],
    outputs: [signature(scores, outputs)],
  });
}

const SPATIAL = { momentum: { float: 0.9 }, spatial: 1 } as const;

function resnet(s: Sketcher, before: boolean): string {
  const normalised = (x: string, channels: number) => s.op('Relu', [s.norm(x, channels, SPATIAL)]);
  const stem = before
    ? s.conv(s.norm('data', 3, SPATIAL), 3, 8, 7, { stride: 2 })
    : s.conv('data', 3, 8, 7, { stride: 2 });
  let x = s.pool('MaxPool', normalised(stem, 8), 3, 2, 1);
  for (const [from, to, stride] of [
    [8, 16, 1],
    [16, 24, 2],
  ] as const) {
    const entry = before ? normalised(x, from) : x;
    const inner = normalised(s.conv(entry, from, 6, 1), 6);
    const middle = normalised(s.conv(inner, 6, 6, 3, { stride }), 6);
    const last = s.conv(middle, 6, to, 1);
    const side = s.conv(entry, from, to, 1, { stride });
    x = before
      ? s.op('Add', [last, side])
      : s.op('Relu', [s.op('Add', [s.norm(last, to, SPATIAL), s.norm(side, to, SPATIAL)])]);
  }
  const pooled = s.op('GlobalAveragePool', [before ? normalised(x, 24) : x]);
  return before
    ? s.gemm(s.op('Reshape', [pooled, s.integers([0, -1])]), 24, CLASSES)
    : s.gemm(s.op('Flatten', [pooled]), 24, CLASSES);
}

function vgg(s: Sketcher): string {
  let x = 'data';
  let from = 3;
  for (const to of [6, 8, 10]) {
    x = s.op('Relu', [s.norm(s.conv(x, from, to, 3, { bias: true }), to, SPATIAL)]);
    x = s.op('Relu', [s.norm(s.conv(x, to, to, 3, { bias: true }), to, SPATIAL)]);
    x = s.pool('MaxPool', x, 2, 2);
    from = to;
  }
  const hidden = s.op('Relu', [s.gemm(s.op('Flatten', [x]), 160, 24)]);
  const dropped = s.op('Dropout', [hidden], { ratio: { float: 0.5 } });
  return s.gemm(s.op('Flatten', [dropped]), 24, CLASSES);
}

function mobilenet(s: Sketcher): string {
  const clipped = (x: string, channels: number) =>
    s.op('Clip', [s.norm(x, channels, SPATIAL)], { min: { float: 0 }, max: { float: 6 } });
  let x = clipped(s.conv('data', 3, 8, 3, { stride: 2 }), 8);
  for (const [from, to, stride] of [
    [8, 8, 1],
    [8, 12, 2],
  ] as const) {
    const wide = clipped(s.conv(x, from, 2 * from, 1), 2 * from);
    const deep = clipped(s.conv(wide, 2 * from, 2 * from, 3, { stride, group: 2 * from }), 2 * from);
    const narrow = s.norm(s.conv(deep, 2 * from, to, 1), to, SPATIAL);
    x = stride === 1 ? s.op('Add', [narrow, x]) : narrow;
  }
  const pooled = s.op('GlobalAveragePool', [clipped(s.conv(x, 12, 24, 1), 24)]);
  return s.op('Reshape', [s.conv(pooled, 24, CLASSES, 1), s.integers([0, -1])]);
}

function squeezenet(s: Sketcher): string {
  const active = (x: string, from: number, to: number, size: number) =>
    s.op('Relu', [s.conv(x, from, to, size, { bias: true })]);
  const fire = (x: string, from: number, to: number) => {
    const squeezed = active(x, from, 4, 1);
    return s.op('Concat', [active(squeezed, 4, to, 1), active(squeezed, 4, to, 3)], { axis: 1 });
  };
  const x = s.pool('MaxPool', s.op('Relu', [s.conv('data', 3, 10, 3, { stride: 2, bias: true })]), 3, 2);
  const dropped = s.op('Dropout', [fire(fire(x, 10, 8), 16, 12)], { ratio: { float: 0.5 } });
  // 7x7 is all of the map.
  const pooled = s.pool('AveragePool', active(dropped, 24, CLASSES, 1), 7, 7);
  return s.op('Reshape', [s.op('Flatten', [pooled]), s.integers([0, -1])]);
}

function densenet(s: Sketcher): string {
  const scaled = (x: string, channels: number) => {
    const normal = s.norm(x, channels);
    const scale = s.op('Unsqueeze', [s.weights([channels], 64, 1)], { axes: [1, 2] });
    const shift = s.op('Unsqueeze', [s.weights([channels], 64)], { axes: [1, 2] });
    return s.op('Relu', [s.op('Add', [s.op('Mul', [normal, scale]), shift])]);
  };
  const dense = (x: string, from: number) => {
    const inner = scaled(s.conv(scaled(x, from), from, 8, 1), 8);
    return s.op('Concat', [x, s.conv(inner, 8, 4, 3)], { axis: 1 });
  };
  const stem = s.pool('MaxPool', scaled(s.conv('data', 3, 8, 7, { stride: 2 }), 8), 3, 2, 1);
  const halved = s.pool('AveragePool', s.conv(scaled(dense(dense(stem, 8), 12), 16), 16, 8, 1), 2, 2);
  const pooled = s.op('GlobalAveragePool', [scaled(dense(halved, 8), 12)]);
  return s.conv(pooled, 12, CLASSES, 1, { bias: true });
}

function inception(s: Sketcher): string {
  const channels = [0, 1, 2].map(channel => {
    const plane = s.op('Gather', ['data', s.integer(channel)], { axis: 1 });
    const single = s.op('Unsqueeze', [plane, s.integers([1])]);
    return s.op('Add', [s.op('Mul', [single, s.weights([], 64, 0.5)]), s.weights([], 64)]);
  });
  const active = (x: string, from: number, to: number, size: number) =>
    s.op('Relu', [s.conv(x, from, to, size, { bias: true })]);
  const stem = s.pool('MaxPool', active(s.op('Concat', channels, { axis: 1 }), 3, 6, 3), 3, 2);
  const around = s.pool('AveragePool', stem, 3, 1, 1);
  const mixed = [active(stem, 6, 6, 1), active(active(stem, 6, 4, 1), 4, 6, 5), active(around, 6, 6, 1)];
  const joined = s.op('Concat', mixed, { axis: 1 });
  const reduced = s.op(
    'Concat',
    [s.pool('MaxPool', joined, 3, 2), s.op('Relu', [s.pool('AveragePool', joined, 3, 2)])],
    { axis: 1 },
  );
  const pooled = s.op('GlobalAveragePool', [active(reduced, 36, 24, 1)]);
  return s.gemm(s.op('Flatten', [pooled], { axis: 1 }), 24, CLASSES);
}

function shufflenet(s: Sketcher): string {
  const active = (x: string, from: number, to: number) => s.op('Relu', [s.norm(s.conv(x, from, to, 1), to)]);
  const x = s.pool('MaxPool', s.op('Relu', [s.norm(s.conv('data', 3, 8, 3, { stride: 2 }), 8)]), 3, 2, 1);
  const half = (start: number, end: number) =>
    s.op('Slice', [x, ...[[start], [end], [1]].map(list => s.integers(list))]);
  const deep = s.norm(s.conv(active(half(4, 8), 4, 4), 4, 4, 3, { group: 4 }), 4);
  const both = s.op('Concat', [half(0, 4), active(deep, 4, 4)], { axis: 1 });
  const groups = s.op('Reshape', [both, s.integers([1, 2, 4, 8, 8])]);
  const shuffled = s.op('Reshape', [s.op('Transpose', [groups], { perm: [0, 2, 1, 3, 4] }), s.integers([1, -1, 8, 8])]);
  return s.gemm(s.op('ReduceMean', [active(shuffled, 8, 24)], { axes: [2, 3], keepdims: 0 }), 24, CLASSES);
}

/** What a network promises. */
export interface Architecture {
  readonly network: Uint8Array;
  /** Whether it makes activation maps. */
  readonly maps: boolean;
}

/** By the names of the catalogue. */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  'resnet-50': { network: mxnet(s => resnet(s, false)), maps: true },
  'resnet-50-v2': { network: mxnet(s => resnet(s, true)), maps: true },
  'vgg-19': { network: mxnet(vgg), maps: false },
  'inception-v3': { network: alone(17, [1, CLASSES], inception), maps: true },
  'mobilenet-v2': { network: mxnet(mobilenet), maps: true },
  'squeezenet-1.1': { network: mxnet(squeezenet), maps: true },
  'densenet-121': { network: alone(9, [1, CLASSES, 1, 1], densenet), maps: true },
  'shufflenet-v2': { network: alone(12, [1, CLASSES], shufflenet), maps: true },
};
