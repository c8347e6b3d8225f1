import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { weightedClassMaps } from '../../../src/defense/activation-map.js';
import { prepareRuntimes } from '../../../src/models/native-runtimes.js';
import { openModel } from '../../../src/models/registry.js';
import { openClassifier } from '../../../src/models/runtimes.js';
import { describeClassifier } from '../../conformance/classifier.js';
import { checkLeaks } from '../../helpers/leaks.js';
import { tensorflowFolder, writeNsfwModel } from '../../helpers/tensorflow.js';
import * as onnx from '../onnx/builder.js';
import {
  BODY,
  BODY_WEIGHTS,
  graphModel,
  HEAD_WEIGHTS,
  INPUT,
  layer,
  layersModel,
  modelOf,
  type Weight,
  weight,
} from './builder.js';

checkLeaks();
tensorflowFolder();
prepareRuntimes({ runtime: 'auto', device: 0 });

const scratch = mkdtempSync(join(tmpdir(), 'deflector-tfjs-'));
after(() => rmSync(scratch, { recursive: true }));
const nsfw = await openModel(writeNsfwModel(join(scratch, 'nsfw'), 'mobilenet_v2_mid'));

const { CHANNELS, CLASSES, SIDE, images } = onnx;

/** Images [count, channel, y, x] as [count, y, x, channel]. */
function channelsLast(input: Float32Array, count: number): Float32Array {
  const pixels = input.length / count / 3;
  return Float32Array.from(input, (_, i) => {
    const [image, p, c] = [Math.floor(i / (3 * pixels)), Math.floor(i / 3) % pixels, i % 3];
    return input[(3 * image + c) * pixels + p]!;
  });
}

/** A kernel of TensorFlow [height, width, in, out] as ONNX has it [out, in, height, width]. */
function channelsFirst({ data }: Weight, size: number, inputs: number, outputs: number): number[] {
  const kernel: number[] = [];
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) {
      for (let p = 0; p < size * size; p++) kernel.push(data[(p * inputs + i) * outputs + o]!);
    }
  }
  return kernel;
}

/** The same network in ONNX. TensorFlow pads 8 pixels at stride 2 by one behind the last. */
const twin = onnx.modelOf(
  onnx.onnx({
    nodes: [
      onnx.node('Conv', ['input', 'k', 'b'], 'body', { strides: [2, 2], pads: [0, 0, 1, 1], kernel_shape: [3, 3] }),
      onnx.node('Relu', ['body'], 'maps'),
      onnx.node('GlobalAveragePool', ['maps'], 'pooled'),
      onnx.node('Flatten', ['pooled'], 'flat'),
      onnx.node('Gemm', ['flat', 'w', 'c'], 'scores'),
    ],
    tensors: [
      onnx.floats('k', [CHANNELS, 3, 3, 3], channelsFirst(BODY_WEIGHTS[0]!, 3, 3, CHANNELS)),
      onnx.floats('b', [CHANNELS], [...BODY_WEIGHTS[1]!.data]),
      onnx.floats('w', [CHANNELS, CLASSES], [...HEAD_WEIGHTS[0]!.data]),
      onnx.floats('c', [CLASSES], [...HEAD_WEIGHTS[1]!.data]),
    ],
  }),
);

const FLAT = CHANNELS * (SIDE / 2) ** 2;
const HEADLESS = layersModel(
  [
    INPUT,
    ...BODY,
    layer('Flatten', 'flat'),
    layer('Dense', 'scores', { units: CLASSES, activation: 'softmax', use_bias: true }),
  ],
  [...BODY_WEIGHTS, weight('scores/kernel', [FLAT, CLASSES], 3), weight('scores/bias', [CLASSES], 4)],
);

