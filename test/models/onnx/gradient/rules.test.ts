import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Node, Tensor } from '../../../../src/models/onnx/onnx_pb.js';
import { createOnnxDifferentiableClassifier } from '../../../../src/models/onnx-gradient.js';
import type { DifferentiableClassifier } from '../../../../src/types.js';
import { checkLeaks } from '../../../helpers/leaks.js';
import {
  CLASSES,
  floats,
  images,
  integers,
  modelOf,
  node,
  onnx,
  SIDE,
  type Sketch,
  signature,
  values,
} from '../builder.js';

checkLeaks();

const PIXELS = 3 * SIDE * SIDE;
const CPU = { provider: 'cpu', runtime: 'onnxruntime-cpu' };

async function withClassifier<T>(bytes: Uint8Array, use: (it: DifferentiableClassifier) => Promise<T>): Promise<T> {
  const classifier = await createOnnxDifferentiableClassifier(modelOf(bytes), CPU);
  try {
    return await use(classifier);
  } finally {
    await classifier.dispose();
  }
}

/**
 * Central differences of sum_j seed_j z_j at every pixel of one image: the definition of the gradient. `undefined` where
 * the second difference shows a kink inside the step, across which there is no derivative to compare with.
 */
async function differences(it: DifferentiableClassifier, image: Float32Array, seed: Float32Array) {
  const h = 4e-3;
  const shifted = new Float32Array((2 * PIXELS + 1) * PIXELS);
  for (let n = 0; n <= 2 * PIXELS; n++) shifted.set(image, n * PIXELS);
  for (let p = 0; p < PIXELS; p++) {
    shifted[2 * p * PIXELS + p]! += h;
    shifted[(2 * p + 1) * PIXELS + p]! -= h;
  }
  const { scores } = await it.classify(shifted, 2 * PIXELS + 1, false);
  const loss = (n: number) => seed.reduce((sum, weight, j) => sum + weight * scores[n * CLASSES + j]!, 0);
  const slopes = Array.from({ length: PIXELS }, (_, p) => (loss(2 * p) - loss(2 * p + 1)) / (2 * h));
  const scale = Math.hypot(...slopes) / Math.sqrt(PIXELS);
  const here = 2 * loss(2 * PIXELS);
  return slopes.map((slope, p) =>
    Math.abs(loss(2 * p) + loss(2 * p + 1) - here) / h > 0.1 * scale ? undefined : slope,
  );
}

/** Asserts that the gradient is what central differences say, in a batch of two. */
async function assertGradient(sketch: Sketch, scale = 1): Promise<void> {
  await withClassifier(onnx(sketch), async it => {
    const batch = images(2, 3).map(value => scale * value);
    const seeds = [1, 2].map(n => Float32Array.from(values(CLASSES, n)));
    const { gradient, scores } = await it.gradient(
      batch,
      seeds.map(seed => ({ kind: 'linear', seed })),
    );
    // Another graph, fused otherwise: equal but for the last bits.
    const plain = (await it.classify(batch, 2, false)).scores;
    for (const [i, score] of plain.entries()) assert.ok(Math.abs(score - scores[i]!) <= 1e-4 * Math.hypot(...plain));
    for (const [n, seed] of seeds.entries()) {
      const expected = await differences(it, batch.slice(n * PIXELS, (n + 1) * PIXELS), seed);
      assert.ok(expected.filter(slope => slope === undefined).length < PIXELS / 10, 'few kinks');
      const norm = Math.hypot(...expected.map(slope => slope ?? 0));
      const errors = expected.map((slope, p) => (slope === undefined ? 0 : slope - gradient[n * PIXELS + p]!));
      assert.ok(norm > 1e-3, 'the scores depend on the image');
      assert.ok(Math.hypot(...errors) <= 0.02 * norm, `image ${n}: ${Math.hypot(...errors)} of ${norm}`);
    }
  });
}

