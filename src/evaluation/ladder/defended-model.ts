/** The defended model as its attacker carries it out: runs with draws of its own, gradients through them, whole verdicts. */
import { createHash } from 'node:crypto';
import { activationMap } from '../../defense/activation-map.js';
import type { Defender, TensorFormat, UniformSource } from '../../defense/defender.js';
import { type DefenceSettings, usesMap } from '../../defense/settings.js';
import { DeflectorError } from '../../errors.js';
import { readGradient, tensorFormat, writeTensor } from '../../images/tensor.js';
import { systemClock } from '../../stages/common.js';
import { DefendEngine } from '../../stages/defend.js';
import type { ActivationMap, DifferentiableClassifier, LogitLoss, RgbImage } from '../../types.js';

/** Runs of one image, as the model sees them. */
export interface AttackedRuns {
  /** float32 [classes] each, before any softmax. */
  readonly scores: readonly Float32Array[];
  /** Of each run's loss with respect to the pixels: float32 [3, height, width]. */
  readonly gradients: readonly Float32Array[];
}

/** Images in one call of the model. */
const BATCH = 8;

/** What was asked of the network, in images. */
export interface NetworkCalls {
  gradients: number;
  forward: number;
}

/**
 * One model behind one defence. Serves one caller at a time.
 *
 * Every attack ends in an image of 8 bits, so the defence is always carried out on pixels rounded to 8 bits, by the kernel
 * that defends in earnest.
 */
export class DefendedModel {
  readonly settings: DefenceSettings;
  readonly calls: NetworkCalls = { gradients: 0, forward: 0 };
  readonly #classifier: DifferentiableClassifier;
  readonly #defender: Defender;
  readonly #format: TensorFormat;
  readonly #size: number;
  readonly #engines = new Map<string, DefendEngine>();

  /** @param settings the defence; it stands at the model's input, whatever they say */
  constructor(classifier: DifferentiableClassifier, defender: Defender, settings: DefenceSettings) {
    const { width, height } = classifier.preprocessing;
    this.settings = { ...settings, at: 'model' };
    this.#classifier = classifier;
    this.#defender = defender;
    this.#format = tensorFormat(classifier.preprocessing);
    this.#size = 3 * width * height;
  }

  get width(): number {
    return this.#classifier.preprocessing.width;
  }

  get height(): number {
    return this.#classifier.preprocessing.height;
  }

  get classes(): number {
    return this.#classifier.labels.length;
  }

  /** The label that the defence gives an image, by the vote of all of its runs under a seed. @throws DeflectorError INFERENCE_FAILED */
  async defendedLabel(image: RgbImage, seed: string): Promise<number> {
    let engine = this.#engines.get(seed);
    if (engine === undefined) {
      engine = new DefendEngine(
        { classifier: this.#classifier, defender: this.#defender, clock: systemClock },
        { settings: { ...this.settings, seed }, record: {}, maximumBatch: BATCH, maximumWait: 0 },
      );
      this.#engines.set(seed, engine);
    }
    const sha256 = contentHash(image);
    const { verdict, passes } = await engine.defend({
      index: 0,
      key: sha256,
      sha256,
      pixels: image,
      ms: { fetch: 0, decode: 0 },
    });
    this.calls.forward += passes;
    if (verdict.status === 'error') throw new DeflectorError(verdict.error.code, verdict.error.message);
    return verdict.label.index;
  }

  /** Scores of the undefended model. */
  async undefendedScores(image: RgbImage): Promise<Float32Array> {
    const input = new Float32Array(this.#size);
    writeTensor(image, this.#format, input, 0);
    this.calls.forward++;
    return logits(this.#classifier, (await this.#classifier.classify(input, 1, false)).scores);
  }

  /** The activation map of an image; `undefined` where the defence goes by none. */
  async map(image: RgbImage): Promise<ActivationMap | undefined> {
    if (!usesMap(this.settings)) return undefined;
    const input = new Float32Array(this.#size);
    writeTensor(image, this.#format, input, 0);
    this.calls.forward++;
    const { scores, features } = await this.#classifier.classify(input, 1, true);
    return activationMap(this.settings, features!, this.#classifier.head!, scores, image.width, image.height);
  }

  /** Scores of runs of one image. */
  async scores(
    image: RgbImage,
    map: ActivationMap | undefined,
    sources: readonly UniformSource[],
  ): Promise<Float32Array[]> {
    const scores: Float32Array[] = [];
    for (const [input, count] of this.#defended(image, map, sources)) {
      this.calls.forward += count;
      const made = await this.#classifier.classify(input, count, false);
      scores.push(...split(logits(this.#classifier, made.scores), count));
    }
    return scores;
  }

  /** Scores and gradients of runs of one image, the defence counting as no change on the way back. */
  async gradients(
    image: RgbImage,
    map: ActivationMap | undefined,
    sources: readonly UniformSource[],
    loss: LogitLoss,
  ): Promise<AttackedRuns> {
    const scores: Float32Array[] = [];
    const gradients: Float32Array[] = [];
    const area = image.width * image.height;
    for (const [input, count] of this.#defended(image, map, sources)) {
      this.calls.gradients += count;
      const made = await this.#classifier.gradient(input, Array<LogitLoss>(count).fill(loss));
      scores.push(...split(made.scores, count));
      for (let n = 0; n < count; n++) {
        gradients.push(readGradient(made.gradient, area, this.#format, n * this.#size));
      }
    }
    return { scores, gradients };
  }

  /** Inputs of the model in batches: one defended run for each source. */
  *#defended(
    image: RgbImage,
    map: ActivationMap | undefined,
    sources: readonly UniformSource[],
  ): Generator<readonly [Float32Array, number]> {
    const prepared = this.#defender.prepare(image, map, this.settings);
    try {
      for (let start = 0; start < sources.length; start += BATCH) {
        const part = sources.slice(start, start + BATCH);
        const input = new Float32Array(part.length * this.#size);
        for (const [n, source] of part.entries()) prepared.run(source, input, n * this.#size, this.#format);
        yield [input, part.length];
      }
    } finally {
      prepared.release();
    }
  }

  /** Whether two runs of the defence differ. */
  isRandom(image: RgbImage): boolean {
    const prepared = this.#defender.prepare(image, undefined, this.settings);
    prepared.release();
    return prepared.isRandom;
  }
}

/** SHA-256 of the pixels, by which the draws of a verdict are fixed. */
export function contentHash(image: RgbImage): string {
  return createHash('sha256').update(image.data).digest('hex');
}

/** Scores before the softmax, or what stands for them where the network ends in one. */
function logits({ outputs }: DifferentiableClassifier, scores: Float32Array): Float32Array {
  return outputs === 'logits' ? scores : scores.map(p => Math.log(Math.max(p, 1e-30)));
}

function split(values: Float32Array, parts: number): Float32Array[] {
  const size = values.length / parts;
  return Array.from({ length: parts }, (_, n) => values.slice(n * size, (n + 1) * size));
}
