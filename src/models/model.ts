/** A model read from its folder, in the layout that Hugging Face Optimum exports and transformers.js reads. */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import { DeflectorError } from '../errors.js';
import type { Label, ModelIdentity, Preprocessing } from '../types.js';
import { parseLabels } from './labels.js';
import { ONNX_LIMITS } from './onnx/graph.js';
import { type Network, readNetwork } from './onnx/network.js';
import { parsePreprocessing } from './preprocessing.js';

/** Everything about a model but its life in a runtime. */
export interface Model {
  readonly identity: ModelIdentity;
  /** The folder it was read from. */
  readonly folder: string;
  readonly preprocessing: Preprocessing;
  readonly labels: readonly Label[];
  /** The recipe that the folder recommends. */
  readonly recipe: string | undefined;
  readonly network: Network;
}

/** Limit on each JSON file of a folder; the labels of ImageNet-21k take 2 MB. */
const MAX_JSON_BYTES = 16 * 2 ** 20;

/** Where the network lies in a folder, first found first taken. */
const NETWORK_PATHS = ['onnx/model.onnx', 'model.onnx'];

const RECORD_SCHEMA = 'deflector/model@1';

const recordSchema = z.object({
  schema: z.literal(RECORD_SCHEMA),
  name: z.string().min(1).max(100),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  recipe: z.string().optional(),
});

/** What `deflector.json` records of a model that was added: its name, the digest of its network, a recommended recipe. */
export type ModelRecord = z.infer<typeof recordSchema>;

/**
 * Reads a model's folder, verifies the digest where one is recorded, and reads its graph.
 *
 * @throws DeflectorError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_UNSUPPORTED, MODEL_DIGEST_MISMATCH
 */
export async function readModel(folder: string): Promise<Model> {
  const [config, processor, record, bytes] = await Promise.all([
    readJson(folder, 'config.json'),
    readJson(folder, 'preprocessor_config.json'),
    readRecord(folder),
    readNetworkFile(folder),
  ]);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const name = record?.name ?? basename(resolve(folder));
  if (record !== undefined && record.sha256 !== sha256) {
    throw new DeflectorError(
      'MODEL_DIGEST_MISMATCH',
      `The network of the model ${name} has the SHA-256 ${sha256}, but ${record.sha256} is recorded`,
    );
  }
  const network = readNetwork(bytes);
  const preprocessing = parsePreprocessing(processor, network.input.layout);
  const labels = parseLabels(config);
  checkAgreement(network, preprocessing, labels);
  return { identity: Object.freeze({ name, sha256 }), folder, preprocessing, labels, recipe: record?.recipe, network };
}

/** The record of a folder, `undefined` where nobody made one. */
export async function readRecord(folder: string): Promise<ModelRecord | undefined> {
  const json = await readJson(folder, 'deflector.json', false);
  if (json === undefined) return undefined;
  const parsed = recordSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new DeflectorError('MODEL_INVALID', `deflector.json: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  return parsed.data;
}

async function readJson(folder: string, file: string, required = true): Promise<unknown> {
  const bytes = await readLimited(join(folder, file), MAX_JSON_BYTES);
  if (bytes === undefined) {
    if (!required) return undefined;
    throw new DeflectorError('MODEL_NOT_FOUND', `There is no ${file} in the model's folder ${folder}`);
  }
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new DeflectorError('MODEL_INVALID', `${file} in ${folder} is not JSON`, { cause });
  }
}

async function readNetworkFile(folder: string): Promise<Buffer> {
  for (const path of NETWORK_PATHS) {
    const bytes = await readLimited(join(folder, path), ONNX_LIMITS.maxBytes);
    if (bytes !== undefined) return bytes;
  }
  throw new DeflectorError(
    'MODEL_NOT_FOUND',
    `There is neither ${NETWORK_PATHS.join(' nor ')} in the model's folder ${folder}`,
  );
}

/** A regular file of at most `maxBytes`; `undefined` where there is none. */
async function readLimited(path: string, maxBytes: number): Promise<Buffer | undefined> {
  try {
    const { size } = await stat(path);
    if (size > maxBytes) {
      throw new DeflectorError('MODEL_INVALID', `${path} has ${size} bytes, over the limit of ${maxBytes}`);
    }
    return await readFile(path);
  } catch (error) {
    if (error instanceof DeflectorError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new DeflectorError('MODEL_INVALID', `${path} cannot be read: ${message}`, { cause: error });
  }
}

function checkAgreement(network: Network, preprocessing: Preprocessing, labels: readonly Label[]): void {
  const { width = preprocessing.width, height = preprocessing.height } = network.input;
  if (width !== preprocessing.width || height !== preprocessing.height) {
    throw new DeflectorError(
      'MODEL_INVALID',
      `The network takes ${width}x${height} pixels, but preprocessor_config.json says ${preprocessing.width}x${preprocessing.height}`,
    );
  }
  checkClasses(network.output.classes ?? labels.length, labels);
}

/** @throws DeflectorError MODEL_INVALID where a network gives other classes than the labels name */
export function checkClasses(classes: number, labels: readonly Label[]): void {
  if (classes === labels.length) return;
  throw new DeflectorError(
    'MODEL_INVALID',
    `The network gives ${classes} scores, but config.json names ${labels.length} classes`,
  );
}
