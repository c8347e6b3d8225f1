import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readNetwork } from '../../../src/models/onnx/network.js';
import type { Node, Tensor } from '../../../src/models/onnx/onnx_pb.js';
import { openClassifier } from '../../../src/models/runtimes.js';
import {
  BODY,
  behindBody,
  bytes,
  CHANNELS,
  CLASSES,
  floats,
  HEAD,
  halves,
  images,
  integers,
  modelOf,
  node,
  onnx,
  SIDE,
  type Sketch,
  signature,
  values,
} from './builder.js';

interface Case {
  readonly name: string;
  readonly nodes: readonly Node[];
  readonly tensors?: readonly Tensor[];
  readonly rest?: Partial<Sketch>;
}

const W = floats('w', [CLASSES, CHANNELS]);
const W_COLUMNS = floats('w', [CHANNELS, CLASSES]);
const B = floats('b', [CLASSES]);
const POOL = [node('GlobalAveragePool', ['maps'], 'pooled'), node('Flatten', ['pooled'], 'flat')];
const GEMM = node('Gemm', ['flat', 'w', 'b'], 'scores', { transB: 1 });

/** Heads as exporters write them: PyTorch (old and new), tf2onnx, Keras, timm, ONNX's model zoo, weight compressors. */
const HEADS: readonly Case[] = [
  { name: 'pooling, flatten, Gemm with rows of weights', ...HEAD },
  {
    name: 'Gemm with columns of weights, alpha and beta',
    nodes: [...POOL, node('Gemm', ['flat', 'w', 'b'], 'scores', { alpha: { float: 2 }, beta: { float: 0.5 } })],
    tensors: [W_COLUMNS, B],
  },
  {
    name: 'reshape, matrix product and addition',
    nodes: [
      node('GlobalAveragePool', ['maps'], 'pooled'),
      node('Reshape', ['pooled', 'shape'], 'flat'),
      node('MatMul', ['flat', 'w'], 'product'),
      node('Add', ['product', 'b'], 'scores'),
    ],
    tensors: [W_COLUMNS, B, integers('shape', [-1, CHANNELS])],
  },
  {
    name: 'ReduceMean with axes as an attribute',
    nodes: [node('ReduceMean', ['maps'], 'flat', { axes: [2, 3], keepdims: 0 }), GEMM],
    tensors: [W, B],
    rest: { opset: 13 },
  },
  {
    name: 'ReduceMean with negative axes as an input, no bias',
    nodes: [node('ReduceMean', ['maps', 'axes'], 'flat', { keepdims: 0 }), node('MatMul', ['flat', 'w'], 'scores')],
    tensors: [W_COLUMNS, integers('axes', [-1, -2])],
    rest: { opset: 18 },
  },
  {
    name: 'ReduceMean behind a transpose to NHWC, bias first',
    nodes: [
      node('Transpose', ['maps'], 'last', { perm: [0, 2, 3, 1] }),
      node('ReduceMean', ['last'], 'flat', { axes: [1, 2], keepdims: 0 }),
      node('MatMul', ['flat', 'w'], 'product'),
      node('Add', ['b', 'product'], 'scores'),
    ],
    tensors: [W_COLUMNS, B],
  },
  {
    name: 'AveragePool of the whole map behind an empty padding, dropout',
    nodes: [
      node('Pad', ['maps', 'nothing'], 'padded'),
      node('AveragePool', ['padded'], 'pooled', { kernel_shape: [4, 4] }),
      node('Flatten', ['pooled'], 'flat'),
      node('Dropout', ['flat'], 'dropped'),
      node('Gemm', ['dropped', 'w', 'b'], 'scores', { transB: 1 }),
    ],
    tensors: [W, B, integers('nothing', [0, 0, 0, 0, 0, 0, 0, 0])],
  },
  {
    name: 'a 1x1 convolution as classifier',
    nodes: [
      node('GlobalAveragePool', ['maps'], 'pooled'),
      node('Conv', ['pooled', 'w', 'b'], 'wide', { kernel_shape: [1, 1] }),
      node('Flatten', ['wide'], 'scores'),
    ],
    tensors: [floats('w', [CLASSES, CHANNELS, 1, 1]), B],
  },
  {
    name: 'a 1x1 convolution and its bias as an addition',
    nodes: [
      node('GlobalAveragePool', ['maps'], 'pooled'),
      node('Conv', ['pooled', 'w'], 'wide', { kernel_shape: [1, 1] }),
      node('Add', ['wide', 'b'], 'biased'),
      node('Flatten', ['biased'], 'scores'),
    ],
    tensors: [floats('w', [CLASSES, CHANNELS, 1, 1]), floats('b', [CLASSES, 1, 1])],
  },
  {
    name: 'weights stored in half precision behind a cast',
    nodes: [node('Cast', ['w16'], 'w', { to: 1 }), ...POOL, GEMM],
    tensors: [halves('w16', [CLASSES, CHANNELS]), B],
  },
  {
    name: 'weights behind a transpose',
    nodes: [
      node('Transpose', ['rows'], 'w', { perm: [1, 0] }),
      ...POOL,
      node('MatMul', ['flat', 'w'], 'product'),
      node('Add', ['product', 'b'], 'scores'),
    ],
    tensors: [floats('rows', [CLASSES, CHANNELS]), B],
  },
  {
    name: 'weights as a Constant node',
    nodes: [node('Constant', [], 'w', { value: floats('', [CLASSES, CHANNELS]) }), ...POOL, GEMM],
    tensors: [B],
  },
  {
    name: 'weights quantised to 8 bits, one scale a class',
    nodes: [node('DequantizeLinear', ['w8', 'scale', 'zero'], 'w', { axis: 0 }), ...POOL, GEMM],
    tensors: [
      bytes(
        'w8',
        [CLASSES, CHANNELS],
        values(CLASSES * CHANNELS).map(value => Math.round(value * 100)),
      ),
      floats('scale', [CLASSES], [0.01, 0.02, 0.03, 0.04, 0.05]),
      bytes('zero', [CLASSES], [0, 1, 2, 3, 4]),
      B,
    ],
  },
  {
    name: 'a softmax at the end',
    nodes: [...POOL, node('Gemm', ['flat', 'w', 'b'], 'logits', { transB: 1 }), node('Softmax', ['logits'], 'scores')],
    tensors: [W, B],
  },
  {
    name: 'class maps that are pooled themselves, as in SqueezeNet',
    nodes: [
      node('Conv', ['maps', 'w', 'b'], 'classes', { kernel_shape: [1, 1] }),
      node('Relu', ['classes'], 'positive'),
      node('GlobalAveragePool', ['positive'], 'pooled'),
      node('Flatten', ['pooled'], 'scores'),
    ],
    tensors: [floats('w', [CLASSES, CHANNELS, 1, 1]), B],
  },
  {
    name: 'a residual connection before the pooling',
    nodes: [
      node('Conv', ['maps', 'inner'], 'branch', { kernel_shape: [1, 1] }),
      node('Add', ['maps', 'branch'], 'sum'),
      node('Relu', ['sum'], 'last'),
      node('GlobalAveragePool', ['last'], 'pooled'),
      node('Flatten', ['pooled'], 'flat'),
      GEMM,
    ],
    tensors: [floats('inner', [CHANNELS, CHANNELS, 1, 1]), W, B],
  },
];