for (const runtime of ['tfjs-node', 'tfjs-wasm'] as const) {
  for (const [what, network] of [
    ['a layers model', layersModel()],
    ['a graph model', graphModel()],
    ['a graph model that takes four images', graphModel(undefined, undefined, 4)],
    ['a layers model without a head', HEADLESS],
  ] as const) {
    describeClassifier(`${what} on ${runtime}`, { open: () => openClassifier(modelOf(network), { runtime }), images });
  }

  describeClassifier(`MobileNetV2 of nsfwjs on ${runtime}`, {
    open: () => openClassifier(nsfw, { runtime }),
    images: count => Float32Array.from({ length: count * 3 * 224 * 224 }, (_, i) => Math.sin(i * 0.37) ** 2),
  });

  describe(`TensorFlow.js by ${runtime}`, () => {
    it('gives the scores and feature maps that ONNX Runtime gives for the same network', async () => {
      const input = images(3);
      const reference = await openClassifier(twin);
      const expected = await reference.classify(input, 3, true);
      await reference.dispose();
      for (const network of [layersModel(), graphModel()]) {
        const classifier = await openClassifier(modelOf(network), { runtime });
        const output = await classifier.classify(channelsLast(input, 3), 3, true);
        near(output.scores, expected.scores, 1e-5);
        near(output.features!.data, expected.features!.data, 1e-5);
        near(classifier.head!.weights, reference.head!.weights, 0);
        await classifier.dispose();
      }
    });

    it('keeps no tensor over hundreds of calls, nor over models that come and go', async () => {
      const { loadTensorflow } = await import('../../../src/models/tfjs/tensorflow.js');
      const { tf } = await loadTensorflow(runtime);
      const none = tf.memory().numTensors;
      for (const network of [layersModel(), graphModel()]) {
        const classifier = await openClassifier(modelOf(network), { runtime });
        const held = tf.memory().numTensors;
        for (let call = 0; call < 300; call++)
          await classifier.classify(images(1 + (call % 3)), 1 + (call % 3), call % 2 === 0);
        await assert.rejects(classifier.classify(images(1), 2, true));
        assert.equal(tf.memory().numTensors, held);
        await classifier.dispose();
        assert.equal(tf.memory().numTensors, none);
      }
    });

    it('has class maps that average to the logits of a real network', async () => {
      const classifier = await openClassifier(nsfw, { runtime });
      const input = Float32Array.from({ length: 3 * 224 * 224 }, (_, i) => Math.sin(i * 0.11) ** 2);
      const { scores, features } = await classifier.classify(input, 1, true);
      await classifier.dispose();
      assert.deepEqual([features?.channels, features?.height, features?.width], [1792, 7, 7]);
      const bias = nsfw.network.head!.linear!.bias;
      const logits = Array.from({ length: 5 }, (_, c) => {
        const map = weightedClassMaps(features!, classifier.head!, [c], [1]);
        return bias[c]! + map.data.reduce((sum, value) => sum + value, 0) / map.data.length;
      });
      const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
      near(
        scores,
        logits.map(logit => Math.exp(logit) / sum),
        1e-5,
      );
    });

    it('refuses a network that TensorFlow.js refuses, with its reason', async () => {
      const odd = layersModel([INPUT, ...BODY, layer('Imaginary', 'odd')], BODY_WEIGHTS);
      await assert.rejects(openClassifier(modelOf(odd), { runtime }), {
        code: 'MODEL_INVALID',
        message: /refuses.*Imaginary/s,
      });
    });
  });
}

describe('the two TensorFlow.js runtimes', () => {
  let outputs: Float32Array[] = [];
  before(async () => {
    const input = Float32Array.from({ length: 2 * 3 * 224 * 224 }, (_, i) => Math.sin(i * 0.07) ** 2);
    outputs = [];
    for (const runtime of ['tfjs-node', 'tfjs-wasm']) {
      const classifier = await openClassifier(nsfw, { runtime });
      outputs.push((await classifier.classify(input, 2, false)).scores);
      await classifier.dispose();
    }
  });

  it('agree on a real network', () => near(outputs[0]!, outputs[1]!, 1e-5));
});

describe('models and runtimes of two families', () => {
  it('are not mixed', async () => {
    await assert.rejects(openClassifier(twin, { runtime: 'tfjs-wasm' }), {
      code: 'SETTINGS_INVALID',
      message: /one of auto, onnxruntime-cpu, .*sketch is an ONNX model/,
    });
    await assert.rejects(openClassifier(modelOf(graphModel()), { runtime: 'onnxruntime-cpu' }), {
      code: 'SETTINGS_INVALID',
      message: /one of auto, tfjs-node, .*sketch is a TensorFlow.js model/,
    });
  });
});

function near(a: ArrayLike<number>, b: ArrayLike<number>, tolerance: number): void {
  assert.equal(a.length, b.length);
  for (let i = 0; i < a.length; i++) assert.ok(Math.abs(a[i]! - b[i]!) <= tolerance, `${a[i]} and ${b[i]} at ${i}`);
}
