/** The port Classifier on TensorFlow.js. */
import { DeflectorError } from '../../errors.js';
import type { Classifier, ClassifierOutput, Device, FeatureMaps } from '../../types.js';
import { runFixedBatches } from '../batches.js';
import { queryNvidiaGpu } from '../gpu.js';
import type { TensorflowModel } from '../model.js';
import { makeClassifier, messageOf, type NetworkRunner } from '../network-classifier.js';
import type { TensorflowRuntimeName } from '../runtime-names.js';
import type { TensorflowNetwork } from './network.js';
import { loadTensorflow, type Tensor, type Tensorflow } from './tensorflow.js';

/**
 * Makes a model live.
 *
 * @param device which GPU, from 0: the one that {@link prepareRuntimes} left visible
 * @throws DeflectorError RUNTIME_UNAVAILABLE; MODEL_INVALID where TensorFlow.js refuses the network
 */
export async function createTensorflowClassifier(
  model: TensorflowModel,
  runtime: TensorflowRuntimeName,
  device = 0,
): Promise<Classifier> {
  const { tf } = await loadTensorflow(runtime);
  const executor = await loadNetwork(tf, model.network).catch(cause => {
    throw new DeflectorError(
      'MODEL_INVALID',
      `${runtime} refuses the network of the model ${model.identity.name}: ${messageOf(cause)}`,
      { cause },
    );
  });
  const onGpu = runtime === 'tfjs-node-gpu';
  const runner = new TensorflowRunner(tf, executor, model, onGpu);
  return makeClassifier(model, runtime, runner, onGpu ? await timeDevice(runner, model, device) : undefined);
}

/** TensorFlow told that it uses a GPU when it was loaded; which one and how fast is found out here. */
async function timeDevice(runner: NetworkRunner, { preprocessing }: TensorflowModel, index: number): Promise<Device> {
  const image = new Float32Array(3 * preprocessing.width * preprocessing.height);
  await runner.run(image, 1, false);
  const started = performance.now();
  await runner.run(image, 1, false);
  const ms = performance.now() - started;
  const gpu = await queryNvidiaGpu(0);
  return { index, name: gpu?.name, memory: gpu?.memory, driver: gpu?.driver, operators: undefined, ms };
}

/**
 * Computes on the runtime, and compares.
 *
 * @returns versions, for people
 * @throws DeflectorError RUNTIME_UNAVAILABLE
 */
export async function probeTensorflow(runtime: TensorflowRuntimeName): Promise<string> {
  const { tf, version } = await loadTensorflow(runtime);
  const tensor = tf.tidy(() => tf.transpose(tf.tensor4d(Float32Array.of(1, 2, 3, 4), [1, 1, 2, 2]), [0, 1, 3, 2]));
  const values = await tensor.data();
  tensor.dispose();
  if (values.join() !== '1,3,2,4') {
    throw new DeflectorError('RUNTIME_UNAVAILABLE', `${runtime} transposed 1,2,3,4 to ${values.join()}`);
  }
  return version;
}

/** A network in TensorFlow.js. */
interface Executor {
  /** Scores, and the feature maps where they are asked for. */
  run(input: Tensor, withFeatures: boolean): readonly Tensor[];
  dispose(): void;
}

async function loadNetwork(tf: Tensorflow, network: TensorflowNetwork): Promise<Executor> {
  const { json, weights, kind, head, input, output } = network;
  const { bytes } = weights;
  const weightData = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const handler = { load: async () => ({ ...json, weightSpecs: weights.specs, weightData }) };
  if (kind === 'graph') {
    const model = await tf.loadGraphModel(handler);
    const scores = [output.name];
    const both = head === undefined ? scores : [output.name, head.features];
    return {
      run: (tensor, withFeatures) => listed(model.execute({ [input.name]: tensor }, withFeatures ? both : scores)),
      dispose: () => model.dispose(),
    };
  }
  const model = await tf.loadLayersModel(handler);
  const { inputs, outputs } = model;
  const wide =
    head === undefined ? model : tf.model({ inputs, outputs: [...outputs, model.getLayer(head.features).output] });
  return {
    run: (tensor, withFeatures) => listed((withFeatures ? wide : model).predict(tensor)),
    dispose: () => model.dispose(),
  };
}

function listed(output: Tensor | readonly Tensor[]): readonly Tensor[] {
  return Array.isArray(output) ? output : [output as Tensor];
}

class TensorflowRunner implements NetworkRunner {
  readonly #tf: Tensorflow;
  readonly #executor: Executor;
  readonly #backend: string;
  readonly #shape: readonly [number, number, number];
  readonly #fixed: number | undefined;
  readonly #wholeBatches: boolean;

  /** @param wholeBatches whether a batch goes to TensorFlow as it is */
  constructor(tf: Tensorflow, executor: Executor, { network, preprocessing }: TensorflowModel, wholeBatches: boolean) {
    const { width, height } = preprocessing;
    this.#tf = tf;
    this.#executor = executor;
    this.#backend = tf.getBackend();
    this.#shape = network.input.layout === 'nchw' ? [3, height, width] : [height, width, 3];
    this.#fixed = network.input.batch;
    this.#wholeBatches = wholeBatches;
  }

  run(input: Float32Array, count: number, withFeatures: boolean): Promise<ClassifierOutput> {
    // On the CPU TensorFlow adds in another order in batches of another size; image by image the scores of an image are
    // the same whatever comes with it, which verdicts that are the same bytes on any machine rest on.
    const batch = this.#fixed ?? (this.#wholeBatches ? count : 1);
    return runFixedBatches(input, count, batch, images => this.#runBatch(images, batch, withFeatures));
  }

  async #runBatch(input: Float32Array, count: number, withFeatures: boolean): Promise<ClassifierOutput> {
    const tf = this.#tf;
    if (tf.getBackend() !== this.#backend) await tf.setBackend(this.#backend);
    const outputs = tf.tidy(() => {
      const [scores, features] = this.#executor.run(tf.tensor4d(input, [count, ...this.#shape]), withFeatures);
      return { scores: scores!, features: features === undefined ? undefined : tf.transpose(features, [0, 3, 1, 2]) };
    });
    const { scores, features } = outputs;
    try {
      return {
        scores: await scores.data(),
        features: features === undefined ? undefined : await planes(features),
      };
    } finally {
      scores.dispose();
      features?.dispose();
    }
  }

  async release(): Promise<void> {
    this.#executor.dispose();
  }
}

async function planes(tensor: Tensor): Promise<FeatureMaps> {
  const [, channels, height, width] = tensor.shape as readonly [number, number, number, number];
  return { channels, height, width, data: await tensor.data() };
}