/** softmax of bias + weights . mean of the feature maps, in double precision. */
function explained(scores: Float32Array, maps: Float32Array, weights: Float32Array, bias: Float32Array | undefined) {
  const places = maps.length / (weights.length / scores.length);
  return Array.from(scores, (_, c) => {
    let sum = bias?.[c] ?? 0;
    const channels = weights.length / scores.length;
    for (let k = 0; k < channels; k++) {
      let total = 0;
      for (let p = 0; p < places; p++) total += maps[k * places + p]!;
      sum += weights[c * channels + k]! * (total / places);
    }
    return sum;
  });
}

function softmax(logits: readonly number[]): number[] {
  const powers = logits.map(value => Math.exp(value));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map(value => value / sum);
}

describe('the head of a classifier', () => {
  for (const { name, nodes, tensors, rest } of HEADS) {
    it(`is found and explains the scores: ${name}`, async () => {
      const model = modelOf(behindBody(nodes, tensors ?? [], rest));
      const classifier = await openClassifier(model);
      try {
        assert.equal(classifier.headless, undefined);
        const head = classifier.head!;
        const { scores, features } = await classifier.classify(images(1), 1, true);
        assert.equal(head.classes, CLASSES);
        assert.deepEqual([features?.channels, features?.width, features?.height], [head.channels, 4, 4]);
        const logits = explained(scores, features!.data, head.weights, model.network.head?.linear?.bias);
        const expected = classifier.outputs === 'probabilities' ? softmax(logits) : logits;
        expected.forEach((value, c) => {
          assert.ok(Math.abs(value - scores[c]!) < 1e-5, `class ${c}: ${value} is not ${scores[c]}`);
        });
      } finally {
        await classifier.dispose();
      }
    });
  }

  it('tells probabilities from logits by a softmax at the end', () => {
    const logits = node('Gemm', ['flat', 'w', 'b'], 'logits', { transB: 1 });
    const kindOf = (last: string) =>
      readNetwork(behindBody([...POOL, logits, node(last, ['logits'], 'scores')], [W, B])).output.kind;
    assert.equal(kindOf('Softmax'), 'probabilities');
    assert.equal(kindOf('LogSoftmax'), 'logits');
    assert.equal(kindOf('Identity'), 'logits');
  });
});

