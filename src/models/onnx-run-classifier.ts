/** The port RunClassifier on onnxruntime-node: a session with the defence in front of the network. */
import type { InferenceSession } from 'onnxruntime-node';
import { DeflectionList, drawDeflections } from '../defense/deflection.js';
import { DeflectionWrites } from '../defense/deflection-writes.js';
import { runRandom } from '../defense/random.js';
import { type DefenceSettings, deflects } from '../defense/settings.js';
import { DeflectorError } from '../errors.js';
import { tensorFormat } from '../images/tensor.js';
import type { DefendedRun, RgbImage, RunClassifier } from '../types.js';
import { concatenated, MemoryLimit } from './batches.js';
import type { OnnxModel } from './model.js';
import { messageOf } from './network-classifier.js';
import { GRAPH_INPUTS, withDefence } from './onnx/defence-graph.js';
import { halvesToFloats } from './onnx/half.js';
import { createSession, type OnnxClassifierOptions } from './onnx-classifier.js';
import { loadOnnxRuntime, type OnnxRuntime } from './onnx-runtime.js';

export interface OnnxRunClassifierOptions extends OnnxClassifierOptions {
  readonly settings: DefenceSettings;
  /** Of the wavelet coefficients. */
  readonly precision: 'float32' | 'float16';
}

/**
 * Makes a model live with the defence in its graph.
 *
 * @throws DeflectorError SETTINGS_INVALID where the settings do not go into a graph, MODEL_UNSUPPORTED where the network
 *   cannot have one in front of it or the runtime refuses it
 */
export async function createOnnxRunClassifier(
  model: OnnxModel,
  options: OnnxRunClassifierOptions,
): Promise<RunClassifier> {
  const { settings, precision } = options;
  const { width, height } = model.preprocessing;
  const format = tensorFormat(model.preprocessing);
  const network = withDefence(model.network, { width, height, settings, format, precision });
  const runtime = await loadOnnxRuntime();
  const session = await createSession(runtime, network, options).catch(cause => {
    throw new DeflectorError(
      'MODEL_UNSUPPORTED',
      `${options.runtime} does not run the model ${model.identity.name} with the defence in its graph: ${messageOf(cause)}`,
      { cause },
    );
  });
  return new OnnxRunClassifier(runtime, session, model, options);
}

class OnnxRunClassifier implements RunClassifier {
  readonly #runtime: OnnxRuntime;
  readonly #session: InferenceSession;
  readonly #settings: DefenceSettings;
  readonly #width: number;
  readonly #height: number;
  readonly #output: OnnxModel['network']['output'];
  readonly #name: string;
  readonly #list = new DeflectionList();
  readonly #writes: DeflectionWrites;
  /** Runs in a call, where the network takes batches of one size only. */
  readonly #fixed: number | undefined;
  readonly #memory: MemoryLimit;
  #disposed = false;

  constructor(
    runtime: OnnxRuntime,
    session: InferenceSession,
    { preprocessing: { width, height }, network, identity }: OnnxModel,
    { settings, runtime: name }: OnnxRunClassifierOptions,
  ) {
    this.#runtime = runtime;
    this.#session = session;
    this.#settings = settings;
    this.#width = width;
    this.#height = height;
    this.#output = network.output;
    this.#name = `${name} failed on the model ${identity.name} with the defence in its graph`;
    this.#writes = new DeflectionWrites(width * height);
    this.#fixed = network.input.batch;
    this.#memory = new MemoryLimit(`${name} with the model ${identity.name} and the defence in its graph`);
  }

  async classifyRuns(runs: readonly DefendedRun[]): Promise<Float32Array> {
    if (this.#disposed) throw new DeflectorError('INFERENCE_FAILED', `${this.#name}: it was disposed of`);
    try {
      const fixed = this.#fixed;
      if (fixed === undefined) {
        return concatenated(
          await this.#memory.split(runs.length, (start, count) => this.#call(runs.slice(start, start + count))),
        );
      }
      const parts: Float32Array[] = [];
      for (let start = 0; start < runs.length; start += fixed) {
        const some = runs.slice(start, start + fixed);
        // Copies of a run fill what is left of the batch; nobody reads their scores.
        const filled = [...some, ...Array<DefendedRun>(fixed - some.length).fill(some[0]!)];
        const scores = await this.#call(filled);
        parts.push(scores.subarray(0, (scores.length / fixed) * some.length));
      }
      return concatenated(parts);
    } catch (cause) {
      throw new DeflectorError('INFERENCE_FAILED', `${this.#name}: ${messageOf(cause)}`, { cause });
    }
  }

  async #call(runs: readonly DefendedRun[]): Promise<Float32Array> {
    const { Tensor } = this.#runtime;
    const images = new Map<RgbImage, number>();
    const imageOfRun = Int32Array.from(runs, ({ image }) => {
      const known = images.get(image) ?? images.size;
      images.set(image, known);
      return known;
    });
    this.#draw(runs);
    const { targets, sources } = this.#writes.list();
    const results = await this.#session.run(
      {
        [GRAPH_INPUTS.images]: new Tensor('uint8', this.#pixels([...images.keys()]), [
          images.size,
          this.#height,
          this.#width,
          3,
        ]),
        [GRAPH_INPUTS.imageOfRun]: new Tensor('int32', imageOfRun, [runs.length]),
        [GRAPH_INPUTS.targets]: new Tensor('int32', targets, [targets.length]),
        [GRAPH_INPUTS.sources]: new Tensor('int32', sources, [sources.length]),
      },
      [this.#output.name],
    );
    const scores = results[this.#output.name]!;
    return this.#output.type === 'float16' ? halvesToFloats(scores.data as Uint16Array) : (scores.data as Float32Array);
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#session.release();
  }

  #draw(runs: readonly DefendedRun[]): void {
    this.#writes.clear();
    const { seed } = this.#settings;
    if (!deflects(this.#settings)) return;
    for (const [i, { map, sha256, run }] of runs.entries()) {
      const random = runRandom(seed, sha256, run);
      this.#writes.add(drawDeflections(this.#width, this.#height, map, this.#settings, random, this.#list), i);
    }
  }

  #pixels(images: readonly RgbImage[]): Uint8Array {
    const length = 3 * this.#width * this.#height;
    if (images.length === 1) return images[0]!.data;
    const pixels = new Uint8Array(images.length * length);
    for (const [i, { data }] of images.entries()) pixels.set(data, i * length);
    return pixels;
  }
}
