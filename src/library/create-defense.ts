/** The library's one entry: a defence with its model, for programs. */
import { createHash } from 'node:crypto';
import { comparatorSteps } from '../comparators/order.js';
import { defenceRecord, type ResolvedOptions, resolveOptions } from '../config/settings.js';
import type { SettingValues } from '../config/table.js';
import { activationMap } from '../defense/activation-map.js';
import { type Defender, PLAIN_RGB } from '../defense/defender.js';
import { createKernelDefender } from '../defense/kernel/kernel-defender.js';
import { runRandom } from '../defense/random.js';
import { type DefenceSettings, usesMap } from '../defense/settings.js';
import { DefendPool } from '../engine/defend-pool.js';
import { engineSpecOf } from '../engine/engine-spec.js';
import { invalid } from '../errors.js';
import { decoderFor } from '../images/decoder.js';
import { preprocess } from '../images/preprocess.js';
import { createLocalizer } from '../models/localizer.js';
import { readRecord, recommendationOf } from '../models/model.js';
import { openModel, resolveModel } from '../models/registry.js';
import { openClassifier } from '../models/runtimes.js';
import { Gate } from '../queue/gate.js';
import { systemClock, toVerdictError } from '../stages/common.js';
import { DefendEngine, failedVerdict, toRgbImage } from '../stages/defend.js';
import type { ActivationMap, FetchedImage, Localizer, Preprocessing, RgbImage, Verdict } from '../types.js';
import { type FunctionClassifier, toClassifier } from './function-classifier.js';

type OtherSettings = Pick<
  SettingValues,
  | 'localizer'
  | 'model'
  | 'voters'
  | 'runtime'
  | 'device'
  | 'threads'
  | 'batch'
  | 'maxBytes'
  | 'maxPixels'
  | 'imageTimeout'
>;

/** Settings of the command line by their names there; what is left out has the same default, but for `threads`. */
export interface DefenseOptions extends Partial<DefenceSettings>, Partial<OtherSettings> {
  /** The set of defence settings to begin from. Default: the model's own, else `paper`. */
  readonly recipe?: string;
  /** Worker threads of `defend`, started by its first call. Default 1. */
  readonly threads?: number;
}

/** An image in memory. */
export interface InputImage extends RgbImage {
  /** What stands for the image in the seed of its draws, hexadecimal. Default: a digest of its pixels. */
  readonly sha256?: string;
}

export interface PixelOptions {
  /** Which of the stochastic runs, from 0. Default 0. */
  readonly run?: number;
  /** An activation map of the image's size. Default: as the settings say, from the model's look at the whole image. */
  readonly map?: ActivationMap;
}

/** One defended run of an image. */
export interface DefendedPixels {
  /** float32 [3, height, width], RGB on the [0,1] scale; with `variant: 'modern'` values may lie outside. */
  readonly planes: Float32Array;
  /** The same, rounded to 8 bits. */
  readonly image: RgbImage;
}

/** A defence that is live. `close` it, or declare it with `await using`. */
export interface Defense extends AsyncDisposable {
  /** Resolved settings: they say how to make the same defence again. */
  readonly settings: DefenceSettings;
  /**
   * Reads an image file under the limits: JPEG, PNG, WebP, AVIF, TIFF or GIF, told from its content.
   *
   * @returns pixels at the model's input size (at their own with `at: 'original'`), with the file's SHA-256
   * @throws DeflectorError IMAGE_*
   */
  read(bytes: Uint8Array): Promise<Required<InputImage>>;
  /**
   * The verdict of the model on an image; the work is done in worker threads. A bad image gives a verdict with an error.
   *
   * @param image the bytes of an image file, or pixels of any size
   * @param key names the image in the verdict. Default `image`
   * @throws DeflectorError of the model or its runtime
   */
  defend(image: Uint8Array | InputImage, key?: string): Promise<Verdict>;
  /**
   * Deflects and denoises an image of any size, for whatever comes behind it. Runs in the calling thread.
   *
   * @throws DeflectorError SETTINGS_INVALID; of the model or its runtime, where that makes the activation map
   */
  defendPixels(image: InputImage, options?: PixelOptions): Promise<DefendedPixels>;
  /**
   * The vote of a classifier of the caller's own over the runs of an image. Activation maps come from the model of this
   * defence (none with `map: 'uniform'`). The defence runs in the calling thread; images that are handed over at the same
   * time share batches. A classifier that fails gives a verdict with an error.
   *
   * @param image pixels of any size, or the bytes of an image file
   * @param classifier keep one object for all images
   * @param key names the image in the verdict. Default `image`
   * @throws DeflectorError SETTINGS_INVALID; of the model that makes the activation maps
   */
  vote(image: Uint8Array | InputImage, classifier: FunctionClassifier, key?: string): Promise<Verdict>;
  /** Finishes what is in hand and frees model and threads. Nothing can be called afterwards. */
  close(): Promise<void>;
}