/** `input` [N,3,8,8] -> nodes -> `y` of any shape -> a linear layer -> `scores`. */
function through(nodes: readonly Node[], tensors: readonly Tensor[], size: number, opset = 17): Sketch {
  return {
    nodes: [
      ...nodes,
      node('Flatten', ['y'], 'flat'),
      node('Gemm', ['flat', 'head_w', 'head_b'], 'scores', { transB: 1 }),
    ],
    tensors: [...tensors, floats('head_w', [CLASSES, size]), floats('head_b', [CLASSES])],
    opset,
  };
}

const IMAGE = PIXELS;
const axes = (list: number[]) => integers('axes', list);

describe('the gradient of a convolution', () => {
  const cases: {
    says: string;
    weights: number[];
    group?: number;
    attributes: Record<string, number[] | string>;
    size: number;
  }[] = [
    { says: '1x1', weights: [4, 3, 1, 1], attributes: {}, size: 4 * 64 },
    { says: '3x3, padded', weights: [4, 3, 3, 3], attributes: { pads: [1, 1, 1, 1] }, size: 4 * 64 },
    { says: '3x2, padded on one side', weights: [4, 3, 3, 2], attributes: { pads: [0, 1, 2, 0] }, size: 4 * 64 },
    { says: '3x3, unpadded', weights: [2, 3, 3, 3], attributes: {}, size: 2 * 36 },
    {
      says: '3x3, padded wider than it reaches',
      weights: [2, 3, 3, 3],
      attributes: { pads: [3, 3, 3, 3] },
      size: 2 * 144,
    },
    { says: 'depthwise 3x3', weights: [3, 1, 3, 3], group: 3, attributes: { pads: [1, 1, 1, 1] }, size: 3 * 64 },
    { says: 'depthwise with two outputs each', weights: [6, 1, 3, 3], group: 3, attributes: {}, size: 6 * 36 },
    {
      says: 'stride 2, padded on the far side',
      weights: [4, 3, 3, 3],
      attributes: { strides: [2, 2], pads: [0, 0, 1, 1] },
      size: 4 * 16,
    },
    { says: 'stride 2, 5x5', weights: [4, 3, 5, 5], attributes: { strides: [2, 2], pads: [1, 2, 2, 1] }, size: 4 * 16 },
    {
      says: 'stride 2, 1x1: most pixels are not read',
      weights: [4, 3, 1, 1],
      attributes: { strides: [2, 2] },
      size: 4 * 16,
    },
    {
      says: 'stride 3: the last lines are not read',
      weights: [4, 3, 2, 2],
      attributes: { strides: [3, 3] },
      size: 4 * 9,
    },
    {
      says: 'strides 2 and 1',
      weights: [4, 3, 3, 3],
      attributes: { strides: [2, 1], pads: [1, 1, 1, 1] },
      size: 4 * 32,
    },
    { says: 'dilation 2', weights: [4, 3, 3, 3], attributes: { dilations: [2, 2], pads: [2, 2, 2, 2] }, size: 4 * 64 },
    {
      says: 'dilation 2, stride 2',
      weights: [4, 3, 3, 3],
      attributes: { dilations: [2, 2], strides: [2, 2], pads: [2, 2, 2, 2] },
      size: 4 * 16,
    },
    {
      says: 'dilation 3, stride 2',
      weights: [4, 3, 2, 2],
      attributes: { dilations: [3, 3], strides: [2, 2] },
      size: 4 * 9,
    },
    {
      says: 'padded by SAME_UPPER',
      weights: [4, 3, 3, 3],
      attributes: { auto_pad: 'SAME_UPPER', strides: [2, 2] },
      size: 4 * 16,
    },
    { says: 'padded by SAME_LOWER', weights: [4, 3, 4, 4], attributes: { auto_pad: 'SAME_LOWER' }, size: 4 * 64 },
  ];
  for (const { says, weights, group = 1, attributes, size } of cases) {
    it(says, () =>
      assertGradient(
        through([node('Conv', ['input', 'w'], 'y', { ...attributes, group })], [floats('w', weights)], size),
      ),
    );
  }

  it('in groups of several channels', () =>
    assertGradient(
      through(
        [node('Conv', ['input', 'w'], 'a'), node('Conv', ['a', 'v', 'b'], 'y', { group: 2, strides: [2, 2] })],
        [floats('w', [4, 3, 1, 1]), floats('v', [6, 2, 3, 3]), floats('b', [6])],
        6 * 9,
      ),
    ));

  it('transposed', () =>
    assertGradient(
      through(
        [node('ConvTranspose', ['input', 'w'], 'y', { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] })],
        [floats('w', [3, 2, 3, 3])],
        2 * 256,
      ),
    ));
});

