/** The port Classifier on onnxruntime-node. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { DeflectorError } from '../errors.js';
import type { Classifier, ClassifierOutput, Device, FeatureMaps, Preprocessing } from '../types.js';
import { runFixedBatches } from './batches.js';
import { judgeProfile, queryNvidiaGpu } from './gpu.js';
import type { OnnxModel } from './model.js';
import type { ElementType } from './network.js';
import { makeClassifier, messageOf, type NetworkRunner } from './network-classifier.js';
import { floatsToHalves, halvesToFloats } from './onnx/half.js';
import type { OnnxNetwork } from './onnx/network.js';
import { probeNetwork } from './onnx/probe-network.js';
import { loadOnnxRuntime, type OnnxRuntime } from './onnx-runtime.js';

export interface OnnxClassifierOptions {
  /** Threads that compute one batch. Default 1: many images at once keep all cores busy better than one image can. */
  readonly threads?: number;
  /** ONNX Runtime's name of what executes the network: `cpu`, `cuda`, `tensorrt`, `webgpu`. */
  readonly provider: string;
  /** Which GPU, from 0. Default 0. */
  readonly device?: number;
  /** The name that the classifier reports. */
  readonly runtime: string;
}

/**
 * Makes a model live. One batch of zeros is run to learn what the graph does not say and to fail early.
 *
 * @throws DeflectorError RUNTIME_UNAVAILABLE; MODEL_INVALID or MODEL_UNSUPPORTED where the runtime refuses the network
 */
export async function createOnnxClassifier(model: OnnxModel, options: OnnxClassifierOptions): Promise<Classifier> {
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
  const runner = new SessionRunner(runtime, session, model.network, model.preprocessing);
  const device = options.provider === 'cpu' ? undefined : await proveDevice(runtime, model, options);
  return makeClassifier(model, options.runtime, runner, device);
}

/**
 * Runs one image under ONNX Runtime's profiler: what was asked of a GPU goes to the CPU in silence where the GPU cannot
 * do it, and only the profile tells.
 *
 * @throws DeflectorError RUNTIME_UNAVAILABLE where the work of the network was not done on the device
 */
async function proveDevice(runtime: OnnxRuntime, model: OnnxModel, options: OnnxClassifierOptions): Promise<Device> {
  const { network, preprocessing } = model;
  const folder = await mkdtemp(join(tmpdir(), 'deflector-profile-'));
  try {
    const profile = { enableProfiling: true, profileFilePrefix: join(folder, 'profile') };
    const session = await createSession(runtime, network.session, options, profile);
    const runner = new SessionRunner(runtime, session, network, preprocessing);
    const image = new Float32Array(3 * preprocessing.width * preprocessing.height);
    await runner.run(image, 1, false);
    session.endProfiling();
    const started = performance.now();
    await runner.run(image, 1, false);
    const ms = performance.now() - started;
    await runner.release();
    const [file] = await readdir(folder);
    const events: unknown = file === undefined ? [] : JSON.parse(await readFile(join(folder, file), 'utf8'));
    const operators = judgeProfile(events, options.provider, options.runtime);
    const index = options.device ?? 0;
    const gpu = options.provider === 'webgpu' ? undefined : await queryNvidiaGpu(index);
    return { index, name: gpu?.name, memory: gpu?.memory, driver: gpu?.driver, operators, ms };
  } catch (cause) {
    if (cause instanceof DeflectorError) throw cause;
    throw new DeflectorError(
      'RUNTIME_UNAVAILABLE',
      `${options.runtime} does not run the network: ${messageOf(cause)}`,
      {
        cause,
      },
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Runs the smallest network on a provider: a list of providers says what was compiled, not what works here.
 *
 * @returns the version of ONNX Runtime
 * @throws DeflectorError RUNTIME_UNAVAILABLE
 */
export async function probeProvider(
  options: Pick<OnnxClassifierOptions, 'provider' | 'runtime' | 'device'>,
): Promise<string> {
  const runtime = await loadOnnxRuntime();
  try {
    // Without this an operator that the provider cannot run goes to the CPU in silence.
    const strict = options.provider === 'cpu' ? {} : { disable_cpu_ep_fallback: '1' };
    const session = await createSession(runtime, probeNetwork(), options, {}, strict);
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

/**
 * A session as this project runs them.
 *
 * @param special options of this session alone
 * @param configuration entries of ONNX Runtime's session configuration, by their names there
 */
export function createSession(
  runtime: OnnxRuntime,
  network: Uint8Array,
  options: Pick<OnnxClassifierOptions, 'threads' | 'provider' | 'device'>,
  special: InferenceSession.SessionOptions = {},
  configuration: Readonly<Record<string, string>> = {},
): Promise<InferenceSession> {
  return runtime.InferenceSession.create(network, {
    executionProviders: providers(options),
    intraOpNumThreads: options.threads ?? 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    // Errors come as exceptions; ONNX Runtime would write them to standard error as well.
    logSeverityLevel: 4,
    // Threads that wait by spinning take the cores that decoding and the defence need.
    extra: { session: { intra_op: { allow_spinning: '0' }, ...configuration } },
    ...special,
  });
}

function providers({
  provider,
  device: deviceId = 0,
}: Pick<OnnxClassifierOptions, 'provider' | 'device'>): InferenceSession.ExecutionProviderConfig[] {
  switch (provider) {
    case 'cuda':
      return [{ name: 'cuda', deviceId }];
    case 'tensorrt':
      // What TensorRT cannot run goes to CUDA, never to the CPU.
      return [
        { name: 'tensorrt', deviceId },
        { name: 'cuda', deviceId },
      ];
    case 'webgpu':
      // Its default layout gives wrong results for transposed convolutions in groups, which gradients consist of.
      return [{ name: 'webgpu', preferredLayout: 'NCHW' }];
    default:
      return [provider];
  }
}

/** Runs a session whatever its element types and its batch size are. */
class SessionRunner implements NetworkRunner {
  readonly #runtime: OnnxRuntime;
  readonly #session: InferenceSession;
  // Not the whole network: its bytes are the session's by now, and need not be kept a second time.
  readonly #signature: Pick<OnnxNetwork, 'input' | 'output'>;
  readonly #features: string | undefined;
  readonly #shape: readonly [number, number, number];

  constructor(runtime: OnnxRuntime, session: InferenceSession, network: OnnxNetwork, { width, height }: Preprocessing) {
    this.#runtime = runtime;
    this.#session = session;
    this.#signature = { input: network.input, output: network.output };
    this.#features = network.head?.features;
    this.#shape = network.input.layout === 'nchw' ? [3, height, width] : [height, width, 3];
  }

  async run(input: Float32Array, count: number, withFeatures: boolean): Promise<ClassifierOutput> {
    const features = withFeatures ? this.#features : undefined;
    const batch = this.#signature.input.batch ?? count;
    return runFixedBatches(input, count, batch, images => this.#runBatch(images, batch, features));
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
