/** The port Classifier on onnxruntime-node. */
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { DeflectorError } from '../errors.js';
import type { Classifier, ClassifierHead, ClassifierOutput, FeatureMaps, Label, Preprocessing } from '../types.js';
import { checkClasses, type Model } from './model.js';
import type { LocatableHead } from './onnx/classifier-head.js';
import { floatsToHalves, halvesToFloats } from './onnx/half.js';
import type { ElementType, Network } from './onnx/network.js';
import { probeNetwork } from './onnx/probe-network.js';
import { loadOnnxRuntime, type OnnxRuntime } from './onnx-runtime.js';

export interface OnnxClassifierOptions {
  /** Threads that compute one batch. Default 1: many images at once keep all cores busy better than one image can. */
  readonly threads?: number;
  /** ONNX Runtime's name of what executes the network: `cpu`, `cuda`, `webgpu`. */
  readonly provider: string;
  /** The name that the classifier reports. */
  readonly runtime: string;
}

/**
 * Makes a model live. One batch of zeros is run to learn what the graph does not say and to fail early.
 *
 * @throws DeflectorError RUNTIME_UNAVAILABLE; MODEL_INVALID or MODEL_UNSUPPORTED where the runtime refuses the network
 */
export async function createOnnxClassifier(model: Model, options: OnnxClassifierOptions): Promise<Classifier> {
  const runtime = await loadOnnxRuntime();
  const session = await createSession(runtime, model.network.session, options).catch(async cause => {
    // Whose fault it is shows in whether the provider can run anything at all.
    await probeProvider(options);
    throw new DeflectorError(
      'MODEL_INVALID',
      `${options.runtime} refuses the network of the model ${model.identity.name}: ${messageOf(cause)}`,
      { cause },
    );
  });
  try {
    return await probed(runtime, session, model, options.runtime);
  } catch (error) {
    await session.release();
    throw error;
  }
}

/**
 * Runs the smallest network on a provider: a list of providers says what was compiled, not what works here.
 *
 * @returns the version of ONNX Runtime
 * @throws DeflectorError RUNTIME_UNAVAILABLE
 */
export async function probeProvider(options: Pick<OnnxClassifierOptions, 'provider' | 'runtime'>): Promise<string> {
  const runtime = await loadOnnxRuntime();
  try {
    const session = await createSession(runtime, probeNetwork(), options);
    const { y } = await session.run({ x: new runtime.Tensor('float32', Float32Array.of(-1, 0, 1, 2), [4]) });
    await session.release();
    if (y?.data.join() !== '0,0,1,2') throw new Error(`relu of -1, 0, 1, 2 came out as ${y?.data.join(', ')}`);
  } catch (cause) {
    throw new DeflectorError('RUNTIME_UNAVAILABLE', `${options.runtime} does not work here: ${messageOf(cause)}`, {
      cause,
    });
  }
  return runtime.env.versions.node ?? '';
}