describe('the gradient of a pooling', () => {
  const cases: [string, Record<string, number[] | number | string>, number][] = [
    ['MaxPool', { kernel_shape: [2, 2], strides: [2, 2] }, 3 * 16],
    ['MaxPool', { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }, 3 * 16],
    ['MaxPool', { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1] }, 3 * 64],
    ['MaxPool', { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }, 3 * 16],
    ['MaxPool', { kernel_shape: [2, 2], strides: [2, 2], dilations: [2, 2] }, 3 * 9],
    ['AveragePool', { kernel_shape: [2, 2], strides: [2, 2] }, 3 * 16],
    ['AveragePool', { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1] }, 3 * 64],
    ['AveragePool', { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], count_include_pad: 1 }, 3 * 16],
    ['AveragePool', { kernel_shape: [3, 3], strides: [2, 2], auto_pad: 'SAME_UPPER' }, 3 * 16],
    ['AveragePool', { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }, 3 * 16],
    ['GlobalAveragePool', {}, 3],
    ['GlobalMaxPool', {}, 3],
  ];
  for (const [operator, attributes, size] of cases) {
    it(`${operator} ${JSON.stringify(attributes)}`, () =>
      assertGradient(through([node(operator, ['input'], 'y', attributes)], [], size)));
  }
});

describe('the gradient of an activation', () => {
  const cases: [string, Record<string, { float: number } | number | string>?, number?][] = [
    ['Relu'],
    ['Sigmoid'],
    ['Tanh'],
    ['Erf'],
    ['Softplus'],
    ['Softsign'],
    ['HardSwish'],
    ['HardSigmoid'],
    ['Exp'],
    ['Neg'],
    ['LeakyRelu', { alpha: { float: 0.3 } }],
    ['Elu', { alpha: { float: 0.7 } }],
    ['Selu'],
    ['Celu', { alpha: { float: 0.6 } }],
    ['Mish', {}, 18],
    ['Gelu', {}, 20],
    ['Gelu', { approximate: 'tanh' }, 20],
    ['Abs'],
    ['Sin'],
    ['Cos'],
    ['Softmax', { axis: 1 }],
    ['Softmax', { axis: -1 }],
    ['Softmax', { axis: 2 }, 11],
    ['LogSoftmax', { axis: 1 }],
    ['HardSigmoid', { alpha: { float: 0.5 }, beta: { float: 0.2 } }],
    ['Identity'],
    ['Dropout'],
  ];
  for (const [operator, attributes = {}, opset = 17] of cases) {
    it(`${operator} ${JSON.stringify(attributes)} of version ${opset}`, () =>
      assertGradient(through([node(operator, ['input'], 'y', attributes)], [], IMAGE, opset), 3));
  }

  it('Clip between bounds, and with one bound only', async () => {
    const bounds = [floats('low', [], [-0.5]), floats('high', [], [1.5])];
    await assertGradient(through([node('Clip', ['input', 'low', 'high'], 'y')], bounds, IMAGE), 3);
    await assertGradient(through([node('Clip', ['input', 'low', ''], 'y')], bounds, IMAGE), 3);
    await assertGradient(through([node('Clip', ['input', '', 'high'], 'y')], bounds, IMAGE), 3);
  });

  it('PRelu with a slope for each channel', () =>
    assertGradient(through([node('PRelu', ['input', 's'], 'y')], [floats('s', [3, 1, 1])], IMAGE)));

  it('Sqrt, Log, Reciprocal and Pow of what is above zero', async () => {
    const positive = [node('Mul', ['input', 'input'], 'square'), node('Add', ['square', 'one'], 'p')];
    const one = floats('one', [], [1]);
    for (const operator of ['Sqrt', 'Log', 'Reciprocal']) {
      await assertGradient(through([...positive, node(operator, ['p'], 'y')], [one], IMAGE));
    }
    for (const exponent of [2, 3, 0.5, -1.5]) {
      const tensors = [one, floats('e', [], [exponent])];
      await assertGradient(through([...positive, node('Pow', ['p', 'e'], 'y')], tensors, IMAGE));
    }
    await assertGradient(through([...positive, node('Pow', ['p', 'input'], 'y')], [one], IMAGE));
  });

  it('SiLU as Sigmoid and Mul, and GELU as Div, Erf, Add and Mul', async () => {
    const silu = [node('Sigmoid', ['input'], 's'), node('Mul', ['input', 's'], 'y')];
    await assertGradient(through(silu, [], IMAGE), 3);
    const gelu = [
      node('Div', ['input', 'root'], 'd'),
      node('Erf', ['d'], 'e'),
      node('Add', ['e', 'one'], 'a'),
      node('Mul', ['input', 'a'], 'm'),
      node('Mul', ['m', 'half'], 'y'),
    ];
    const tensors = [floats('root', [], [Math.SQRT2]), floats('one', [], [1]), floats('half', [], [0.5])];
    await assertGradient(through(gelu, tensors, IMAGE), 3);
  });
});

