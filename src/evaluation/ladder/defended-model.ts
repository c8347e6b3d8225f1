/** The defended model as its attacker carries it out: runs with draws of its own, gradients through them, whole verdicts. */
import { createHash } from 'node:crypto';
import { comparatorSteps } from '../../comparators/order.js';
import type { Defender, TensorFormat, UniformSource } from '../../defense/defender.js';
import { type TracedMap, traceMap } from '../../defense/gradient/activation-map.js';
import { doubles, singles, traceRun } from '../../defense/gradient/defence.js';
import { isRandom, type Step, stepsOf } from '../../defense/order.js';
import { planesOf } from '../../defense/plain/plain.js';
import { type DefenceSettings, usesMap } from '../../defense/settings.js';
import { DeflectorError } from '../../errors.js';
import { readGradient, tensorFormat, writePlanes, writeTensor } from '../../images/tensor.js';
import { systemClock } from '../../stages/common.js';
import { DefendEngine } from '../../stages/defend.js';
import type { ActivationMap, DifferentiableClassifier, LogitLoss, RgbImage } from '../../types.js';

/** Runs of one image, as the model sees them. */
export interface AttackedRuns {
  /** float32 [classes] each, before any softmax. */
  readonly scores: readonly Float32Array[];
  /** Of each run's loss with respect to the pixels: float32 [3, height, width]. */
  readonly gradients: readonly Float32Array[];
  /** Mean over runs of the gradient with respect to the map's values; zero where the defence counts as no change. */
  readonly ofMap: Float64Array;
}

/** One defended run as the model reads it, and the way back from there to the image. */
interface Run {
  /** @param gradient float32 [3, height, width], with respect to the run */
  back(gradient: Float32Array): { readonly image: Float32Array; readonly map: Float64Array | undefined };
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
 * Every attack ends in an image of 8 bits, so the defence is always carried out on pixels rounded to 8 bits: by the kernel
 * that defends in earnest, or where its way back is wanted by the differentiable one.
 */
export class DefendedModel {
  readonly settings: DefenceSettings;
  readonly calls: NetworkCalls = { gradients: 0, forward: 0 };
  readonly #classifier: DifferentiableClassifier;
  readonly #defender: Defender;
  readonly #format: TensorFormat;
  readonly #size: number;
  readonly #steps: readonly Step[];
  /** Whether two runs differ. */
  readonly isRandom: boolean;
  readonly #engines = new Map<string, DefendEngine>();

  /** @param settings the defence; it stands at the model's input, whatever they say */
  constructor(classifier: DifferentiableClassifier, defender: Defender, settings: DefenceSettings) {
    const { width, height } = classifier.preprocessing;
    this.settings = { ...settings, at: 'model' };
    this.#steps = stepsOf(this.settings, comparatorSteps());
    this.isRandom = this.#steps.some(step => isRandom(step, this.settings));
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

  /** The activation map of an image, with the way back to its feature maps; `undefined` where the defence goes by none. */
  async map(image: RgbImage): Promise<TracedMap | undefined> {
    if (!usesMap(this.settings)) return undefined;
    const input = new Float32Array(this.#size);
    writeTensor(image, this.#format, input, 0);
    this.calls.forward++;
    const { scores, features } = await this.#classifier.classify(input, 1, true);
    return traceMap(this.settings, features!, this.#classifier.head!, scores, image.width, image.height);
  }

  /** The gradient with respect to the pixels of sum seed_i f_i over the feature maps of the undefended image. */
  async featureGradient(image: RgbImage, seed: Float32Array): Promise<Float32Array> {
    const input = new Float32Array(this.#size);
    writeTensor(image, this.#format, input, 0);
    this.calls.gradients++;
    const { gradient } = await this.#classifier.gradient(input, [{ kind: 'features', seed }]);
    return readGradient(gradient, image.width * image.height, this.#format, 0);
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

  /**
   * Scores and gradients of runs of one image.
   *
   * @param backward `identity`: the defence counts as no change on the way back (BPDA); `exact`: by its transposed Jacobian
   */
  async gradients(
    image: RgbImage,
    map: ActivationMap | undefined,
    sources: readonly UniformSource[],
    loss: LogitLoss,
    backward: 'identity' | 'exact',
  ): Promise<AttackedRuns> {
    const scores: Float32Array[] = [];
    const gradients: Float32Array[] = [];
    const area = image.width * image.height;
    const ofMap = new Float64Array(area);
    const runs = backward === 'exact' ? this.#traced(image, map, sources) : this.#defended(image, map, sources);
    for (const [input, count, traced] of runs) {
      this.calls.gradients += count;
      const made = await this.#classifier.gradient(input, Array<LogitLoss>(count).fill(loss));
      scores.push(...split(made.scores, count));
      for (let n = 0; n < count; n++) {
        const outer = readGradient(made.gradient, area, this.#format, n * this.#size);
        const inner = traced?.at(n)?.back(outer);
        gradients.push(inner?.image ?? outer);
        if (inner?.map !== undefined) for (let p = 0; p < area; p++) ofMap[p]! += inner.map[p]! / sources.length;
      }
    }
    return { scores, gradients, ofMap };
  }

  /** Inputs of the model in batches: one defended run for each source, by the kernel. */
  *#defended(
    image: RgbImage,
    map: ActivationMap | undefined,
    sources: readonly UniformSource[],
  ): Generator<readonly [input: Float32Array, count: number, runs?: readonly Run[]]> {
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

  /** The same in double precision, with the way back. */
  *#traced(
    image: RgbImage,
    map: ActivationMap | undefined,
    sources: readonly UniformSource[],
  ): Generator<readonly [input: Float32Array, count: number, runs: readonly Run[]]> {
    const planes = planesOf(image);
    const area = image.width * image.height;
    for (let start = 0; start < sources.length; start += BATCH) {
      const part = sources.slice(start, start + BATCH);
      const input = new Float32Array(part.length * this.#size);
      const runs = part.map((source, n) => {
        const run = traceRun(planes, map, this.settings, this.#steps, source);
        writePlanes(singles(run.value), area, this.#format, input, n * this.#size);
        return {
          back(gradient: Float32Array) {
            const { image: inner, map: ofMap } = run.back(doubles(gradient, planes));
            return { image: singles(inner), map: ofMap };
          },
        };
      });
      yield [input, part.length, runs];
    }
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
