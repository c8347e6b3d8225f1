/** Any function from tensors to scores as a classifier. */
import { DeflectorError, invalid } from '../errors.js';
import type { Classifier, Preprocessing } from '../types.js';

/** A classifier of the caller's own: TensorFlow.js, a remote service, anything that maps tensors to scores. */
export interface FunctionClassifier {
  /**
   * Scores a batch.
   *
   * @param input float32, normalised, `count` images in the layout of `preprocessing`: [count, 3, height, width] for
   *   `nchw`, [count, height, width, 3] for `nhwc`; valid until the result is there
   * @returns float32 [count, classes]; the scores of an image must not depend on its batch mates
   */
  classify(input: Float32Array, count: number): Promise<Float32Array> | Float32Array;
  /** Names of the classes, in the order of the scores. */
  readonly labels: readonly string[];
  /**
   * How an image becomes the input. What is left out: the whole image stretched to `width` x `height` (bilinear), RGB
   * in [0,1] (mean 0, std 1), layout `nchw`.
   */
  readonly preprocessing: Pick<Preprocessing, 'width' | 'height'> & Partial<Preprocessing>;
  /** What the scores are. Default `logits`. */
  readonly outputs?: Classifier['outputs'];
  /** Who it is, for verdicts. Default `function` with a digest of zeros. */
  readonly model?: Classifier['model'];
}

/** @throws DeflectorError SETTINGS_INVALID */
export function toClassifier(own: FunctionClassifier): Classifier {
  const { labels, outputs = 'logits', model = { name: 'function', sha256: '0'.repeat(64) } } = own;
  if (labels.length === 0) throw invalid('labels', 'the name of one class at least', labels);
  const preprocessing: Preprocessing = {
    ...{ fit: 'stretch', cropFraction: 1, resizeShortest: 0, interpolation: 'bilinear' },
    ...{ mean: [0, 0, 0], std: [1, 1, 1], channels: 'rgb', layout: 'nchw' },
    ...own.preprocessing,
  };
  for (const side of ['width', 'height'] as const) {
    const pixels = preprocessing[side];
    if (!Number.isInteger(pixels) || pixels < 1) throw invalid(`preprocessing.${side}`, 'an integer from 1', pixels);
  }
  return {
    ...{ model, runtime: 'function', preprocessing, outputs, head: undefined },
    headless: 'of a function nothing but its scores is known',
    labels: labels.map((name, index) => ({ index, id: '', name })),
    async classify(input, count) {
      const scores = await own.classify(input, count);
      if (!(scores instanceof Float32Array) || scores.length !== count * labels.length) {
        const given = scores instanceof Float32Array ? `${scores.length} scores` : typeof scores;
        throw new DeflectorError(
          'INFERENCE_FAILED',
          `Expected ${count * labels.length} scores for ${count} images from the classifier ${model.name} but received ${given}`,
        );
      }
      return { scores, features: undefined };
    },
    async dispose() {},
  };
}
