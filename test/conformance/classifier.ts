/** What every Classifier keeps, whatever executes it: one suite that each runtime passes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Classifier } from '../../src/types.js';

export interface ClassifierUnderTest {
  /** Opens the classifier anew. */
  readonly open: () => Promise<Classifier>;
  /** `count` different images as the classifier's input. */
  readonly images: (count: number) => Float32Array;
  /** Largest difference between the scores of an image in two batches, where the runtime does not promise equality. */
  readonly tolerance?: number;
}

export function describeClassifier(name: string, { open, images, tolerance = 0 }: ClassifierUnderTest): void {
  const opened = async (test: (classifier: Classifier) => Promise<void>) => {
    const classifier = await open();
    try {
      await test(classifier);
    } finally {
      await classifier.dispose();
    }
  };
  const close = (a: Float32Array, b: Float32Array) => {
    assert.equal(a.length, b.length);
    const gap = a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0);
    assert.ok(gap <= tolerance, `differs by ${gap}`);
  };
  const imageSize = ({ preprocessing: { width, height } }: Classifier) => 3 * width * height;

  describe(`${name} as a Classifier`, () => {
    it('says who it is', () =>
      opened(async classifier => {
        assert.match(classifier.model.name, /./);
        assert.match(classifier.model.sha256, /^[0-9a-f]{64}$/);
        assert.match(classifier.runtime, /./);
        assert.deepEqual(
          classifier.labels.map(label => label.index),
          classifier.labels.map((_, index) => index),
        );
        assert.equal(classifier.head === undefined, classifier.headless !== undefined);
      }));

    for (const count of [1, 2, 3, 8]) {
      it(`gives one finite score a class for each of ${count}`, () =>
        opened(async classifier => {
          const { scores } = await classifier.classify(images(count), count, false);
          assert.ok(scores instanceof Float32Array);
          assert.equal(scores.length, count * classifier.labels.length);
          assert.ok(scores.every(Number.isFinite));
        }));
    }

    it('gives an image the same scores and features alone and among others', () =>
      opened(async classifier => {
        const withFeatures = classifier.head !== undefined;
        const input = images(5);
        const together = await classifier.classify(input, 5, withFeatures);
        const size = imageSize(classifier);
        for (const i of [0, 3, 4]) {
          const alone = await classifier.classify(input.slice(i * size, (i + 1) * size), 1, withFeatures);
          const classes = classifier.labels.length;
          close(alone.scores, together.scores.slice(i * classes, (i + 1) * classes));
          if (alone.features === undefined || together.features === undefined) continue;
          const maps = alone.features.data.length;
          close(alone.features.data, together.features.data.slice(i * maps, (i + 1) * maps));
        }
      }));

    it('keeps no state between calls', () =>
      opened(async classifier => {
        const first = await classifier.classify(images(2), 2, false);
        await classifier.classify(images(3).reverse(), 3, classifier.head !== undefined);
        close((await classifier.classify(images(2), 2, false)).scores, first.scores);
      }));

    it('reads a part of a larger buffer, and leaves what it reads as it was', () =>
      opened(async classifier => {
        const size = imageSize(classifier);
        const input = images(3);
        const before = input.slice();
        const part = await classifier.classify(input.subarray(size, 2 * size), 1, false);
        close(part.scores, (await classifier.classify(input.slice(size, 2 * size), 1, false)).scores);
        assert.deepEqual(input, before);
      }));

    it('gives what the caller may keep and change', () =>
      opened(async classifier => {
        const first = await classifier.classify(images(1), 1, false);
        const kept = first.scores.slice();
        const second = await classifier.classify(images(1), 1, false);
        second.scores.fill(0);
        assert.deepEqual(first.scores, kept);
      }));

    it('gives feature maps of the shape that its head reads, only when asked', () =>
      opened(async classifier => {
        const plain = await classifier.classify(images(2), 2, false);
        assert.equal(plain.features, undefined);
        if (classifier.head === undefined) {
          await assert.rejects(classifier.classify(images(1), 1, true), { code: 'INFERENCE_FAILED' });
          return;
        }
        const { scores, features } = await classifier.classify(images(2), 2, true);
        close(scores, plain.scores);
        assert.equal(features?.channels, classifier.head.channels);
        assert.equal(features?.data.length, 2 * features!.channels * features!.width * features!.height);
        assert.equal(classifier.head.weights.length, classifier.head.classes * classifier.head.channels);
        assert.equal(classifier.head.classes, classifier.labels.length);
      }));

    it('refuses an input of the wrong length, and goes on', () =>
      opened(async classifier => {
        for (const [input, count] of [
          [images(1), 2],
          [images(2), 1],
          [images(1).subarray(1), 1],
          [new Float32Array(0), 0],
          [images(1), 0.5],
        ] as const) {
          await assert.rejects(classifier.classify(input, count, false), { code: 'INFERENCE_FAILED' });
        }
        await classifier.classify(images(1), 1, false);
      }));

    it('refuses work once it is disposed of, which may happen twice', async () => {
      const classifier = await open();
      await classifier.dispose();
      await classifier.dispose();
      await assert.rejects(classifier.classify(images(1), 1, false), { code: 'INFERENCE_FAILED' });
    });
  });
}
