import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createOnnxClassifier } from '../../src/models/onnx-classifier.js';
import { openModel } from '../../src/models/registry.js';
import { openClassifier, runtimeCalled } from '../../src/models/runtimes.js';
import { describeClassifier } from '../conformance/classifier.js';
import { checkLeaks } from '../helpers/leaks.js';
import {
  BODY,
  behindBody,
  CLASSES,
  floats,
  HEAD,
  images,
  integers,
  modelOf,
  node,
  onnx,
  SIDE,
  signature,
} from './onnx/builder.js';

checkLeaks();

const bundled = await openModel('efficientnet-lite0');

describeClassifier('the bundled model on onnxruntime-cpu', {
  open: () => openClassifier(bundled),
  images: count => Float32Array.from({ length: count * 3 * 224 * 224 }, (_, i) => Math.sin(i * 0.37) * 2),
});

function sketch(name: string, network: Uint8Array, tolerance = 0): void {
  describeClassifier(`${name} on onnxruntime-cpu`, {
    open: () => openClassifier(modelOf(network)),
    images,
    tolerance,
  });
}

const WHOLE = { nodes: [...BODY.nodes, ...HEAD.nodes], tensors: [...BODY.tensors, ...HEAD.tensors] };

// Matrix products of a handful of numbers may add in another order when the batch is larger.
const ROUNDING = 1e-5;

sketch('a network of any batch size', onnx(WHOLE), ROUNDING);
sketch('a network that takes one image', onnx({ ...WHOLE, inputs: [signature('input', [1, 3, SIDE, SIDE])] }));
sketch(
  'a network that takes four images',
  onnx({ ...WHOLE, inputs: [signature('input', [4, 3, SIDE, SIDE])] }),
  ROUNDING,
);
sketch(
  'a network without a head',
  behindBody(
    [node('Flatten', ['maps'], 'flat'), node('Gemm', ['flat', 'w', 'b'], 'scores', { transB: 1 })],
    [floats('w', [CLASSES, 96]), floats('b', [CLASSES])],
  ),
  ROUNDING,
);
sketch(
  'a network that takes and gives half precision',
  onnx({
    nodes: [
      node('Cast', ['halves'], 'input', { to: 1 }),
      ...WHOLE.nodes,
      node('Cast', ['scores'], 'halved', { to: 10 }),
    ],
    tensors: WHOLE.tensors,
    inputs: [signature('halves', ['N', 3, SIDE, SIDE], 10)],
    outputs: [signature('halved', ['N', CLASSES], 10)],
  }),
  1e-2,
);
sketch(
  'a network that takes pixels before channels',
  onnx({
    nodes: [node('Transpose', ['pixels'], 'input', { perm: [0, 3, 1, 2] }), ...WHOLE.nodes],
    tensors: WHOLE.tensors,
    inputs: [signature('pixels', ['N', SIDE, SIDE, 3])],
  }),
  ROUNDING,
);

describe('opening a classifier', () => {
  it('gives what the network gives for an image in half precision', async () => {
    const single = await openClassifier(modelOf(onnx(WHOLE)));
    const half = await openClassifier(
      modelOf(
        onnx({
          nodes: [node('Cast', ['halves'], 'input', { to: 1 }), ...WHOLE.nodes],
          tensors: WHOLE.tensors,
          inputs: [signature('halves', ['N', 3, SIDE, SIDE], 10)],
        }),
      ),
    );
    // Eighths are exact in half precision.
    const input = images(2).map(value => Math.round(value * 8) / 8);
    const [a, b] = [await single.classify(input, 2, false), await half.classify(input, 2, false)];
    assert.deepEqual(b.scores, a.scores);
    await Promise.all([single.dispose(), half.dispose()]);
  });

  it('refuses a network whose scores are not one for each label', async () => {
    const network = onnx({ ...WHOLE, outputs: [signature('scores', ['N', 'K'])] });
    const model = modelOf(network);
    await assert.rejects(openClassifier({ ...model, labels: model.labels.slice(1) }), {
      code: 'MODEL_INVALID',
      message: 'The network gives 5 scores, but config.json names 4 classes',
    });
  });

  it('refuses a network that the runtime cannot load, with its reason', async () => {
    const network = behindBody([...HEAD.nodes.slice(0, 2), node('Imaginary', ['flat'], 'scores')], HEAD.tensors);
    await assert.rejects(openClassifier(modelOf(network)), { code: 'MODEL_INVALID', message: /refuses.*Imaginary/s });
  });

  it('refuses a network that loads but does not run', async () => {
    // 96 values cannot become 97; since the size is left open, that shows only when it runs.
    const network = onnx({
      nodes: [...BODY.nodes, node('Reshape', ['maps', 'shape'], 'flat'), node('Gemm', ['flat', 'w'], 'scores')],
      tensors: [...BODY.tensors, integers('shape', [-1, 97]), floats('w', [97, CLASSES])],
      inputs: [signature('input', ['N', 3, 'H', 'W'])],
    });
    await assert.rejects(openClassifier(modelOf(network)), { code: 'MODEL_INVALID', message: /does not run/ });
  });

  it('refuses what is not live here, and puts nothing else in its place', async () => {
    const model = modelOf(onnx(WHOLE));
    await assert.rejects(createOnnxClassifier(model, { provider: 'imaginary', runtime: 'onnxruntime-imaginary' }), {
      code: 'RUNTIME_UNAVAILABLE',
      message: /onnxruntime-imaginary/,
    });
    assert.throws(() => runtimeCalled('imaginary'), { code: 'SETTINGS_INVALID', message: /--runtime/ });
  });

  it('takes the CPU where nothing is said, and finds it alive', async () => {
    const classifier = await openClassifier(modelOf(onnx(WHOLE)));
    assert.equal(classifier.runtime, 'onnxruntime-cpu');
    await classifier.dispose();
    assert.match(await runtimeCalled('onnxruntime-cpu').probe(), /^onnxruntime-node \d+\.\d+/);
  });
});