describe('the gradient of arithmetic', () => {
  for (const operator of ['Add', 'Sub', 'Mul', 'Div', 'Max', 'Min', 'Sum', 'Mean']) {
    it(`${operator} of the image and a constant for each channel, either way round`, async () => {
      const constant = floats('c', [3, 1, 1], [0.8, -0.6, 1.3]);
      await assertGradient(through([node(operator, ['input', 'c'], 'y')], [constant], IMAGE));
      if (operator === 'Div') return;
      await assertGradient(through([node(operator, ['c', 'input'], 'y')], [constant], IMAGE));
    });

    it(`${operator} of the image and its own mean: both sides, broadcast`, () =>
      assertGradient(
        through(
          [
            node('GlobalAveragePool', ['input'], 'mean'),
            node('Add', ['mean', 'two'], 'shifted'),
            node(operator, ['input', 'shifted'], 'y'),
          ],
          [floats('two', [], [2])],
          IMAGE,
        ),
      ));
  }

  it('sums over dimensions that a broadcast adds', () =>
    assertGradient(
      through(
        [
          node('Slice', ['input', 'zero', 'one', 'axes'], 'row'),
          node('Reshape', ['row', 'line'], 'line8'),
          node('Add', ['input', 'line8'], 'y'),
        ],
        [integers('zero', [0, 0]), integers('one', [1, 1]), axes([1, 2]), integers('line', [-1, 1, 1, 8])],
        IMAGE,
      ),
    ));

  it('Where, by a condition on the image', () =>
    assertGradient(
      through(
        [
          node('Greater', ['input', 'zero'], 'above'),
          node('Mul', ['input', 'three'], 'steep'),
          node('Where', ['above', 'steep', 'input'], 'y'),
        ],
        [floats('zero', [], [0]), floats('three', [], [3])],
        IMAGE,
      ),
    ));
});

describe('the gradient of products of matrices', () => {
  const flat = node('Flatten', ['input'], 'x');
  it('Gemm in all its orientations', async () => {
    for (const transB of [0, 1]) {
      const w = floats('w', transB ? [7, IMAGE] : [IMAGE, 7]);
      const gemm = node('Gemm', ['x', 'w', 'c'], 'y', { transB, alpha: { float: 0.5 }, beta: { float: 2 } });
      await assertGradient(through([flat, gemm], [w, floats('c', [7])], 7));
    }
    const turned = [flat, node('Transpose', ['x'], 't', { perm: [1, 0] })];
    for (const transB of [0, 1]) {
      const w = floats('w', transB ? [7, IMAGE] : [IMAGE, 7]);
      const gemm = node('Gemm', ['t', 'w'], 'y', { transA: 1, transB });
      await assertGradient(through([...turned, gemm], [w], 7));
    }
  });

  it('MatMul by constants on either side, and of the image with itself (attention)', async () => {
    await assertGradient(through([node('MatMul', ['input', 'w'], 'y')], [floats('w', [SIDE, 5])], 3 * 8 * 5));
    await assertGradient(through([node('MatMul', ['w', 'input'], 'y')], [floats('w', [5, SIDE])], 3 * 5 * 8));
    const attention = [
      node('Transpose', ['input'], 't', { perm: [0, 1, 3, 2] }),
      node('MatMul', ['input', 't'], 'm'),
      node('Softmax', ['m'], 's', { axis: -1 }),
      node('MatMul', ['s', 'input'], 'y'),
    ];
    await assertGradient(through(attention, [], IMAGE));
  });
});

