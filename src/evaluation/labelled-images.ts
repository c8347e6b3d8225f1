/** Images with their true classes, in an order that nobody chose. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type TrueLabels, trueLabels } from '../attacks/true-labels.js';
import { DeflectorError } from '../errors.js';
import { decoderFor } from '../images/decoder.js';
import { systemClock } from '../stages/common.js';
import { fetchImage, isFetched } from '../stages/fetch.js';
import { openInputs } from '../storage/inputs.js';
import { isS3Address } from '../storage/s3-address.js';
import type { S3Connection } from '../storage/s3-connection.js';
import type { JobItem, Label, ObjectStore, Preprocessing, RgbImage } from '../types.js';
import { type Split, splitOf } from './split.js';

export interface LabelledImage {
  readonly key: string;
  /** Of the file. */
  readonly sha256: string;
  readonly split: Split;
  /** At the model's input size. */
  readonly pixels: RgbImage;
  /** The true class; `undefined`: what the model says of the clean image. */
  readonly label: number | undefined;
}

export interface DataOptions {
  /** As `trueLabels` takes it; `undefined`: labels.csv in the folder or beside it, else class folders. */
  readonly labels: string | undefined;
  readonly maxBytes: number;
  readonly maxPixels: number;
  readonly imageTimeout: number;
  readonly s3: S3Connection;
}

/** A folder of labelled images, read lazily. */
export class LabelledImages {
  /** Images that could not be read, or whose class is not known; they count nowhere. */
  unusable = 0;
  readonly #stores: readonly ObjectStore[];
  readonly #items: readonly JobItem[];
  readonly #labels: TrueLabels;
  readonly #options: DataOptions;

  private constructor(
    stores: readonly ObjectStore[],
    items: readonly JobItem[],
    labels: TrueLabels,
    options: DataOptions,
  ) {
    this.#stores = stores;
    this.#items = items;
    this.#labels = labels;
    this.#options = options;
  }

  /**
   * Lists a folder.
   *
   * @param classes of the model
   * @throws DeflectorError INPUT_NOT_FOUND, SETTINGS_INVALID, STORE_*
   */
  static async open(data: string, classes: readonly Label[], options: DataOptions): Promise<LabelledImages> {
    const inputs = await openInputs([data], { s3: options.s3 });
    const labels = await trueLabels(options.labels ?? (await labelsOf(data)), classes);
    const items: JobItem[] = [];
    for await (const item of inputs.items()) items.push(item);
    return new LabelledImages(inputs.stores, items.sort(byHash), labels, options);
  }

  /** Images listed, readable or not. */
  get count(): number {
    return this.#items.length;
  }

  /**
   * All usable images, in the order of their keys' hashes, fitted to a model.
   *
   * @throws DeflectorError STORE_*; LABEL_UNKNOWN where the very first images have no class
   */
  async *read(preprocessing: Preprocessing): AsyncGenerator<LabelledImage, void, undefined> {
    const decode = decoderFor(preprocessing, 'model', this.#options);
    const ports = { stores: this.#stores, decode, clock: systemClock };
    let usable = 0;
    this.unusable = 0;
    for (const item of this.#items) {
      const fetched = await fetchImage(item, ports, this.#options);
      if (!isFetched(fetched)) {
        this.unusable++;
        continue;
      }
      let label: number | undefined;
      try {
        label = this.#labels(item.key);
      } catch (error) {
        // One odd file is passed over; that the first are all odd means that the labels are not where they were looked for.
        if (usable === 0 && this.unusable >= MOST_UNLABELLED) throw error;
        this.unusable++;
        continue;
      }
      usable++;
      const { key, sha256, pixels } = fetched;
      yield { key, sha256, split: splitOf(sha256), pixels, label };
    }
    if (usable === 0) {
      throw new DeflectorError('INPUT_NOT_FOUND', 'There is no image with a class that the model knows');
    }
  }
}

const MOST_UNLABELLED = 10;

/** Lists are in the order of names, and names in that of classes: the first images must not be of the first classes. */
function byHash(a: JobItem, b: JobItem): number {
  const [x, y] = [hashOf(a.key), hashOf(b.key)];
  return x < y ? -1 : x > y ? 1 : 0;
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

async function labelsOf(data: string): Promise<string> {
  if (isS3Address(data)) return 'folder';
  for (const folder of [resolve(data), dirname(resolve(data))]) {
    const table = join(folder, 'labels.csv');
    const found = await stat(table).then(
      stats => stats.isFile(),
      () => false,
    );
    if (found) return table;
  }
  return 'folder';
}
