/** A TensorFlow.js classifier, read and judged without TensorFlow.js: what it takes, what it gives, where its maps are. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { DeflectorError } from '../../errors.js';
import type { NetworkSignature } from '../network.js';
import { readGraphModel } from './graph-model.js';
import { readLayersModel } from './layers-model.js';
import { Weights, weightSchema } from './weights.js';

/** A TensorFlow.js network. */
export interface TensorflowNetwork extends NetworkSignature {
  readonly format: 'tfjs';
  /** `layers`: layers of Keras by name; `graph`: a graph of TensorFlow's operators. */
  readonly kind: 'layers' | 'graph';
  /** The parsed model.json. */
  readonly json: Readonly<Record<string, unknown>>;
  readonly weights: Weights;
}

/** The files of a TensorFlow.js model: model.json first, then the shards of the weights in the order of its manifest. */
export interface TensorflowFiles {
  readonly json: Uint8Array;
  readonly shards: readonly { readonly path: string; readonly bytes: Uint8Array }[];
}

/** A path of the manifest stays below the folder of its model.json. */
const shardPath = z.string().regex(/^(?!.*(^|\/)\.\.?(\/|$))[\w .()-]+(\/[\w .()-]+)*$/, 'is no path below the model');

const schema = z.looseObject({
  format: z.string().nullish(),
  modelTopology: z.looseObject({}),
  weightsManifest: z.array(z.object({ paths: z.array(shardPath).max(10_000), weights: z.array(weightSchema) })),
});

export type ModelJson = z.infer<typeof schema>;

/**
 * Reads a model.json, and checks what Deflector relies on.
 *
 * @throws DeflectorError MODEL_INVALID
 */
export function parseModelJson(bytes: Uint8Array): ModelJson {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw new DeflectorError('MODEL_INVALID', 'model.json is not JSON', { cause });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new DeflectorError(
    'MODEL_INVALID',
    `model.json is not that of a TensorFlow.js model: ${issue?.path.join('.')}: ${issue?.message}`,
  );
}

/** Paths of the shards, in the order in which their bytes follow one another. */
export function shardPaths({ weightsManifest }: ModelJson): string[] {
  return weightsManifest.flatMap(group => group.paths);
}

/**
 * SHA-256 of a model of several files: of the list of the SHA-256 of each, one `digest  path` a line, as
 * `sha256sum model.json group1-shard1of2 ... | sha256sum` gives it.
 */
export function tensorflowDigest({ json, shards }: TensorflowFiles): string {
  const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');
  const lines = [{ path: 'model.json', bytes: json }, ...shards].map(
    ({ path, bytes }) => `${sha256(bytes)}  ${path}\n`,
  );
  return sha256(lines.join(''));
}

/**
 * Reads a network.
 *
 * @throws DeflectorError MODEL_INVALID for what is no TensorFlow.js model, MODEL_UNSUPPORTED for one that classifies no images
 */
export function readTensorflowNetwork({ json: bytes, shards }: TensorflowFiles): TensorflowNetwork {
  const json = parseModelJson(bytes);
  const weights = new Weights(
    json.weightsManifest.flatMap(group => group.weights),
    Buffer.concat(shards.map(shard => shard.bytes)),
  );
  const graph = json.format === 'graph-model' || 'node' in json.modelTopology;
  const signature = graph ? readGraphModel(json, weights) : readLayersModel(json.modelTopology, weights);
  return { format: 'tfjs', kind: graph ? 'graph' : 'layers', json, weights, ...signature };
}
