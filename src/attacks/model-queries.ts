/**
 * Answers the queries of many images under attack by batches of one model. Each attack waits for its own answers; what
 * gathers meanwhile makes the next batch. An answer does not depend on its batch mates, so neither does any result.
 */
import type { TensorFormat, UniformSource } from '../defense/defender.js';
import { readGradient, tensorFormat, writePlanes } from '../images/tensor.js';
import type { Classifier, DifferentiableClassifier, LogitLoss } from '../types.js';
import type { Subject } from './attack.js';

/** How often one image's attack asked the model. */
export interface Calls {
  gradients: number;
  scores: number;
}

interface Answer {
  readonly scores: Float32Array;
  readonly gradient: Float32Array | undefined;
}

interface Query {
  readonly pixels: Float32Array;
  /** Absent where scores are enough. */
  readonly loss: LogitLoss | undefined;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

/**
 *     idle ──ask──▶ answering (batches of one kind, oldest query first) ──none left──▶ idle
 */
export class ModelQueries {
  readonly #classifier: Classifier | DifferentiableClassifier;
  readonly #format: TensorFormat;
  readonly #area: number;
  readonly #most: number;
  #waiting: Query[] = [];
  #answering = false;

  /** @param most queries in one batch */
  constructor(classifier: Classifier | DifferentiableClassifier, most: number) {
    const { width, height } = classifier.preprocessing;
    this.#classifier = classifier;
    this.#format = tensorFormat(classifier.preprocessing);
    this.#area = width * height;
    this.#most = most;
  }

  /**
   * An image under attack.
   *
   * @param image float32 [3, height, width], RGB in [0,1], of the model's input size
   */
  subject(image: Float32Array, label: number, random: UniformSource): { subject: Subject; calls: Calls } {
    const calls: Calls = { gradients: 0, scores: 0 };
    const { width, height } = this.#classifier.preprocessing;
    const subject: Subject = {
      image,
      width,
      height,
      label,
      classes: this.#classifier.labels.length,
      random,
      scores: async pixels => {
        calls.scores++;
        return (await this.#ask(pixels, undefined)).scores;
      },
      gradient: async (pixels, loss) => {
        calls.gradients++;
        const { scores, gradient } = await this.#ask(pixels, loss);
        return { scores, gradient: gradient! };
      },
    };
    return { subject, calls };
  }

  #ask(pixels: Float32Array, loss: LogitLoss | undefined): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ pixels, loss, resolve, reject });
      if (this.#answering) return;
      this.#answering = true;
      void this.#answerAll();
    });
  }

  async #answerAll(): Promise<void> {
    // One turn of the event loop: attacks that were answered together ask again together.
    for (await turn(); this.#waiting.length > 0; await turn()) {
      const wanted = this.#waiting[0]!.loss !== undefined;
      const batch = this.#waiting.filter(query => (query.loss !== undefined) === wanted).slice(0, this.#most);
      const taken = new Set(batch);
      this.#waiting = this.#waiting.filter(query => !taken.has(query));
      try {
        for (const [n, answer] of (await this.#answer(batch)).entries()) batch[n]!.resolve(answer);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#answering = false;
  }

  async #answer(batch: readonly Query[]): Promise<Answer[]> {
    const size = 3 * this.#area;
    const input = new Float32Array(batch.length * size);
    for (const [n, { pixels }] of batch.entries()) writePlanes(pixels, this.#area, this.#format, input, n * size);
    const losses = batch.flatMap(({ loss }) => loss ?? []);
    if (losses.length === 0) {
      const { scores } = await this.#classifier.classify(input, batch.length, false);
      // An order and differences as before the softmax, where the network ends in one.
      const logits = this.#classifier.outputs === 'logits' ? scores : scores.map(p => Math.log(Math.max(p, 1e-30)));
      return split(logits, batch.length).map(own => ({ scores: own, gradient: undefined }));
    }
    if (!('gradient' in this.#classifier)) throw new TypeError('the classifier gives no gradients');
    const { scores, gradient } = await this.#classifier.gradient(input, losses);
    return split(scores, batch.length).map((own, n) => ({
      scores: own,
      gradient: readGradient(gradient, this.#area, this.#format, n * size),
    }));
  }
}

function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve));
}

function split(values: Float32Array, parts: number): Float32Array[] {
  const size = values.length / parts;
  return Array.from({ length: parts }, (_, n) => values.slice(n * size, (n + 1) * size));
}
