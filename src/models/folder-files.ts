/** Reading the files of a model's folder within limits. */
import { open, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DeflectorError } from '../errors.js';
import { withWeightsInside } from './onnx/external-data.js';
import { ONNX_LIMITS } from './onnx/graph.js';

/** Limit on each JSON file of a folder; the labels of ImageNet-21k take 2 MB. */
export const MAX_JSON_BYTES = 16 * 2 ** 20;

/**
 * A JSON file.
 *
 * @returns `undefined` where there is no such file
 * @throws DeflectorError MODEL_INVALID
 */
export async function readJsonFile(path: string): Promise<unknown> {
  const bytes = await readLimited(path, MAX_JSON_BYTES);
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new DeflectorError('MODEL_INVALID', `${path} is not JSON`, { cause });
  }
}

/**
 * A network, with the weights that lie in files beside it brought in.
 *
 * @returns `undefined` where there is no such file
 * @throws DeflectorError MODEL_INVALID
 */
export async function readNetworkFile(path: string): Promise<Uint8Array | undefined> {
  const bytes = await readLimited(path, ONNX_LIMITS.maxBytes);
  if (bytes === undefined) return undefined;
  return withWeightsInside(bytes, (location, offset, length) =>
    readRange(join(dirname(path), location), offset, length),
  );
}

/**
 * A regular file of at most `maxBytes`.
 *
 * @returns `undefined` where there is none
 * @throws DeflectorError MODEL_INVALID
 */
export async function readLimited(path: string, maxBytes: number): Promise<Buffer | undefined> {
  try {
    const found = await stat(path);
    if (!found.isFile()) throw new DeflectorError('MODEL_INVALID', `${path} is no file`);
    if (found.size > maxBytes) {
      throw new DeflectorError('MODEL_INVALID', `${path} has ${found.size} bytes, over the limit of ${maxBytes}`);
    }
    return await readFile(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw unreadable(path, error);
  }
}

async function readRange(path: string, offset: number, length: number | undefined): Promise<Uint8Array> {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      const wanted = length ?? size - offset;
      if (wanted < 0 || offset + wanted > size || wanted > ONNX_LIMITS.maxBytes) {
        throw new DeflectorError('MODEL_INVALID', `${path} has ${size} bytes and ends before the weights do`);
      }
      const bytes = new Uint8Array(wanted);
      for (let at = 0; at < wanted; ) {
        const { bytesRead } = await file.read(bytes, at, wanted - at, offset + at);
        if (bytesRead === 0) throw new DeflectorError('MODEL_INVALID', `${path} became shorter while it was read`);
        at += bytesRead;
      }
      return bytes;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isAbsent(error))
      throw new DeflectorError('MODEL_INVALID', `The network's weights lie in ${path}, which is absent`);
    throw unreadable(path, error);
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

function unreadable(path: string, error: unknown): DeflectorError {
  if (error instanceof DeflectorError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new DeflectorError('MODEL_INVALID', `${path} cannot be read: ${why}`, { cause: error });
}
