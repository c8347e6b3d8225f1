/** A model without a defence, as an attacker that knows of none sees it: images are resized to what it reads. */
import { plane } from '../../comparators/planes.js';
import { resampleBilinear, resampleBilinearBack } from '../../comparators/resample.js';
import type { TensorFormat } from '../../defense/defender.js';
import { toPlanar } from '../../defense/order.js';
import { readGradient, tensorFormat, writePlanes } from '../../images/tensor.js';
import type { DifferentiableClassifier, LogitLoss, RgbImage } from '../../types.js';
import type { NetworkCalls } from './defended-model.js';

export class PlainModel {
  readonly calls: NetworkCalls = { gradients: 0, forward: 0 };
  readonly #classifier: DifferentiableClassifier;
  readonly #format: TensorFormat;

  constructor(classifier: DifferentiableClassifier) {
    this.#classifier = classifier;
    this.#format = tensorFormat(classifier.preprocessing);
  }

  get classes(): number {
    return this.#classifier.labels.length;
  }

  /** Scores before any softmax, or what stands for them where the network ends in one. */
  async scores(image: RgbImage): Promise<Float32Array> {
    this.calls.forward++;
    const { scores } = await this.#classifier.classify(this.#input(image), 1, false);
    return this.#classifier.outputs === 'logits' ? scores : scores.map(p => Math.log(Math.max(p, 1e-30)));
  }

  /** @returns scores, and the gradient with respect to the pixels as they came: float32 [3, height, width] */
  async gradient(image: RgbImage, loss: LogitLoss): Promise<{ scores: Float32Array; gradient: Float32Array }> {
    const { width, height } = this.#classifier.preprocessing;
    this.calls.gradients++;
    const made = await this.#classifier.gradient(this.#input(image), [loss]);
    const inner = readGradient(made.gradient, width * height, this.#format, 0);
    const size = [image.width, image.height] as const;
    if (size[0] === width && size[1] === height) return { scores: made.scores, gradient: inner };
    const gradient = new Float32Array(3 * size[0] * size[1]);
    for (let c = 0; c < 3; c++) {
      const outer = plane(gradient, c, size[0], size[1]);
      resampleBilinearBack(plane(inner, c, width, height), outer, 0, size[0], size, [width, height]);
    }
    return { scores: made.scores, gradient };
  }

  #input(image: RgbImage): Float32Array {
    const { width, height } = this.#classifier.preprocessing;
    const planes = toPlanar(image);
    const size = [image.width, image.height] as const;
    const fitted = new Float32Array(3 * width * height);
    for (let c = 0; c < 3; c++) {
      const own = plane(planes, c, size[0], size[1]);
      fitted.set(resampleBilinear(own, 0, size[0], size, [width, height]), c * width * height);
    }
    const input = new Float32Array(fitted.length);
    writePlanes(fitted, width * height, this.#format, input, 0);
    return input;
  }
}
