/** The files of a network, of whichever family: where they lie in a model's folder, and how they are written to another. */
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DeflectorError } from '../errors.js';
import { readLimited, readNetworkFile } from './folder-files.js';
import { ONNX_LIMITS } from './onnx/graph.js';
import { parseModelJson, shardPaths, type TensorflowFiles } from './tfjs/network.js';

/** A network as it lies in files. */
export type NetworkFiles =
  | { readonly format: 'onnx'; readonly bytes: Uint8Array }
  | (TensorflowFiles & { readonly format: 'tfjs' });

/** Where the network lies in a folder, first found first taken. */
const ONNX_PATHS = ['onnx/model.onnx', 'model.onnx'];
const TENSORFLOW_PATHS = ['tfjs/model.json', 'model.json'];

/** Limit on a model.json: the largest graphs take a few megabytes. */
const MAX_TOPOLOGY_BYTES = 64 * 2 ** 20;

/**
 * The network of a folder.
 *
 * @throws DeflectorError MODEL_NOT_FOUND, MODEL_INVALID
 */
export async function readNetworkFiles(folder: string): Promise<NetworkFiles> {
  for (const path of [...ONNX_PATHS, ...TENSORFLOW_PATHS]) {
    const files = await readNetworkAt(join(folder, path));
    if (files !== undefined) return files;
  }
  const places = [...ONNX_PATHS, ...TENSORFLOW_PATHS].join(', ');
  throw new DeflectorError('MODEL_NOT_FOUND', `There is none of ${places} in ${folder}`);
}

/**
 * The network of a file: an .onnx file, or the model.json of a TensorFlow.js model beside its weights.
 *
 * @returns `undefined` where there is no such file
 * @throws DeflectorError MODEL_INVALID
 */
export async function readNetworkAt(path: string): Promise<NetworkFiles | undefined> {
  if (!basename(path).endsWith('.json')) {
    const bytes = await readNetworkFile(path);
    return bytes === undefined ? undefined : { format: 'onnx', bytes };
  }
  const json = await readLimited(path, MAX_TOPOLOGY_BYTES);
  if (json === undefined) return undefined;
  const shards: { path: string; bytes: Uint8Array }[] = [];
  let left = ONNX_LIMITS.maxBytes;
  for (const shard of shardPaths(parseModelJson(json))) {
    const bytes = await readLimited(join(dirname(path), shard), left);
    if (bytes === undefined) {
      throw new DeflectorError(
        'MODEL_INVALID',
        `The network's weights lie in ${shard} beside ${path}, which is absent`,
      );
    }
    left -= bytes.length;
    shards.push({ path: shard, bytes });
  }
  return { format: 'tfjs', json, shards };
}

/** Writes a network to where a model's folder has it. */
export async function writeNetworkFiles(folder: string, files: NetworkFiles): Promise<void> {
  const written =
    files.format === 'onnx'
      ? [{ path: 'onnx/model.onnx', bytes: files.bytes }]
      : [{ path: 'model.json', bytes: files.json }, ...files.shards].map(({ path, bytes }) => ({
          path: `tfjs/${path}`,
          bytes,
        }));
  for (const { path, bytes } of written) {
    const target = join(folder, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, bytes);
  }
}
