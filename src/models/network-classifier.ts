/** The port Classifier around a network that some runtime runs: what all runtimes have in common. */
import { DeflectorError } from '../errors.js';
import type { Classifier, ClassifierHead, ClassifierOutput, Device, Label, Preprocessing } from '../types.js';
import { joined, MemoryLimit } from './batches.js';
import { checkClasses, type Model } from './model.js';
import type { LocatableHead } from './network.js';

/** A network in a runtime. */
export interface NetworkRunner {
  /**
   * Runs a batch of `count` images, normalised, in the layout of the network's input.
   *
   * @param withFeatures also give the feature maps of the network's head, planar
   * @throws what the runtime throws
   */
  run(input: Float32Array, count: number, withFeatures: boolean): Promise<ClassifierOutput>;
  release(): Promise<void>;
}

/**
 * The classifier of a network that was loaded, which it owns from then on. One image of zeros is run to learn what the
 * graph does not say and to fail early.
 *
 * @param runtime the name that the classifier reports
 * @param device what proved to compute it, where that is not the CPU
 * @throws DeflectorError MODEL_INVALID where the network does not run, or its scores are not its labels
 */
export async function makeClassifier(
  model: Model,
  runtime: string,
  runner: NetworkRunner,
  device?: Device,
): Promise<Classifier> {
  try {
    const { network, preprocessing, labels, identity } = model;
    const zeros = new Float32Array(3 * preprocessing.width * preprocessing.height);
    const probe = await runner.run(zeros, 1, network.head !== undefined).catch(cause => {
      throw new DeflectorError(
        'MODEL_INVALID',
        `The network of the model ${identity.name} does not run: ${messageOf(cause)}`,
        { cause },
      );
    });
    checkClasses(probe.scores.length, labels);
    const head = network.head === undefined ? undefined : confirmHead(network.head, probe);
    return typeof head === 'string'
      ? new NetworkClassifier(model, runtime, device, undefined, head, runner)
      : new NetworkClassifier(model, runtime, device, head, network.headless, runner);
  } catch (error) {
    await runner.release();
    throw error;
  }
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

class NetworkClassifier implements Classifier {
  readonly model: Classifier['model'];
  readonly runtime: string;
  readonly device: Device | undefined;
  readonly preprocessing: Preprocessing;
  readonly labels: readonly Label[];
  readonly head: ClassifierHead | undefined;
  readonly headless: string | undefined;
  readonly outputs: Classifier['outputs'];
  readonly #runner: NetworkRunner;
  readonly #memory: MemoryLimit;
  #disposed = false;

  constructor(
    model: Model,
    runtime: string,
    device: Device | undefined,
    head: ClassifierHead | undefined,
    headless: string | undefined,
    runner: NetworkRunner,
  ) {
    this.model = model.identity;
    this.runtime = runtime;
    this.device = device;
    this.preprocessing = model.preprocessing;
    this.labels = model.labels;
    this.head = head;
    this.headless = headless;
    this.outputs = model.network.output.kind;
    this.#runner = runner;
    this.#memory = new MemoryLimit(`${runtime} with the model ${model.identity.name}`);
  }

  async classify(input: Float32Array, count: number, withFeatures: boolean): Promise<ClassifierOutput> {
    const { width, height } = this.preprocessing;
    if (this.#disposed) throw this.#failed('it was disposed of');
    if (!Number.isInteger(count) || count < 1 || input.length !== count * 3 * width * height) {
      throw this.#failed(`${input.length} values are not ${count} images of ${width}x${height}`);
    }
    if (withFeatures && this.head === undefined) throw this.#failed(`there are no feature maps: ${this.headless}`);
    try {
      return await this.#run(input, count, withFeatures);
    } catch (cause) {
      throw this.#failed(messageOf(cause), cause);
    }
  }

  async #run(input: Float32Array, count: number, withFeatures: boolean): Promise<ClassifierOutput> {
    const image = input.length / count;
    const parts = await this.#memory.split(count, (start, images) =>
      this.#runner.run(input.subarray(start * image, (start + images) * image), images, withFeatures),
    );
    return parts.length === 1 ? parts[0]! : joined(parts);
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

/** What an error says, whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
