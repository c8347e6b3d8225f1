import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { weightedClassMaps } from '../../src/defense/activation-map.js';
import type { Model } from '../../src/models/model.js';
import { createSession } from '../../src/models/onnx-classifier.js';
import { loadOnnxRuntime } from '../../src/models/onnx-runtime.js';
import { openModel } from '../../src/models/registry.js';
import { openClassifier } from '../../src/models/runtimes.js';
import type { Classifier, ClassifierOutput } from '../../src/types.js';
import { fromRoot } from '../helpers/root.js';

/** Any pixels will do: the claims below hold for every input. A fixed pattern with detail at all scales. */
function pattern(count: number): Float32Array {
  return Float32Array.from({ length: count * 3 * 224 * 224 }, (_, i) => Math.sin(i * 0.11) * Math.cos(i * 0.0013));
}

import { checkLeaks } from '../helpers/leaks.js';

checkLeaks();

describe('the bundled model', () => {
  let model: Model;
  let classifier: Classifier;
  let output: ClassifierOutput;
  before(async () => {
    model = await openModel('efficientnet-lite0');
    classifier = await openClassifier(model);
    output = await classifier.classify(pattern(2), 2, true);
  });
  after(() => classifier.dispose());

  it('is the file whose digest its card gives', async () => {
    const bytes = await readFile(fromRoot('models/efficientnet-lite0/onnx/model.onnx'));
    const digest = createHash('sha256').update(bytes).digest('hex');
    assert.equal(digest, '6f690dd22f192d28994c1e0f895d74fbee00489eaed5d7e678f6441af0c956a1');
    assert.equal(model.identity.sha256, digest);
    assert.match(await readFile(fromRoot('models/efficientnet-lite0/README.md'), 'utf8'), new RegExp(digest));
  });

  it('normalises by (x - 127) / 128 and crops 224/256 of the shorter side', () => {
    const { mean, std, fit, cropFraction, interpolation } = model.preprocessing;
    for (const x of [0, 127, 255]) assert.ok(Math.abs((x / 255 - mean[0]) / std[0] - (x - 127) / 128) < 1e-12);
    assert.deepEqual([fit, cropFraction, interpolation], ['crop-then-resize', 224 / 256, 'bicubic']);
  });

  it('names the classes in the order of sorted WordNet ids', () => {
    const ids = model.labels.map(label => label.id);
    assert.deepEqual(ids, [...ids].sort());
    assert.equal(new Set(ids).size, 1000);
    assert.deepEqual(model.labels[281], { index: 281, id: 'n02123045', name: 'tabby' });
  });

  it('ends in 1280 feature maps of 7x7, global average pooling and a linear layer', () => {
    const { features } = output;
    assert.deepEqual([features?.channels, features?.height, features?.width], [1280, 7, 7]);
    assert.deepEqual([classifier.head?.classes, classifier.head?.channels], [1000, 1280]);
    assert.equal(classifier.outputs, 'logits');
  });

  it('gives the same logits with feature maps, without, and from the file as it is', async () => {
    const plain = await classifier.classify(pattern(2), 2, false);
    assert.deepEqual(plain.scores, output.scores);
    const runtime = await loadOnnxRuntime();
    const bytes = await readFile(fromRoot('models/efficientnet-lite0/onnx/model.onnx'));
    const session = await createSession(runtime, bytes, { provider: 'cpu' });
    const { logits } = await session.run({ input: new runtime.Tensor('float32', pattern(2), [2, 3, 224, 224]) });
    await session.release();
    assert.deepEqual(logits?.data, output.scores);
  });

  it('has logits that are bias + weights . mean of the feature maps, so a class map averages to its logit', () => {
    const head = classifier.head!;
    const bias = model.network.head!.linear!.bias;
    const maps = { ...output.features!, data: output.features!.data.subarray(0, 1280 * 49) };
    for (let c = 0; c < 1000; c++) {
      const map = weightedClassMaps(maps, head, [c], [1]);
      const mean = map.data.reduce((sum, value) => sum + value, 0) / map.data.length;
      assert.ok(Math.abs(mean + bias[c]! - output.scores[c]!) < 1e-3, `class ${c}`);
    }
  });
});

describe('the bundled model in 8-bit integers', () => {
  let whole: Classifier;
  let quantised: Classifier;
  before(async () => {
    whole = await openClassifier(await openModel('efficientnet-lite0'));
    quantised = await openClassifier(await openModel('efficientnet-lite0-int8'));
  });
  after(() => Promise.all([whole.dispose(), quantised.dispose()]));

  it('is the file whose digest its card gives', async () => {
    const bytes = await readFile(fromRoot('models/efficientnet-lite0-int8/onnx/model.onnx'));
    const digest = createHash('sha256').update(bytes).digest('hex');
    assert.equal(quantised.model.sha256, digest);
    assert.match(await readFile(fromRoot('models/efficientnet-lite0-int8/README.md'), 'utf8'), new RegExp(digest));
  });

  it('keeps labels, preprocessing, and the weights of the last layer to half precision', () => {
    assert.deepEqual(quantised.labels, whole.labels);
    assert.deepEqual(quantised.preprocessing, whole.preprocessing);
    assert.deepEqual(quantised.head, whole.head);
  });

  it('gives an image the same scores alone, in a batch and at another place of it', async () => {
    const input = pattern(3);
    const batch = await quantised.classify(input, 3, false);
    const alone = await quantised.classify(input.subarray(2 * 3 * 224 * 224), 1, false);
    assert.deepEqual(batch.scores.subarray(2 * 1000), alone.scores);
  });
});