describe('the gradient of reductions', () => {
  for (const operator of ['ReduceMean', 'ReduceSum', 'ReduceMax', 'ReduceMin', 'ReduceL2']) {
    for (const keepdims of [0, 1]) {
      it(`${operator} with keepdims ${keepdims}`, () => {
        const listed = operator === 'ReduceSum';
        const reduce = listed
          ? node(operator, ['input', 'axes'], 'y', { keepdims })
          : node(operator, ['input'], 'y', { axes: [-1, 1], keepdims });
        return assertGradient(through([reduce], [axes([-1, 1])], 8));
      });
    }
  }
  it('with axes as an input, as version 18 has them', () =>
    assertGradient(through([node('ReduceMean', ['input', 'axes'], 'y')], [axes([2, 3])], 3, 18)));
  it('with axes as an attribute, as version 11 has them', () =>
    assertGradient(through([node('ReduceSum', ['input'], 'y', { axes: [2, 3], keepdims: 0 })], [], 3, 11)));
});

describe('the gradient of operators that move values', () => {
  const cases: [string, Node[], Tensor[], number, number?][] = [
    ['Reshape', [node('Reshape', ['input', 's'], 'y')], [integers('s', [0, -1, 4])], IMAGE],
    ['Flatten', [node('Flatten', ['input'], 'y', { axis: 1 })], [], IMAGE],
    ['Transpose', [node('Transpose', ['input'], 'y', { perm: [0, 2, 3, 1] })], [], IMAGE],
    [
      'Unsqueeze and Squeeze',
      [node('Unsqueeze', ['input', 'axes'], 'u'), node('Squeeze', ['u', 'axes'], 'y')],
      [axes([1, 3])],
      IMAGE,
    ],
    [
      'Concat of the image with itself',
      [node('Sigmoid', ['input'], 's'), node('Concat', ['input', 's'], 'y', { axis: -1 })],
      [],
      2 * IMAGE,
    ],
    [
      'Slice',
      [node('Slice', ['input', 's', 'e', 'axes'], 'y')],
      [integers('s', [1, -5]), integers('e', [3, 8]), axes([1, 3])],
      2 * 8 * 5,
    ],
    [
      'Slice with steps',
      [node('Slice', ['input', 's', 'e', 'axes', 'n'], 'y')],
      [integers('s', [0, 7]), integers('e', [8, -100]), axes([2, 3]), integers('n', [2, -3])],
      3 * 4 * 3,
    ],
    ['Gather', [node('Gather', ['input', 'i'], 'y', { axis: 2 })], [integers('i', [5, 0, 5, -1])], 3 * 4 * 8],
    [
      'Expand',
      [node('GlobalMaxPool', ['input'], 'g'), node('Expand', ['g', 's'], 'y')],
      [integers('s', [1, 3, 2, 4])],
      24,
    ],
    [
      'Pad by zeros, and cutting off',
      [node('Pad', ['input', 'p'], 'y')],
      [integers('p', [0, 0, 1, -2, 0, 0, 2, 3])],
      3 * 11 * 9,
    ],
    [
      'Pad by reflection',
      [node('Pad', ['input', 'p'], 'y', { mode: 'reflect' })],
      [integers('p', [0, 0, 2, 3, 0, 0, 1, 0])],
      3 * 11 * 11,
    ],
    [
      'Pad by the edge',
      [node('Pad', ['input', 'p'], 'y', { mode: 'edge' })],
      [integers('p', [0, 0, 2, 0, 0, 0, 0, 3])],
      3 * 10 * 11,
    ],
    [
      'DepthToSpace of SpaceToDepth',
      [
        node('SpaceToDepth', ['input'], 's', { blocksize: 2 }),
        node('Sigmoid', ['s'], 't'),
        node('DepthToSpace', ['t'], 'y', { blocksize: 2 }),
      ],
      [],
      IMAGE,
    ],
    ['Cast', [node('Cast', ['input'], 'y', { to: 1 })], [], IMAGE],
  ];
  for (const [says, nodes, tensors, size, opset] of cases) {
    it(says, () => assertGradient(through(nodes, tensors, size, opset)));
  }

  it('Split, one part of which is not used', () => {
    const split = node('Split', ['input', 'parts'], 'first', { axis: 3 });
    split.output.push('second', 'third');
    const nodes = [split, node('Mul', ['third', 'third'], 'c'), node('Concat', ['first', 'c'], 'y', { axis: 3 })];
    return assertGradient(through(nodes, [integers('parts', [2, 3, 3])], 3 * 8 * 5));
  });

  it('a reshape whose target is worked out from the shape of the image', () =>
    assertGradient(
      through(
        [
          node('Shape', ['input'], 'shape'),
          node('Gather', ['shape', 'zero'], 'n', { axis: 0 }),
          node('Concat', ['n', 'rest'], 'target', { axis: 0 }),
          node('Reshape', ['input', 'target'], 'y'),
        ],
        [integers('zero', [0]), integers('rest', [24, 8])],
        IMAGE,
      ),
    ));
});

