import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { requireOnnx } from '../../../../src/models/model.js';
import { createOnnxDifferentiableClassifier } from '../../../../src/models/onnx-gradient.js';
import { openModel } from '../../../../src/models/registry.js';
import type { DifferentiableClassifier, LogitLoss } from '../../../../src/types.js';
import { checkLeaks } from '../../../helpers/leaks.js';
import { fromRoot } from '../../../helpers/root.js';

checkLeaks();

interface Golden {
  readonly label: number;
  readonly at: readonly number[];
  readonly losses: Readonly<
    Record<'cross-entropy' | 'margin', { value: number; norm: number; sumOfMagnitudes: number; samples: number[] }>
  >;
}

const PIXELS = 3 * 224 * 224;

/** The image of test/goldens-gradients/make.py. */
const image = Float32Array.from({ length: PIXELS }, (_, i) => Math.sin(i * 0.11) * Math.cos(i * 0.0013));

describe('the gradient of the bundled model', () => {
  let classifier: DifferentiableClassifier;
  let golden: Golden;
  before(async () => {
    golden = JSON.parse(await readFile(fromRoot('test/goldens-gradients/efficientnet-lite0.json'), 'utf8'));
    classifier = await createOnnxDifferentiableClassifier(requireOnnx(await openModel('efficientnet-lite0')), {
      provider: 'cpu',
      runtime: 'onnxruntime-cpu',
    });
  });
  after(() => classifier.dispose());

  for (const kind of ['cross-entropy', 'margin'] as const) {
    it(`is what JAX makes of the same file in double precision, for ${kind}`, async () => {
      const expected = golden.losses[kind];
      const { gradient } = await classifier.gradient(image, [{ kind, label: golden.label }]);
      const norm = Math.hypot(...chunkNorms(gradient));
      const sum = gradient.reduce((total, value) => total + Math.abs(value), 0);
      assert.ok(Math.abs(norm / expected.norm - 1) < 1e-4, `norm ${norm} for ${expected.norm}`);
      assert.ok(Math.abs(sum / expected.sumOfMagnitudes - 1) < 1e-4);
      // A unit at its kink can fall on one side in single precision and on the other in double; it is seen around it.
      const typical = expected.norm / Math.sqrt(PIXELS);
      const errors = golden.at.map((at, i) => Math.abs(gradient[at]! - expected.samples[i]!) / typical);
      assert.ok(errors.filter(error => error > 1e-4).length <= 2, `errors ${errors}`);
      assert.ok(Math.max(...errors) < 0.05, `errors ${errors}`);
    });
  }

  it('of the feature maps, weighed as the head weighs them, is that of a score', async () => {
    // z_c = bias_c + sum_k w[c,k] mean(f_k): the head is linear in the means of the maps.
    const { head } = classifier;
    const { features } = await classifier.classify(image, 1, true);
    const area = features!.width * features!.height;
    const seed = Float32Array.from(
      { length: features!.data.length },
      (_, i) => head!.weights[golden.label * head!.channels + Math.floor(i / area)]! / area,
    );
    const one = new Float32Array(1000);
    one[golden.label] = 1;
    const { gradient } = await classifier.gradient(image, [{ kind: 'features', seed }]);
    const { gradient: expected } = await classifier.gradient(image, [{ kind: 'linear', seed: one }]);
    const typical = Math.hypot(...chunkNorms(expected)) / Math.sqrt(PIXELS);
    const worst = gradient.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
    assert.ok(worst < 1e-3 * typical, `differs by ${worst / typical} of a typical value`);
  });

  it('is the slope of the loss along random directions', async () => {
    const seed = Float32Array.from({ length: 1000 }, (_, j) => Math.sin(j * 1.3));
    const loss: LogitLoss = { kind: 'linear', seed };
    const { gradient } = await classifier.gradient(image, [loss]);
    const value = async (direction: Float32Array, h: number): Promise<number> => {
      const moved = image.map((x, i) => x + h * direction[i]!);
      const { scores } = await classifier.classify(moved, 1, false);
      return scores.reduce((sum, score, j) => sum + score * seed[j]!, 0);
    };
    for (const k of [1, 2, 3]) {
      // Along the gradient plus as much noise: a slope that stands out of single precision.
      const noise = Float32Array.from({ length: PIXELS }, (_, i) => Math.sin(i * (1.7 + k)) * 0.1);
      const norm = Math.hypot(...chunkNorms(gradient));
      const direction = noise.map((value, i) => value / Math.sqrt(PIXELS) + gradient[i]! / norm);
      const h = 5e-3;
      const slope = ((await value(direction, h)) - (await value(direction, -h))) / (2 * h);
      const expected = gradient.reduce((sum, value, i) => sum + value * direction[i]!, 0);
      assert.ok(Math.abs(slope / expected - 1) < 0.02, `${slope} for ${expected}`);
    }
  });
});

/** Norms of pieces, because a call takes no 150,000 arguments everywhere. */
function chunkNorms(values: Float32Array): number[] {
  const norms: number[] = [];
  for (let start = 0; start < values.length; start += 4096)
    norms.push(Math.hypot(...values.subarray(start, start + 4096)));
  return norms;
}
