/**
 * What evaluations have found, by what it follows from: an adversarial image is made once for a model, a clean image, an
 * attack with its parameters and a seed, and defended once for each defence. Every protocol and every later call finds it.
 *
 *     measured/ab/KEY.json   figures and labels of one image under one attack, with the outcomes of all defences so far
 *     images/ab/KEY.png      the attacked image, of the model's input size
 */
import { createHash } from 'node:crypto';
import { printDefence } from '../config/settings.js';
import { type DefenceSettings, PAPER_SETTINGS } from '../defense/settings.js';
import { DeflectorError } from '../errors.js';
import { decodeImage } from '../images/decode.js';
import { encodePng } from '../images/write.js';
import type { ObjectStore, Preprocessing, RgbImage } from '../types.js';
import { VERSION } from '../version.js';
import { MEASUREMENT_SCHEMA, type Measurement } from './measurement.js';

/** Largest file that is read. */
const MAX_BYTES = 16 * 2 ** 20;

/** What the figures of one image under one attack follow from. */
export interface Circumstances {
  /** SHA-256 of the network, and how images become its input. */
  readonly model: string;
  readonly preprocessing: Preprocessing;
  /** What executes the network: figures of one runtime are not those of another. Absent for `onnxruntime-cpu`. */
  readonly runtime?: string | undefined;
  /** Digests of pixels at the model's input: of the clean image, and of the attacked one where it was made elsewhere. */
  readonly clean: string | null;
  readonly given: string | null;
  readonly label: number | null;
  readonly attack: string | null;
  /** As `printParameters` gives them. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly seed: string;
}

/** @returns SHA-256, hexadecimal */
export function keyOfCircumstances(circumstances: Circumstances): string {
  return digest([MEASUREMENT_SCHEMA, circumstances]);
}

/**
 * The name of a defence among the outcomes of an image.
 *
 * @param patches digest of the patches that `quilt` takes, where the order has that step
 */
export function keyOfDefence(settings: DefenceSettings, patches: string | undefined): string {
  // By what differs from the paper's: a setting that a later version adds changes no name.
  const papers = printDefence({ ...PAPER_SETTINGS, seed: settings.seed });
  const own = Object.entries(printDefence(settings)).filter(
    ([name, value]) => name === 'seed' || JSON.stringify(value) !== JSON.stringify(papers[name]),
  );
  return digest([VERSION, own, patches ?? null]).slice(0, 16);
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

export class EvaluationCache {
  readonly #store: ObjectStore;

  /** @param store a folder, or what lies below a prefix of a bucket; shards of an evaluation may share it */
  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /** @throws DeflectorError STORE_* */
  async find(key: string): Promise<Measurement | undefined> {
    const bytes = await this.#read(`measured/${key.slice(0, 2)}/${key}.json`);
    if (bytes === undefined) return undefined;
    try {
      const measurement = JSON.parse(Buffer.from(bytes).toString()) as Measurement;
      return measurement.schema === MEASUREMENT_SCHEMA ? measurement : undefined;
    } catch {
      // Not of this program, or damaged: it is made again.
      return undefined;
    }
  }

  /** @throws DeflectorError STORE_*, IMAGE_* of a damaged file */
  async findImage(key: string): Promise<RgbImage | undefined> {
    const bytes = await this.#read(imageName(key));
    return bytes === undefined ? undefined : decodeImage(bytes);
  }

  /**
   * Keeps what was found; the image first, so that no measurement ever lacks its image.
   *
   * @param image the attacked image, where one was made
   * @throws DeflectorError STORE_*
   */
  async keep(key: string, measurement: Measurement, image: RgbImage | undefined): Promise<void> {
    if (image !== undefined) await this.#store.write(imageName(key), await encodePng(image));
    const bytes = Buffer.from(`${JSON.stringify(measurement)}\n`);
    await this.#store.write(`measured/${key.slice(0, 2)}/${key}.json`, bytes);
  }

  async #read(name: string): Promise<Uint8Array | undefined> {
    try {
      return await this.#store.read(name, MAX_BYTES);
    } catch (error) {
      if (error instanceof DeflectorError && error.code === 'IMAGE_NOT_FOUND') return undefined;
      throw error;
    }
  }
}

function imageName(key: string): string {
  return `images/${key.slice(0, 2)}/${key}.png`;
}
