/** What can execute a model. A runtime is asked for by its name and never replaced by another in silence. */
import { DeflectorError, invalid } from '../errors.js';
import type { Classifier, DefenceSettings, DifferentiableClassifier, RunClassifier } from '../types.js';
import { isOnnx, type Model } from './model.js';
import { beyondDefenceGraph } from './onnx/defence-graph.js';
import { createOnnxClassifier, type OnnxClassifierOptions, probeProvider } from './onnx-classifier.js';
import { createOnnxDifferentiableClassifier } from './onnx-gradient.js';
import { createOnnxRunClassifier } from './onnx-run-classifier.js';
import {
  ONNX_RUNTIMES,
  type OnnxRuntimeName,
  type RuntimeName,
  TENSORFLOW_RUNTIMES,
  type TensorflowRuntimeName,
} from './runtime-names.js';
import { hasTensorflow } from './tfjs/tensorflow.js';
import { createTensorflowClassifier, probeTensorflow } from './tfjs/tfjs-classifier.js';

export interface RuntimeOptions {
  /** Threads that compute one batch. Default 1. */
  readonly threads?: number;
  /** Which GPU, from 0, where the runtime uses one. Default 0. */
  readonly device?: number;
}

/**
 * Where runs are made: in the model's graph, in single (`on`) or half precision, or by the kernel (`off`). `auto` takes the
 * graph where the runtime gains by it and the settings go into one.
 */
export type GraphMode = 'auto' | 'on' | 'half' | 'off';

export interface Runtime {
  readonly name: RuntimeName;
  /**
   * Finds out by using it whether the runtime works here.
   *
   * @returns its version, for people
   * @throws DeflectorError RUNTIME_UNAVAILABLE with what is missing
   */
  probe(options?: RuntimeOptions): Promise<string>;
  /** @throws DeflectorError RUNTIME_UNAVAILABLE, MODEL_INVALID, MODEL_UNSUPPORTED */
  open(model: Model, options: RuntimeOptions): Promise<Classifier>;
  /** The same with gradients. @throws DeflectorError MODEL_UNSUPPORTED naming the operator that has none */
  openDifferentiable(model: Model, options: RuntimeOptions): Promise<DifferentiableClassifier>;
  /** Whether a defence in the model's graph is faster here than the kernel. */
  readonly prefersGraph: boolean;
  /** With the defence in the model's graph. @throws DeflectorError SETTINGS_INVALID, MODEL_UNSUPPORTED */
  openRuns(
    model: Model,
    options: RuntimeOptions & { readonly settings: DefenceSettings; readonly precision: 'float32' | 'float16' },
  ): Promise<RunClassifier>;
}

function onnxRuntime(name: OnnxRuntimeName): Runtime {
  const provider = name.replace(/^onnxruntime-/, '');
  const full = (options: RuntimeOptions): OnnxClassifierOptions => ({ ...options, provider, runtime: name });
  return {
    name,
    probe: async (options = {}) => `onnxruntime-node ${await probeProvider(full(options))}`,
    open: async (model, options) => {
      if (!isOnnx(model)) throw otherFamily(name, model);
      return createOnnxClassifier(model, full(options));
    },
    openDifferentiable: async (model, options) => {
      if (!isOnnx(model)) throw otherFamily(name, model);
      return createOnnxDifferentiableClassifier(model, full(options));
    },
    prefersGraph: name !== 'onnxruntime-cpu',
    openRuns: async (model, options) => {
      if (!isOnnx(model)) throw otherFamily(name, model);
      return createOnnxRunClassifier(model, { ...options, ...full(options) });
    },
  };
}

function tensorflowRuntime(name: TensorflowRuntimeName): Runtime {
  return {
    name,
    probe: () => probeTensorflow(name),
    open: async (model, { device }) => {
      if (isOnnx(model)) throw otherFamily(name, model);
      return createTensorflowClassifier(model, name, device);
    },
    openDifferentiable: async model => {
      if (isOnnx(model)) throw otherFamily(name, model);
      throw new DeflectorError(
        'MODEL_UNSUPPORTED',
        `The gradients of ${model.identity.name} cannot be had: they are made of ONNX models only; attacks that ask for scores or labels work`,
      );
    },
    prefersGraph: false,
    openRuns: async model => {
      throw invalid('--graph', `auto or off (${model.identity.name} is no ONNX model)`, 'on');
    },
  };
}

