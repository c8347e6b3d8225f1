/** The port DifferentiableClassifier on onnxruntime-node: a session that gives scores and gradients in one pass. */
import type { InferenceSession } from 'onnxruntime-node';
import { DeflectorError } from '../errors.js';
import type { Classifier, ClassifierOutput, DifferentiableClassifier, LogitLoss, ScoredGradient } from '../types.js';
import type { OnnxModel } from './model.js';
import { messageOf } from './network-classifier.js';
import { type Differentiation, differentiate, type GradientNetwork } from './onnx/gradient/differentiate.js';
import { createOnnxClassifier, createSession, type OnnxClassifierOptions } from './onnx-classifier.js';
import { loadOnnxRuntime, type OnnxRuntime } from './onnx-runtime.js';

/**
 * Makes a model live with its gradients.
 *
 * @throws DeflectorError MODEL_UNSUPPORTED where an operator has no gradient (the message names it); else as
 *   {@link createOnnxClassifier}
 */
export async function createOnnxDifferentiableClassifier(
  model: OnnxModel,
  options: OnnxClassifierOptions,
): Promise<DifferentiableClassifier> {
  const runtime = await loadOnnxRuntime();
  const differentiation = differentiate(model.network);
  const classifier = await createOnnxClassifier(model, options);
  try {
    const network = differentiation.finish(await measureShapes(runtime, model, differentiation, options));
    const session = await createSession(runtime, network.bytes, options);
    return new OnnxDifferentiableClassifier(runtime, classifier, model, network, session);
  } catch (error) {
    await classifier.dispose();
    if (error instanceof DeflectorError) throw error;
    throw new DeflectorError(
      'MODEL_UNSUPPORTED',
      `${options.runtime} does not run the gradient of the model ${model.identity.name}: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/** Shapes of the tensors of a network, asked of the runtime: it knows every operator, and how each rounds a size. */
async function measureShapes(
  runtime: OnnxRuntime,
  model: OnnxModel,
  { shapes, batches }: Differentiation,
  options: OnnxClassifierOptions,
): Promise<Map<string, readonly number[]>[]> {
  const session = await createSession(runtime, shapes.bytes, options);
  try {
    const measured: Map<string, readonly number[]>[] = [];
    for (const batch of batches) {
      const dims = imageShape(model, batch);
      const zeros = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
      const results = await session.run({ [model.network.input.name]: new runtime.Tensor('float32', zeros, dims) });
      const shapeOf = (output: string) => Array.from(results[output]!.data as BigInt64Array, Number);
      measured.push(new Map([...shapes.outputs].map(([name, output]) => [name, shapeOf(output)])));
    }
    return measured;
  } finally {
    await session.release();
  }
}

function imageShape({ network, preprocessing: { width, height } }: OnnxModel, count: number): number[] {
  return network.input.layout === 'nchw' ? [count, 3, height, width] : [count, height, width, 3];
}

class OnnxDifferentiableClassifier implements DifferentiableClassifier {
  readonly #runtime: OnnxRuntime;
  readonly #classifier: Classifier;
  readonly #model: OnnxModel;
  readonly #network: GradientNetwork;
  readonly #session: InferenceSession;
  #disposed = false;

  constructor(
    runtime: OnnxRuntime,
    classifier: Classifier,
    model: OnnxModel,
    network: GradientNetwork,
    session: InferenceSession,
  ) {
    this.#runtime = runtime;
    this.#classifier = classifier;
    this.#model = model;
    this.#network = network;
    this.#session = session;
  }

  get model(): Classifier['model'] {
    return this.#classifier.model;
  }

  get runtime(): string {
    return this.#classifier.runtime;
  }

  get preprocessing(): Classifier['preprocessing'] {
    return this.#classifier.preprocessing;
  }

  get labels(): Classifier['labels'] {
    return this.#classifier.labels;
  }

  get head(): Classifier['head'] {
    return this.#classifier.head;
  }

  get headless(): Classifier['headless'] {
    return this.#classifier.headless;
  }

  get outputs(): Classifier['outputs'] {
    return this.#classifier.outputs;
  }

  classify(input: Float32Array, count: number, withFeatures: boolean): Promise<ClassifierOutput> {
    return this.#classifier.classify(input, count, withFeatures);
  }

  async gradient(input: Float32Array, losses: readonly LogitLoss[]): Promise<ScoredGradient> {
    const count = losses.length;
    const image = imageShape(this.#model, 1).reduce((product, dim) => product * dim, 1);
    if (this.#disposed) throw this.#failed('it was disposed of');
    if (count < 1 || input.length !== count * image) {
      throw this.#failed(`${input.length} values are not ${count} images of ${image} values`);
    }
    const fixed = this.#model.network.input.batch;
    try {
      return fixed === undefined || fixed === count
        ? await this.#run(input, losses, count)
        : await this.#runParts(input, losses, fixed);
    } catch (cause) {
      throw this.#failed(messageOf(cause), cause);
    }
  }

  /** A batch by passes of a fixed number of images, the last one filled up. */
  async #runParts(input: Float32Array, losses: readonly LogitLoss[], fixed: number): Promise<ScoredGradient> {
    const image = input.length / losses.length;
    const classes = this.labels.length;
    const scores = new Float32Array(losses.length * classes);
    const gradient = new Float32Array(input.length);
    for (let start = 0; start < losses.length; start += fixed) {
      const part = losses.slice(start, start + fixed);
      const images = new Float32Array(fixed * image);
      images.set(input.subarray(start * image, (start + part.length) * image));
      const made = await this.#run(images, part, fixed);
      scores.set(made.scores.subarray(0, part.length * classes), start * classes);
      gradient.set(made.gradient.subarray(0, part.length * image), start * image);
    }
    return { scores, gradient };
  }

  async #run(images: Float32Array, losses: readonly LogitLoss[], count: number): Promise<ScoredGradient> {
    const { Tensor } = this.#runtime;
    const classes = this.labels.length;
    const seed = new Float32Array(count * classes);
    const truth = new Float32Array(count * classes);
    const crossEntropy = new Float32Array(count);
    const margin = new Float32Array(count);
    const { inputs, scores, gradient } = this.#network;
    const size = inputs.features?.shape.reduce((product, dim) => product * dim, 1) ?? 0;
    const features = new Float32Array(count * size);
    for (const [n, loss] of losses.entries()) {
      if (loss.kind === 'features') {
        if (loss.seed.length !== size) throw new Error(`the network has no feature maps of ${loss.seed.length} values`);
        features.set(loss.seed, n * size);
        continue;
      }
      if (loss.kind === 'linear') {
        seed.set(loss.seed, n * classes);
        continue;
      }
      truth[n * classes + loss.label] = 1;
      (loss.kind === 'cross-entropy' ? crossEntropy : margin)[n] = 1;
    }
    const results = await this.#session.run({
      [this.#model.network.input.name]: new Tensor('float32', images, imageShape(this.#model, count)),
      [inputs.seed]: new Tensor('float32', seed, [count, classes]),
      [inputs.truth]: new Tensor('float32', truth, [count, classes]),
      [inputs.crossEntropy]: new Tensor('float32', crossEntropy, [count, 1]),
      [inputs.margin]: new Tensor('float32', margin, [count, 1]),
      ...(inputs.features === undefined
        ? {}
        : { [inputs.features.name]: new Tensor('float32', features, [count, ...inputs.features.shape]) }),
    });
    return { scores: results[scores]!.data as Float32Array, gradient: results[gradient]!.data as Float32Array };
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await Promise.all([this.#session.release(), this.#classifier.dispose()]);
  }

  #failed(why: string, cause?: unknown): DeflectorError {
    return new DeflectorError('INFERENCE_FAILED', `The gradient of the model ${this.model.name} failed: ${why}`, {
      cause,
    });
  }
}