describe('the gradient of normalisation', () => {
  it('BatchNormalization', () =>
    assertGradient(
      through(
        [node('BatchNormalization', ['input', 'g', 'b', 'm', 'v'], 'y')],
        [floats('g', [3]), floats('b', [3]), floats('m', [3]), floats('v', [3], [0.4, 1.5, 2])],
        IMAGE,
      ),
    ));
  it('LayerNormalization over one axis and over three', async () => {
    const one = [floats('g', [SIDE]), floats('b', [SIDE])];
    await assertGradient(through([node('LayerNormalization', ['input', 'g', 'b'], 'y')], one, IMAGE));
    const three = [floats('g', [3, SIDE, SIDE]), floats('b', [3, SIDE, SIDE])];
    await assertGradient(through([node('LayerNormalization', ['input', 'g', 'b'], 'y', { axis: 1 })], three, IMAGE));
  });
  it('layer normalisation written out, as exporters did before', () =>
    assertGradient(
      through(
        [
          node('ReduceMean', ['input'], 'm', { axes: [-1] }),
          node('Sub', ['input', 'm'], 'c'),
          node('Pow', ['c', 'two'], 's'),
          node('ReduceMean', ['s'], 'v', { axes: [-1] }),
          node('Add', ['v', 'e'], 've'),
          node('Sqrt', ['ve'], 'd'),
          node('Div', ['c', 'd'], 'y'),
        ],
        [floats('two', [], [2]), floats('e', [], [1e-5])],
        IMAGE,
      ),
    ));
  it('InstanceNormalization', () =>
    assertGradient(
      through([node('InstanceNormalization', ['input', 'g', 'b'], 'y')], [floats('g', [3]), floats('b', [3])], IMAGE),
    ));
  it('LRN', () =>
    assertGradient(
      through(
        [node('LRN', ['input'], 'y', { size: 3, alpha: { float: 0.9 }, beta: { float: 0.75 }, bias: { float: 2 } })],
        [],
        IMAGE,
      ),
    ));
});

