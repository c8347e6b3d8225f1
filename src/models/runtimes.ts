/** What can execute a model. A runtime is asked for by its name and never replaced by another in silence. */
import { invalid } from '../errors.js';
import type { Classifier, DefenceSettings, DifferentiableClassifier, RunClassifier } from '../types.js';
import type { Model } from './model.js';
import { beyondDefenceGraph } from './onnx/defence-graph.js';
import { createOnnxClassifier, probeProvider } from './onnx-classifier.js';
import { createOnnxDifferentiableClassifier } from './onnx-gradient.js';
import { createOnnxRunClassifier } from './onnx-run-classifier.js';

export interface RuntimeOptions {
  /** Threads that compute one batch. Default 1. */
  readonly threads?: number;
}

/**
 * Where runs are made: in the model's graph, in single (`on`) or half precision, or by the kernel (`off`). `auto` takes the
 * graph where the runtime gains by it and the settings go into one.
 */
export type GraphMode = 'auto' | 'on' | 'half' | 'off';

export interface Runtime {
  readonly name: string;
  /**
   * Finds out by using it whether the runtime works here.
   *
   * @returns its version, for people
   * @throws DeflectorError RUNTIME_UNAVAILABLE with what is missing
   */
  probe(): Promise<string>;
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

const CPU = { provider: 'cpu', runtime: 'onnxruntime-cpu' };

const ONNX_RUNTIME_CPU: Runtime = {
  name: CPU.runtime,
  probe: async () => `onnxruntime-node ${await probeProvider(CPU)}`,
  open: (model, options) => createOnnxClassifier(model, { ...options, ...CPU }),
  openDifferentiable: (model, options) => createOnnxDifferentiableClassifier(model, { ...options, ...CPU }),
  prefersGraph: false,
  openRuns: (model, options) => createOnnxRunClassifier(model, { ...options, ...CPU }),
};

/** All runtimes; `auto` stands for the first. */
export const RUNTIMES: readonly Runtime[] = [ONNX_RUNTIME_CPU];

/**
 * A runtime by its name.
 *
 * @throws DeflectorError SETTINGS_INVALID
 */
export function runtimeCalled(name: string): Runtime {
  const found = name === 'auto' ? RUNTIMES[0] : RUNTIMES.find(runtime => runtime.name === name);
  if (found === undefined) {
    throw invalid('--runtime', ['auto', ...RUNTIMES.map(runtime => runtime.name)].join(' or '), name);
  }
  return found;
}

/**
 * Makes a model live.
 *
 * @param runtime name of a runtime, or `auto`
 * @throws DeflectorError SETTINGS_INVALID, RUNTIME_UNAVAILABLE, MODEL_INVALID, MODEL_UNSUPPORTED
 */
export function openClassifier(
  model: Model,
  options: RuntimeOptions & { readonly runtime?: string } = {},
): Promise<Classifier> {
  return runtimeCalled(options.runtime ?? 'auto').open(model, options);
}

/**
 * Makes a model live with its gradients.
 *
 * @param runtime name of a runtime, or `auto`
 * @throws DeflectorError as {@link openClassifier}; MODEL_UNSUPPORTED naming an operator that has no gradient
 */
export function openDifferentiable(
  model: Model,
  options: RuntimeOptions & { readonly runtime?: string } = {},
): Promise<DifferentiableClassifier> {
  return runtimeCalled(options.runtime ?? 'auto').openDifferentiable(model, options);
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
  const runtime = runtimeCalled(options.runtime ?? 'auto');
  const why = beyondDefenceGraph(settings);
  if (mode === 'off' || (mode === 'auto' && (!runtime.prefersGraph || why !== undefined))) return undefined;
  if (why !== undefined) throw invalid('--graph', `settings that go into a graph (${why})`, mode);
  return runtime.openRuns(model, { ...options, settings, precision: mode === 'half' ? 'float16' : 'float32' });
}