function otherFamily(name: RuntimeName, { identity, network }: Model): DeflectorError {
  const family = network.format === 'onnx' ? 'an ONNX' : 'a TensorFlow.js';
  const fitting = network.format === 'onnx' ? ONNX_RUNTIMES : TENSORFLOW_RUNTIMES;
  return invalid('--runtime', `one of auto, ${fitting.join(', ')} (${identity.name} is ${family} model)`, name);
}

/** All runtimes. */
export const RUNTIMES: readonly Runtime[] = [
  ...ONNX_RUNTIMES.map(onnxRuntime),
  ...TENSORFLOW_RUNTIMES.map(tensorflowRuntime),
];

/**
 * A runtime by its name.
 *
 * @throws DeflectorError SETTINGS_INVALID
 */
export function runtimeCalled(name: string): Runtime {
  const found = RUNTIMES.find(runtime => runtime.name === name);
  if (found === undefined) throw invalid('--runtime', ['auto', ...RUNTIMES.map(one => one.name)].join(' or '), name);
  return found;
}

/** Whether a runtime is one of the model's family. */
export function executes(runtime: RuntimeName, model: Model): boolean {
  return (isOnnx(model) ? ONNX_RUNTIMES : TENSORFLOW_RUNTIMES).some(name => name === runtime);
}

/**
 * What `auto` stands for: the CPU, by the runtime of the model's family; of TensorFlow.js the native one where it is
 * installed, since it is several times as fast as the WASM one. Any other name stands for itself.
 *
 * @throws DeflectorError SETTINGS_INVALID
 */
export function runtimeFor(model: Model, name: string): Runtime {
  if (name !== 'auto') return runtimeCalled(name);
  if (isOnnx(model)) return runtimeCalled('onnxruntime-cpu');
  return runtimeCalled(hasTensorflow('tfjs-node') || !hasTensorflow('tfjs-wasm') ? 'tfjs-node' : 'tfjs-wasm');
}

/**
 * Makes a model live.
 *
 * @param runtime name of a runtime, or `auto`
 * @throws DeflectorError SETTINGS_INVALID, also where the runtime is one of the other family; RUNTIME_UNAVAILABLE,
 *   MODEL_INVALID, MODEL_UNSUPPORTED
 */
export async function openClassifier(
  model: Model,
  options: RuntimeOptions & { readonly runtime?: string } = {},
): Promise<Classifier> {
  return runtimeFor(model, options.runtime ?? 'auto').open(model, options);
}

/**
 * Makes a model live with its gradients.
 *
 * @param runtime name of a runtime, or `auto`
 * @throws DeflectorError as {@link openClassifier}; MODEL_UNSUPPORTED naming an operator that has no gradient
 */
export async function openDifferentiable(
  model: Model,
  options: RuntimeOptions & { readonly runtime?: string } = {},
): Promise<DifferentiableClassifier> {
  return runtimeFor(model, options.runtime ?? 'auto').openDifferentiable(model, options);
}

/**
 * Makes a model live with the defence in its graph.
 *
 * @param runtime name of a runtime, or `auto`
 * @returns `undefined` where the kernel is to make the runs
 * @throws DeflectorError as {@link openClassifier}; SETTINGS_INVALID where a graph was asked for and the settings do not go
 *   into one
 */
export async function openRunClassifier(
  model: Model,
  settings: DefenceSettings,
  mode: GraphMode,
  options: RuntimeOptions & { readonly runtime?: string } = {},
): Promise<RunClassifier | undefined> {
  const runtime = runtimeFor(model, options.runtime ?? 'auto');
  const why = beyondDefenceGraph(settings);
  if (mode === 'off' || (mode === 'auto' && (!runtime.prefersGraph || why !== undefined))) return undefined;
  if (why !== undefined) throw invalid('--graph', `settings that go into a graph (${why})`, mode);
  return runtime.openRuns(model, { ...options, settings, precision: mode === 'half' ? 'float16' : 'float32' });
}
