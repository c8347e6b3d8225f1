/** A model read from its folder, in the layout that Hugging Face Optimum exports and transformers.js reads. */
import { createHash } from 'node:crypto';
import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import type { Recommendation } from '../config/recipes.js';
import { DeflectorError } from '../errors.js';
import type { Label, ModelIdentity, Preprocessing } from '../types.js';
import { readJsonFile } from './folder-files.js';
import { parseLabels } from './labels.js';
import type { NetworkSignature } from './network.js';
import { type NetworkFiles, readNetworkFiles } from './network-files.js';
import { type OnnxNetwork, readNetwork } from './onnx/network.js';
import { parsePreprocessing } from './preprocessing.js';
import { readTensorflowNetwork, type TensorflowNetwork, tensorflowDigest } from './tfjs/network.js';

/** Everything about a model but its life in a runtime. */
interface ModelOf<N extends NetworkSignature> {
  readonly identity: ModelIdentity;
  /** The folder it was read from. */
  readonly folder: string;
  /** Whether the digest of its network was recorded, and so verified. */
  readonly recorded: boolean;
  readonly preprocessing: Preprocessing;
  readonly labels: readonly Label[];
  /** What the folder recommends. */
  readonly recommendation: Recommendation | undefined;
  readonly network: N;
}

export type OnnxModel = ModelOf<OnnxNetwork>;
export type TensorflowModel = ModelOf<TensorflowNetwork>;

/** A model of either family; `network.format` says which. */
export type Model = OnnxModel | TensorflowModel;

export function isOnnx(model: Model): model is OnnxModel {
  return model.network.format === 'onnx';
}

export const RECORD_SCHEMA = 'deflector/model@1';

const recordSchema = z.object({
  schema: z.literal(RECORD_SCHEMA),
  name: z.string().min(1).max(100),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  recipe: z.string().max(100).optional(),
  settings: z.record(z.string(), z.unknown()).optional(),
});

/** What `deflector.json` records of a model: its name, the digest of its network, a recommended recipe and its settings. */
export type ModelRecord = z.infer<typeof recordSchema>;

/** @throws DeflectorError MODEL_UNSUPPORTED for a model of the other family */
export function requireOnnx(model: Model): OnnxModel {
  if (isOnnx(model)) return model;
  throw new DeflectorError(
    'MODEL_UNSUPPORTED',
    `${model.identity.name} is a TensorFlow.js model; this needs one in ONNX`,
  );
}

/**
 * Reads a model's folder, verifies the digest where one is recorded, and reads its graph.
 *
 * @throws DeflectorError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_UNSUPPORTED, MODEL_DIGEST_MISMATCH
 */
export async function readModel(folder: string): Promise<Model> {
  const [config, processor, record, files] = await Promise.all([
    requiredJson(folder, 'config.json'),
    requiredJson(folder, 'preprocessor_config.json'),
    readRecord(folder),
    readNetworkFiles(folder),
  ]);
  const sha256 = digestOf(files);
  const name = record?.name ?? basename(resolve(folder));
  if (record !== undefined && record.sha256 !== sha256) {
    throw new DeflectorError(
      'MODEL_DIGEST_MISMATCH',
      `The network of the model ${name} has the SHA-256 ${sha256}, but ${record.sha256} is recorded`,
    );
  }
  const network = networkOf(files);
  const preprocessing = parsePreprocessing(processor, network.input.layout);
  const labels = parseLabels(config);
  checkSize(network, preprocessing);
  checkClasses(network.output.classes ?? labels.length, labels);
  const known = {
    identity: Object.freeze({ name, sha256 }),
    folder,
    recorded: record !== undefined,
    preprocessing,
    labels,
    recommendation: record && recommendationOf(record),
  };
  return network.format === 'onnx' ? { ...known, network } : { ...known, network };
}

/**
 * The network of a model's files.
 *
 * @throws DeflectorError MODEL_INVALID, MODEL_UNSUPPORTED
 */
export function networkOf(files: NetworkFiles): Model['network'] {
  return files.format === 'onnx' ? readNetwork(files.bytes) : readTensorflowNetwork(files);
}

/** One SHA-256 that covers a network and all its weights, hexadecimal. */
export function digestOf(files: NetworkFiles): string {
  return files.format === 'onnx' ? createHash('sha256').update(files.bytes).digest('hex') : tensorflowDigest(files);
}

/**
 * The record of a folder.
 *
 * @returns `undefined` where nobody made one
 * @throws DeflectorError MODEL_INVALID
 */
export async function readRecord(folder: string): Promise<ModelRecord | undefined> {
  const json = await readJsonFile(join(folder, 'deflector.json'));
  if (json === undefined) return undefined;
  const parsed = recordSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new DeflectorError('MODEL_INVALID', `deflector.json: ${issue?.path.join('.')}: ${issue?.message}`);
}

/** What a record recommends. */
export function recommendationOf({ recipe, settings }: ModelRecord): Recommendation | undefined {
  return recipe === undefined ? undefined : { recipe, settings };
}

async function requiredJson(folder: string, file: string): Promise<unknown> {
  const json = await readJsonFile(join(folder, file));
  if (json !== undefined) return json;
  throw new DeflectorError('MODEL_NOT_FOUND', `There is no ${file} in the model's folder ${folder}`);
}

function checkSize({ input }: NetworkSignature, { width, height }: Preprocessing): void {
  if ((input.width ?? width) === width && (input.height ?? height) === height) return;
  throw new DeflectorError(
    'MODEL_INVALID',
    `The network takes ${input.width ?? width}x${input.height ?? height} pixels, but preprocessor_config.json makes ${width}x${height}`,
  );
}

/** @throws DeflectorError MODEL_INVALID where a network gives other classes than the labels name */
export function checkClasses(classes: number, labels: readonly Label[]): void {
  if (classes === labels.length) return;
  throw new DeflectorError(
    'MODEL_INVALID',
    `The network gives ${classes} scores, but config.json names ${labels.length} classes`,
  );
}