const HIDDEN = floats('hidden', [CHANNELS, CHANNELS]);

/** Networks without such a head, and what the message says of each. */
const HEADLESS: readonly (Case & { readonly reason: RegExp })[] = [
  {
    name: 'two linear layers',
    nodes: [
      ...POOL,
      node('Gemm', ['flat', 'hidden'], 'first'),
      node('Relu', ['first'], 'active'),
      node('Gemm', ['active', 'w', 'b'], 'scores', { transB: 1 }),
    ],
    tensors: [W, B, HIDDEN],
    reason: /its last layer reads "Relu", not a global average pooling/,
  },
  {
    name: 'no pooling',
    nodes: [node('Flatten', ['maps'], 'flat'), node('Gemm', ['flat', 'w', 'b'], 'scores', { transB: 1 })],
    tensors: [floats('w', [CLASSES, CHANNELS * 16]), B],
    reason: /its last layer reads "Relu"/,
  },
  {
    name: 'pooling by the maximum',
    nodes: [node('GlobalMaxPool', ['maps'], 'pooled'), node('Flatten', ['pooled'], 'flat'), GEMM],
    tensors: [W, B],
    reason: /its last layer reads "GlobalMaxPool"/,
  },
  {
    name: 'average pooling over parts',
    nodes: [
      node('AveragePool', ['maps'], 'pooled', { kernel_shape: [2, 2], strides: [2, 2] }),
      node('Flatten', ['pooled'], 'flat'),
      node('Gemm', ['flat', 'w', 'b'], 'scores', { transB: 1 }),
    ],
    tensors: [floats('w', [CLASSES, CHANNELS * 4]), B],
    reason: /average pooling over 2x2 is not global: the feature maps have 4x4/,
  },
  {
    name: 'padded average pooling',
    nodes: [
      node('AveragePool', ['maps'], 'pooled', { kernel_shape: [5, 5], pads: [1, 1, 0, 0] }),
      node('Flatten', ['pooled'], 'flat'),
      GEMM,
    ],
    tensors: [W, B],
    reason: /its pooling is padded/,
  },
  {
    name: 'a normalisation behind the pooling',
    nodes: [
      ...POOL,
      node('LayerNormalization', ['flat', 'scale'], 'normal'),
      node('Gemm', ['normal', 'w', 'b'], 'scores', { transB: 1 }),
    ],
    tensors: [W, B, floats('scale', [CHANNELS])],
    reason: /its last layer reads "LayerNormalization"/,
  },
  {
    name: 'tokens instead of feature maps, as in a vision transformer',
    nodes: [
      node('Reshape', ['maps', 'shape'], 'tokens'),
      node('ReduceMean', ['tokens'], 'flat', { axes: [2], keepdims: 0 }),
      GEMM,
    ],
    tensors: [W, B, integers('shape', [-1, CHANNELS, 16])],
    reason: /averages over something else than height and width/,
  },
  {
    name: 'weights made from the image',
    nodes: [
      ...POOL,
      node('Transpose', ['flat'], 'turned', { perm: [1, 0] }),
      node('Gemm', ['rows', 'turned'], 'column'),
      node('Transpose', ['column'], 'scores', { perm: [1, 0] }),
    ],
    tensors: [floats('rows', [CLASSES, CHANNELS])],
    reason: /the weights of its last layer are no constants/,
  },
];

