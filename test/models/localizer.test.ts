import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { preprocess } from '../../src/images/preprocess.js';
import { tensorFormat, writeTensor } from '../../src/images/tensor.js';
import { createLocalizer, requireHead } from '../../src/models/localizer.js';
import { openClassifier } from '../../src/models/runtimes.js';
import type { RgbImage } from '../../src/types.js';
import { behindBody, CHANNELS, CLASSES, floats, HEAD, modelOf, node, PLAIN, SIDE } from './onnx/builder.js';

const HEADLESS = behindBody(
  [node('Flatten', ['maps'], 'flat'), node('Gemm', ['flat', 'w'], 'scores')],
  [floats('w', [96, CLASSES])],
);

function image(width: number, height: number): RgbImage {
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 256) };
}

import { checkLeaks } from '../helpers/leaks.js';

checkLeaks();

describe('a localiser', () => {
  it('sees the whole of images of any size, whatever the crop of its own preprocessing', async () => {
    const model = modelOf(behindBody(HEAD.nodes, HEAD.tensors));
    const cropping = { ...PLAIN, fit: 'crop-then-resize', cropFraction: 0.5 } as const;
    const localizer = createLocalizer(await openClassifier({ ...model, preprocessing: cropping }));
    const images = [image(13, 9), image(SIDE, SIDE)];
    const { scores, features } = await localizer.locate(images);
    assert.equal(scores.length, 2 * CLASSES);
    assert.deepEqual([features.channels, features.width, features.height], [CHANNELS, 4, 4]);

    const classifier = await openClassifier(model);
    for (const [i, whole] of images.entries()) {
      const input = new Float32Array(3 * SIDE * SIDE);
      writeTensor(preprocess(whole, PLAIN), tensorFormat(PLAIN), input, 0);
      const expected = await classifier.classify(input, 1, true);
      const size = CHANNELS * 16;
      const own = features.data.subarray(i * size, (i + 1) * size);
      own.forEach((value, k) => {
        assert.ok(Math.abs(value - expected.features!.data[k]!) < 1e-5);
      });
    }
    await Promise.all([classifier.dispose(), localizer.dispose()]);
  });

  it('cannot be a model without a head: the error says why and names the option that helps', async () => {
    const classifier = await openClassifier(modelOf(HEADLESS, 'flat-net'));
    for (const attempt of [() => createLocalizer(classifier), () => requireHead(classifier)]) {
      assert.throws(attempt, {
        code: 'MODEL_NO_LOCALIZATION',
        message:
          'The model flat-net cannot make activation maps: its last layer reads "Relu", not a global average pooling. ' +
          'Name a model that can by --localizer NAME, or deflect everywhere by --map uniform',
      });
    }
    await classifier.dispose();
  });
});