/** A session as this project runs them. */
export function createSession(
  runtime: OnnxRuntime,
  network: Uint8Array,
  options: Pick<OnnxClassifierOptions, 'threads' | 'provider'>,
): Promise<InferenceSession> {
  return runtime.InferenceSession.create(network, {
    executionProviders: [options.provider],
    intraOpNumThreads: options.threads ?? 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    // Errors come as exceptions; ONNX Runtime would write them to standard error as well.
    logSeverityLevel: 4,
    // Threads that wait by spinning take the cores that decoding and the defence need.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
}

/** The classifier of a session, its head confirmed on one batch of zeros. */
async function probed(
  runtime: OnnxRuntime,
  session: InferenceSession,
  model: Model,
  name: string,
): Promise<Classifier> {
  const { network, preprocessing } = model;
  const pixels = 3 * preprocessing.width * preprocessing.height;
  const runner = new SessionRunner(runtime, session, network, preprocessing);
  const probe = await runner.run(new Float32Array(pixels), 1, network.head?.features).catch(cause => {
    throw new DeflectorError(
      'MODEL_INVALID',
      `The network of the model ${model.identity.name} does not run: ${messageOf(cause)}`,
      { cause },
    );
  });
  checkClasses(probe.scores.length, model.labels);
  const head = network.head === undefined ? undefined : confirmHead(network.head, probe);
  return new OnnxClassifier(
    model,
    name,
    typeof head === 'string' ? undefined : head,
    typeof head === 'string' ? head : network.headless,
    runner,
  );
}

/** The head, where the feature maps that really come are those that the graph promised; else why not. */
function confirmHead(found: LocatableHead, probe: ClassifierOutput): ClassifierHead | string {
  const maps = probe.features;
  if (maps === undefined) return 'its feature maps are not planar';
  const { linear, window } = found;
  if (window !== undefined && (window[0] !== maps.height || window[1] !== maps.width)) {
    return `its average pooling over ${window[1]}x${window[0]} is not global: the feature maps have ${maps.width}x${maps.height}`;
  }
  if (linear === undefined) {
    return maps.channels === probe.scores.length
      ? { classes: maps.channels, channels: maps.channels, weights: identity(maps.channels) }
      : `its ${maps.channels} feature maps are not its ${probe.scores.length} classes`;
  }
  if (linear.classes !== probe.scores.length || linear.channels !== maps.channels) {
    return `its linear layer reads ${linear.channels} values, but there are ${maps.channels} feature maps`;
  }
  return { classes: linear.classes, channels: linear.channels, weights: linear.weights };
}

function identity(n: number): Float32Array {
  const matrix = new Float32Array(n * n);
  for (let i = 0; i < n; i++) matrix[i * n + i] = 1;
  return matrix;
}

/** Runs a session whatever its element types and its batch size are. */
class SessionRunner {
  readonly #runtime: OnnxRuntime;
  readonly #session: InferenceSession;
  // Not the whole network: its bytes are the session's by now, and need not be kept a second time.
  readonly #signature: Pick<Network, 'input' | 'output'>;
  readonly #shape: readonly [number, number, number];

  constructor(runtime: OnnxRuntime, session: InferenceSession, network: Network, { width, height }: Preprocessing) {
    this.#runtime = runtime;
    this.#session = session;
    this.#signature = { input: network.input, output: network.output };
    this.#shape = network.input.layout === 'nchw' ? [3, height, width] : [height, width, 3];
  }

  /** @param features name of the tensor with the feature maps; `undefined` leaves them out */
  async run(input: Float32Array, count: number, features: string | undefined): Promise<ClassifierOutput> {
    const fixed = this.#signature.input.batch;
    if (fixed === undefined || fixed === count) return this.#runBatch(input, count, features);
    const parts: ClassifierOutput[] = [];
    const image = this.#imageSize;
    for (let start = 0; start < count; start += fixed) {
      const images = Math.min(fixed, count - start);
      const batch = new Float32Array(fixed * image);
      batch.set(input.subarray(start * image, (start + images) * image));
      parts.push(firstImages(await this.#runBatch(batch, fixed, features), images, fixed));
    }
    return joined(parts);
  }

  get #imageSize(): number {
    return this.#shape[0] * this.#shape[1] * this.#shape[2];
  }

  async #runBatch(input: Float32Array, count: number, features: string | undefined): Promise<ClassifierOutput> {
    const { input: taken, output } = this.#signature;
    const { Tensor } = this.#runtime;
    const dims = [count, ...this.#shape];
    const tensor =
      taken.type === 'float16'
        ? new Tensor('float16', floatsToHalves(input), dims)
        : new Tensor('float32', input, dims);
    const wanted = features === undefined ? [output.name] : [output.name, features];
    const results = await this.#session.run({ [taken.name]: tensor }, wanted);
    const scores = values(results[output.name], output.type, output.name);
    return {
      scores,
      features: features === undefined ? undefined : planes(results[features], features),
    };
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}

/** Values of an output as float32. */
function values(tensor: Tensor | undefined, type: ElementType, name: string): Float32Array {
  if (tensor?.type !== type) throw new Error(`the output ${name} is ${tensor?.type ?? 'missing'}, not ${type}`);
  return tensor.type === 'float16' ? halvesToFloats(tensor.data as Uint16Array) : (tensor.data as Float32Array);
}

function planes(tensor: Tensor | undefined, name: string): FeatureMaps | undefined {
  if (tensor?.dims.length !== 4) return undefined;
  const [, channels, height, width] = tensor.dims as [number, number, number, number];
  return { channels, height, width, data: values(tensor, tensor.type === 'float16' ? 'float16' : 'float32', name) };
}

function firstImages(output: ClassifierOutput, images: number, of: number): ClassifierOutput {
  const first = (data: Float32Array): Float32Array => data.subarray(0, (data.length / of) * images);
  const { scores, features } = output;
  return {
    scores: first(scores),
    features: features === undefined ? undefined : { ...features, data: first(features.data) },
  };
}

function joined(parts: readonly ClassifierOutput[]): ClassifierOutput {
  const [head] = parts;
  return {
    scores: concatenated(parts.map(part => part.scores)),
    features:
      head?.features === undefined
        ? undefined
        : { ...head.features, data: concatenated(parts.flatMap(part => part.features?.data ?? [])) },
  };
}

function concatenated(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

class OnnxClassifier implements Classifier {
  readonly model: Classifier['model'];
  readonly runtime: string;
  readonly preprocessing: Preprocessing;
  readonly labels: readonly Label[];
  readonly head: ClassifierHead | undefined;
  readonly headless: string | undefined;
  readonly outputs: Classifier['outputs'];
  readonly #features: string | undefined;
  readonly #runner: SessionRunner;
  #disposed = false;

  constructor(
    model: Model,
    runtime: string,
    head: ClassifierHead | undefined,
    headless: string | undefined,
    runner: SessionRunner,
  ) {
    this.model = model.identity;
    this.runtime = runtime;
    this.preprocessing = model.preprocessing;
    this.labels = model.labels;
    this.head = head;
    this.headless = headless;
    this.outputs = model.network.output.kind;
    this.#features = head === undefined ? undefined : model.network.head?.features;
    this.#runner = runner;
  }

  async classify(input: Float32Array, count: number, withFeatures: boolean): Promise<ClassifierOutput> {
    const { width, height } = this.preprocessing;
    if (this.#disposed) throw this.#failed('it was disposed of');
    if (!Number.isInteger(count) || count < 1 || input.length !== count * 3 * width * height) {
      throw this.#failed(`${input.length} values are not ${count} images of ${width}x${height}`);
    }
    if (withFeatures && this.#features === undefined) throw this.#failed(`there are no feature maps: ${this.headless}`);
    try {
      return await this.#runner.run(input, count, withFeatures ? this.#features : undefined);
    } catch (cause) {
      throw this.#failed(messageOf(cause), cause);
    }
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#runner.release();
  }

  #failed(why: string, cause?: unknown): DeflectorError {
    return new DeflectorError('INFERENCE_FAILED', `${this.runtime} failed on the model ${this.model.name}: ${why}`, {
      cause,
    });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