describe('a classifier without such a head', () => {
  for (const { name, nodes, tensors, rest, reason } of HEADLESS) {
    it(`still classifies and says why it makes no activation maps: ${name}`, async () => {
      const classifier = await openClassifier(modelOf(behindBody(nodes, tensors ?? [], rest)));
      try {
        assert.equal(classifier.head, undefined);
        assert.match(classifier.headless ?? '', reason);
        const { scores, features } = await classifier.classify(images(1), 1, false);
        assert.equal(scores.length, CLASSES);
        assert.equal(features, undefined);
      } finally {
        await classifier.dispose();
      }
    });
  }
});

describe('the signature of a network', () => {
  const shaped = (input: (number | string)[], type = 1) =>
    onnx({
      nodes: [...BODY.nodes, ...HEAD.nodes],
      tensors: [...BODY.tensors, ...HEAD.tensors],
      inputs: [signature('input', input, type)],
    });

  it('is read from the graph: layout, batch and size, open where the graph leaves them open', () => {
    const { input } = readNetwork(shaped(['batch', 'channels', 'height', 'width']));
    assert.deepEqual([input.layout, input.batch, input.height, input.width], ['nchw', undefined, undefined, undefined]);
    const fixed = readNetwork(shaped([4, SIDE, 2 * SIDE, 3])).input;
    assert.deepEqual([fixed.layout, fixed.batch, fixed.height, fixed.width], ['nhwc', 4, SIDE, 2 * SIDE]);
  });

  const refused: readonly [string, () => Uint8Array, RegExp][] = [
    ['a network of grey images', () => shaped(['N', 1, SIDE, SIDE]), /takes 1 channels; RGB images have 3/],
    ['a network of sequences', () => shaped(['N', 100]), /is no batch of images: its shape is \[\?, 100\]/],
    ['an input of bytes', () => shaped(['N', 3, SIDE, SIDE], 2), /element type 2; float32 and float16 are read/],
    [
      'two inputs',
      () =>
        onnx({
          ...{ nodes: [...BODY.nodes, ...HEAD.nodes], tensors: [...BODY.tensors, ...HEAD.tensors] },
          inputs: [signature('input', ['N', 3, SIDE, SIDE]), signature('mask', ['N', 10])],
        }),
      /takes 2 inputs \("input", "mask"\) where one image is expected/,
    ],
    [
      'no list of scores',
      () => behindBody(HEAD.nodes, HEAD.tensors, { outputs: [signature('boxes', ['N', 100, 4])] }),
      /None of the outputs "boxes" is a list of scores/,
    ],
    [
      'scores that are independent of each other',
      () =>
        behindBody(
          [...POOL, node('Gemm', ['flat', 'w', 'b'], 'raw', { transB: 1 }), node('Sigmoid', ['raw'], 'scores')],
          [W, B],
        ),
      /scores leave a sigmoid/,
    ],
  ];
  for (const [name, network, message] of refused) {
    it(`refuses ${name}`, () => {
      assert.throws(() => readNetwork(network()), { code: 'MODEL_UNSUPPORTED', message });
    });
  }
});
