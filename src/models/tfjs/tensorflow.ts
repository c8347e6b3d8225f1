/**
 * The one door to TensorFlow.js. Its packages are optional peers: whoever installs them beside Deflector, or names a
 * folder that has them by DEFLECTOR_TENSORFLOW, has the runtimes; nobody else pays for their hundreds of megabytes.
 */
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import util from 'node:util';
import { DeflectorError } from '../../errors.js';
import { messageOf } from '../network-classifier.js';
import type { TensorflowRuntimeName } from '../runtime-names.js';

/** What is used of a tensor. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly dtype: string;
  data(): Promise<Float32Array>;
  dispose(): void;
}

/** A tensor of a model that is described, not computed. */
interface SymbolicTensor {
  readonly name: string;
}

export interface LayersModel {
  readonly inputs: readonly SymbolicTensor[];
  readonly outputs: readonly SymbolicTensor[];
  getLayer(name: string): { readonly output: SymbolicTensor };
  predict(input: Tensor): Tensor | readonly Tensor[];
  dispose(): void;
}

export interface GraphModel {
  execute(inputs: Readonly<Record<string, Tensor>>, outputs: readonly string[]): Tensor | readonly Tensor[];
  dispose(): void;
}

/** Where a model comes from; all of it is in memory. */
export interface ModelHandler {
  load(): Promise<object>;
}

/** What is used of the library, as its packages export it. */
export interface Tensorflow {
  tensor4d(values: Float32Array, shape: readonly [number, number, number, number]): Tensor;
  transpose(tensor: Tensor, order: readonly number[]): Tensor;
  tidy<T>(work: () => T): T;
  memory(): { readonly numTensors: number };
  getBackend(): string;
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  backend(): { readonly isUsingGpuDevice?: boolean; readonly binding?: { readonly TF_Version?: string } };
  loadLayersModel(handler: ModelHandler): Promise<LayersModel>;
  loadGraphModel(handler: ModelHandler): Promise<GraphModel>;
  model(description: { inputs: readonly SymbolicTensor[]; outputs: readonly SymbolicTensor[] }): LayersModel;
}

/** The packages of each runtime, the first one that which makes it what it is. */
export const TENSORFLOW_PACKAGES: Readonly<Record<TensorflowRuntimeName, readonly string[]>> = {
  'tfjs-node': ['@tensorflow/tfjs-node'],
  'tfjs-node-gpu': ['@tensorflow/tfjs-node-gpu'],
  'tfjs-wasm': [
    ...['@tensorflow/tfjs-backend-wasm', '@tensorflow/tfjs-core'],
    ...['@tensorflow/tfjs-layers', '@tensorflow/tfjs-converter'],
  ],
};

/** The folder whose node_modules holds the packages. */
const FOLDER = 'DEFLECTOR_TENSORFLOW';

function packagesFrom(env: NodeJS.ProcessEnv = process.env): NodeJS.Require {
  const folder = env[FOLDER];
  return createRequire(folder ? join(resolve(folder), 'package.json') : import.meta.url);
}

/** Whether all packages of a runtime are installed; they are not loaded. */
export function hasTensorflow(runtime: TensorflowRuntimeName): boolean {
  const { resolve: find } = packagesFrom();
  return TENSORFLOW_PACKAGES[runtime].every(name => {
    try {
      find(`${name}/package.json`);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * Loads TensorFlow.js and its backend, which is the one in use from then on: a thread has one at a time.
 *
 * @throws DeflectorError RUNTIME_UNAVAILABLE where it is absent, broken, or on the CPU although a GPU was asked for
 */
export async function loadTensorflow(runtime: TensorflowRuntimeName): Promise<{ tf: Tensorflow; version: string }> {
  return runtime === 'tfjs-wasm' ? loadWasm() : loadNative(runtime);
}

async function loadNative(runtime: 'tfjs-node' | 'tfjs-node-gpu'): Promise<{ tf: Tensorflow; version: string }> {
  // TensorFlow.js 4.22 calls it; without it the first model fails with a TypeError.
  if (typeof (util as { isNullOrUndefined?: unknown }).isNullOrUndefined !== 'function') {
    throw unavailable(
      runtime,
      `its binding needs util.isNullOrUndefined, which Node.js ${process.versions.node} does not have (removed in 23): ` +
        'use Node.js 20 or 22, or --runtime tfjs-wasm',
    );
  }
  const [name] = TENSORFLOW_PACKAGES[runtime] as readonly [string];
  const tf = load(runtime, name) as Tensorflow;
  // Where the WASM backend was used in this thread before, it is the one in use.
  if (!(await tf.setBackend('tensorflow'))) throw unavailable(runtime, `${name} came up without its backend`);
  if (runtime === 'tfjs-node-gpu' && tf.backend().isUsingGpuDevice !== true) {
    throw unavailable(
      runtime,
      'TensorFlow came up on the CPU: it found no NVIDIA GPU with driver, CUDA and cuDNN of its version',
    );
  }
  const native = tf.backend().binding?.TF_Version;
  return { tf, version: `${versioned(name)}${native === undefined ? '' : `, TensorFlow ${native}`}` };
}

async function loadWasm(): Promise<{ tf: Tensorflow; version: string }> {
  const [backend, core, layers, converter] = TENSORFLOW_PACKAGES['tfjs-wasm'] as readonly [
    string,
    string,
    string,
    string,
  ];
  const loaded = [core, layers, converter].map(name => load('tfjs-wasm', name) as Partial<Tensorflow>);
  const wasm = load('tfjs-wasm', backend) as { setThreadsCount(count: number): void };
  const tf = Object.assign({}, ...loaded) as Tensorflow;
  // One thread of the pool is one thread of the machine.
  wasm.setThreadsCount(1);
  try {
    if (!(await tf.setBackend('wasm'))) throw new Error('the backend wasm did not start');
    await tf.ready();
  } catch (cause) {
    throw unavailable('tfjs-wasm', messageOf(cause), cause);
  }
  return { tf, version: versioned(backend) };
}

function load(runtime: TensorflowRuntimeName, name: string): unknown {
  const required = packagesFrom();
  try {
    required.resolve(name);
  } catch (cause) {
    const folder = process.env[FOLDER];
    const where = folder ? ` in ${folder} (${FOLDER})` : '';
    const all = TENSORFLOW_PACKAGES[runtime].map(peer => `${peer}@4`).join(' ');
    throw unavailable(runtime, `${name} is not installed${where}: npm install ${all}; see docs/runtimes.md`, cause);
  }
  try {
    return required(name);
  } catch (cause) {
    const [line = ''] = messageOf(cause).split('\n');
    throw unavailable(
      runtime,
      `${name} is installed but does not load: ${line.slice(0, 300)}; see docs/runtimes.md`,
      cause,
    );
  }
}

function versioned(name: string): string {
  const { version } = packagesFrom()(`${name}/package.json`) as { readonly version: string };
  return `${name} ${version}`;
}

function unavailable(runtime: TensorflowRuntimeName, why: string, cause?: unknown): DeflectorError {
  return new DeflectorError('RUNTIME_UNAVAILABLE', `${runtime} does not work here: ${why}`, { cause });
}