/**
 * Makes a defence.
 *
 * @throws DeflectorError SETTINGS_INVALID; MODEL_NOT_FOUND, MODEL_INVALID, MODEL_UNSUPPORTED, MODEL_DIGEST_MISMATCH
 */
export async function createDefense(options: DefenseOptions = {}): Promise<Defense> {
  const first = resolveOptions({ threads: 1, ...options });
  const record = await readRecord(await resolveModel(first.model));
  // The seed is drawn once.
  const resolved = resolveOptions(
    { threads: 1, ...options, seed: first.defence.seed },
    record && recommendationOf(record),
  );
  const { preprocessing } = await openModel(resolved.model);
  return new LiveDefense(resolved, preprocessing);
}

/** A classifier of the caller's own, made live. */
interface Voter {
  readonly engine: DefendEngine;
  readonly preprocessing: Preprocessing;
}

class LiveDefense implements Defense {
  readonly settings: DefenceSettings;
  readonly #options: ResolvedOptions;
  readonly #preprocessing: Preprocessing;
  readonly #voters = new WeakMap<FunctionClassifier, Promise<Voter>>();
  #pool: Promise<DefendPool> | undefined;
  #defender: Promise<Defender> | undefined;
  #localizer: Promise<Localizer> | undefined;
  #inHand = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  constructor(options: ResolvedOptions, preprocessing: Preprocessing) {
    this.#options = options;
    this.settings = options.defence;
    this.#preprocessing = preprocessing;
  }

  read(bytes: Uint8Array): Promise<Required<InputImage>> {
    return this.#track(() => this.#read(bytes, this.#preprocessing));
  }

  defend(image: Uint8Array | InputImage, key = 'image'): Promise<Verdict> {
    return this.#track(async () => {
      const fetched = await this.#fetch(image, key, this.#preprocessing);
      if (!('pixels' in fetched)) return fetched;
      this.#pool ??= this.#startPool();
      return (await (await this.#pool).defend(fetched)).verdict;
    });
  }

  vote(image: Uint8Array | InputImage, classifier: FunctionClassifier, key = 'image'): Promise<Verdict> {
    return this.#track(async () => {
      const voter = this.#voters.get(classifier) ?? this.#makeVoter(classifier);
      this.#voters.set(classifier, voter);
      const { engine, preprocessing } = await voter;
      const fetched = await this.#fetch(image, key, preprocessing);
      return 'pixels' in fetched ? (await engine.defend(fetched)).verdict : fetched;
    });
  }

  defendPixels(image: InputImage, { run = 0, map }: PixelOptions = {}): Promise<DefendedPixels> {
    return this.#track(async () => {
      checkImage(image);
      if (!Number.isInteger(run) || run < 0) throw invalid('run', 'an integer from 0', run);
      const { width, height } = image;
      const settings = this.#options.defence;
      const prepared = (await this.#kernel()).prepare(image, map ?? (await this.#map(image)), settings);
      try {
        const planes = new Float32Array(3 * width * height);
        prepared.run(runRandom(settings.seed, digestOf(image), run), planes, 0, PLAIN_RGB);
        return { planes, image: toRgbImage(planes, width, height) };
      } finally {
        prepared.release();
      }
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#inHand);
    // What did not start has told its caller so.
    await (await this.#pool?.catch(() => undefined))?.close();
    await (await this.#localizer?.catch(() => undefined))?.dispose();
  }

  async #track<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw invalid('the call', 'an open defense', 'a closed one');
    const result = work();
    this.#inHand.add(result);
    try {
      return await result;
    } finally {
      this.#inHand.delete(result);
    }
  }

  /** An image as the stages take it; one that cannot be read gives its verdict. */
  async #fetch(
    image: Uint8Array | InputImage,
    key: string,
    preprocessing: Preprocessing,
  ): Promise<FetchedImage | Verdict> {
    const started = systemClock.now();
    const ms = () => ({ fetch: 0, decode: systemClock.now() - started });
    if (image instanceof Uint8Array) {
      try {
        const { sha256, ...pixels } = await this.#read(image, preprocessing);
        return { index: 0, key, sha256, pixels, ms: ms() };
      } catch (error) {
        return failedVerdict({ index: 0, key, sha256: sha256Of(image), error: toVerdictError(error), ms: ms() });
      }
    }
    checkImage(image);
    const { width, height, data } = image;
    const own = { width, height, data };
    const pixels = this.settings.at === 'model' ? preprocess(own, preprocessing) : own;
    return { index: 0, key, sha256: digestOf(image), pixels, ms: ms() };
  }

  async #read(bytes: Uint8Array, preprocessing: Preprocessing): Promise<Required<InputImage>> {
    const decode = decoderFor(preprocessing, this.settings.at, this.#options);
    return { ...(await decode(bytes)), sha256: sha256Of(bytes) };
  }

  #startPool(): Promise<DefendPool> {
    return DefendPool.start(engineSpecOf(this.#options), this.#options.threads);
  }

  async #makeVoter(own: FunctionClassifier): Promise<Voter> {
    const classifier = toClassifier(own);
    const localizer = usesMap(this.settings) ? await this.#locator() : undefined;
    const ports = { classifier, localizer, defender: await this.#kernel(), clock: systemClock };
    const { batch } = this.#options;
    const record = defenceRecord(this.#options);
    const options = { settings: this.settings, record, maximumBatch: batch, maximumWait: 0 };
    return { engine: new DefendEngine(ports, options), preprocessing: classifier.preprocessing };
  }

  #kernel(): Promise<Defender> {
    this.#defender ??= createKernelDefender(comparatorSteps());
    return this.#defender;
  }

  #locator(): Promise<Localizer> {
    this.#localizer ??= this.#openLocalizer();
    return this.#localizer;
  }

  async #openLocalizer(): Promise<Localizer> {
    const { model, localizer, runtime, device } = this.#options;
    const classifier = await openClassifier(await openModel(localizer ?? model), { runtime, device });
    try {
      const opened = createLocalizer(classifier);
      // A session serves one caller at a time.
      const gate = new Gate(1);
      return { ...opened, locate: images => gate.run(() => opened.locate(images)) };
    } catch (error) {
      await classifier.dispose();
      throw error;
    }
  }

  async #map(image: RgbImage): Promise<ActivationMap | undefined> {
    if (!usesMap(this.settings)) return undefined;
    const localizer = await this.#locator();
    const { features, scores } = await localizer.locate([image]);
    return activationMap(this.settings, features, localizer.head, scores, image.width, image.height);
  }
}

/** @throws DeflectorError SETTINGS_INVALID */
function checkImage({ width, height, data }: RgbImage): void {
  const whole = [width, height].every(side => Number.isInteger(side) && side > 0);
  if (!whole || !(data instanceof Uint8Array) || data.length !== 3 * width * height) {
    throw invalid('image', `${width} x ${height} RGB pixels as a Uint8Array`, `${data?.length} values`);
  }
}

function digestOf({ width, height, data, sha256 }: InputImage): string {
  if (sha256 === undefined) return createHash('sha256').update(`${width}x${height} RGB\n`).update(data).digest('hex');
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw invalid('sha256', '64 hexadecimal digits', sha256);
  return sha256;
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