describe('the gradient network', () => {
  const conv = node('Conv', ['input', 'w'], 'c', { pads: [1, 1, 1, 1] });
  const tensors = [floats('w', [2, 3, 3, 3])];

  it('adds up where a tensor is read twice', () =>
    assertGradient(
      through([conv, node('Relu', ['c'], 'r'), node('Tanh', ['c'], 't'), node('Add', ['r', 't'], 'y')], tensors, 128),
    ));

  it('gives cross-entropy and margin by their definitions', async () => {
    await withClassifier(onnx(through([conv, node('Tanh', ['c'], 'y')], tensors, 128)), async it => {
      const batch = images(2, 5);
      const { scores } = await it.classify(batch, 2, false);
      const label = 2;
      const seeds = (kind: 'cross-entropy' | 'margin') =>
        [0, 1].map(n => {
          const z = Array.from(scores.subarray(n * CLASSES, (n + 1) * CLASSES));
          const total = z.reduce((sum, value) => sum + Math.exp(value), 0);
          const rival = z.indexOf(Math.max(...z.filter((_, j) => j !== label)));
          const against = z.map((value, j) => (kind === 'margin' ? Number(j === rival) : Math.exp(value) / total));
          return Float32Array.from(against, (value, j) => value - Number(j === label));
        });
      for (const kind of ['cross-entropy', 'margin'] as const) {
        const { gradient } = await it.gradient(batch, [
          { kind, label },
          { kind, label },
        ]);
        const expected = await it.gradient(
          batch,
          seeds(kind).map(seed => ({ kind: 'linear', seed })),
        );
        for (const [i, value] of gradient.entries()) assert.ok(Math.abs(value - expected.gradient[i]!) < 1e-5);
      }
    });
  });

  it('gives the same values for an image whatever its batch mates are', async () => {
    await withClassifier(onnx(through([conv, node('Relu', ['c'], 'y')], tensors, 128)), async it => {
      const batch = images(3, 7);
      const loss = { kind: 'cross-entropy', label: 1 } as const;
      const together = await it.gradient(batch, [loss, loss, loss]);
      for (let n = 0; n < 3; n++) {
        const alone = await it.gradient(batch.slice(n * PIXELS, (n + 1) * PIXELS), [loss]);
        assert.deepEqual(alone.gradient, together.gradient.slice(n * PIXELS, (n + 1) * PIXELS));
      }
    });
  });

  it('serves a network with a fixed batch', async () => {
    const sketch = through([conv, node('Relu', ['c'], 'y')], tensors, 128);
    const loss = { kind: 'margin', label: 0 } as const;
    const open = await withClassifier(onnx(sketch), it => it.gradient(images(3), [loss, loss, loss]));
    const inputs = [signature('input', [2, 3, SIDE, SIDE])];
    const fixed = await withClassifier(onnx({ ...sketch, inputs }), it => it.gradient(images(3), [loss, loss, loss]));
    assert.deepEqual(fixed, open);
  });

  it('is taken before the softmax of a network that ends in one', async () => {
    const sketch = through([conv, node('Relu', ['c'], 'y')], tensors, 128);
    const logits = sketch.nodes.map(it =>
      it.output[0] === 'scores' ? { ...it, name: 'logits', output: ['logits'] } : it,
    );
    const ending = { ...sketch, nodes: [...logits, node('Softmax', ['logits'], 'scores', { axis: 1 })] };
    const loss = { kind: 'cross-entropy', label: 3 } as const;
    const plain = await withClassifier(onnx(sketch), it => it.gradient(images(1), [loss]));
    assert.deepEqual(await withClassifier(onnx(ending), it => it.gradient(images(1), [loss])), plain);
  });

  it('refuses an operator without a rule by its name and node', async () => {
    const nodes = [node('Round', ['input'], 'rounded'), node('Identity', ['rounded'], 'y')];
    await assert.rejects(createOnnxDifferentiableClassifier(modelOf(onnx(through(nodes, [], IMAGE))), CPU), {
      code: 'MODEL_UNSUPPORTED',
      message: 'There is no gradient of "Round" at the node "rounded": it has no rule',
    });
  });

  it('refuses operators older than version 7', async () => {
    const sketch = through([node('Relu', ['input'], 'y')], [], IMAGE, 6);
    await assert.rejects(createOnnxDifferentiableClassifier(modelOf(onnx(sketch)), CPU), /7 is the oldest/);
  });
});
