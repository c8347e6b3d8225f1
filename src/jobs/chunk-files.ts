/**
 * What a job leaves in its store, chunk by chunk. Names follow from the number of the chunk alone, so that a chunk
 * that is done twice overwrites its own bytes.
 *
 *     chunks/0000/0012.input.json       the images of chunk 12, as the producer listed them
 *     chunks/0000/0012.verdicts.jsonl   their verdicts, one a line, in the same order
 */
import { z } from 'zod';
import { DeflectorError, ERROR_CATALOGUE, type ErrorCode } from '../errors.js';
import { formatVerdict, MAX_VERDICT_BYTES, parseVerdict } from '../sinks/verdict-json.js';
import { isThere } from '../storage/is-there.js';
import type { ConditionalStore, JobItem, ObjectStore, Verdict } from '../types.js';

/** Most chunks of a job: what eight digits name. */
export const MAX_CHUNKS = 100_000_000;

/** Longest key, its JSON escapes and what surrounds it, for each image of the largest chunk. */
const MAX_INPUT_BYTES = 2 * 1024 * 1024;

const itemShape = z.strictObject({
  index: z.int().min(0),
  key: z.string(),
  store: z.int().min(0),
  error: z
    .strictObject({
      code: z.enum(Object.keys(ERROR_CATALOGUE) as [ErrorCode, ...ErrorCode[]]),
      message: z.string(),
      retryable: z.boolean(),
    })
    .optional(),
});
const inputShape = z.array(itemShape).min(1);

/** The images of a chunk as bytes; equal images give equal bytes. */
export function formatChunk(items: readonly JobItem[]): Uint8Array {
  return Buffer.from(JSON.stringify(items.map(({ index, key, store, error }) => ({ index, key, store, error }))));
}

export function writeChunk(store: ObjectStore, chunk: number, bytes: Uint8Array): Promise<void> {
  return store.write(`${nameOf(chunk)}.input.json`, bytes);
}

/** Writes a chunk that is not there yet. @returns false where there is another one of that number */
export function createChunk(store: ConditionalStore, chunk: number, bytes: Uint8Array): Promise<boolean> {
  return store.create(`${nameOf(chunk)}.input.json`, bytes);
}

/** @throws DeflectorError STORE_UNAVAILABLE also where the object is missing: the producer wrote it before it named the chunk */
export async function readChunk(store: ObjectStore, chunk: number): Promise<readonly JobItem[]> {
  const text = await readText(store, `${nameOf(chunk)}.input.json`, MAX_INPUT_BYTES);
  return inputShape.parse(JSON.parse(text)) as JobItem[];
}

export function writeVerdicts(store: ObjectStore, chunk: number, verdicts: readonly Verdict[]): Promise<void> {
  const lines = verdicts.map(verdict => `${formatVerdict(verdict)}\n`);
  return store.write(`${nameOf(chunk)}.verdicts.jsonl`, Buffer.from(lines.join('')));
}

export function hasVerdicts(store: ObjectStore, chunk: number): Promise<boolean> {
  return isThere(store, `${nameOf(chunk)}.verdicts.jsonl`);
}

/** @throws DeflectorError STORE_UNAVAILABLE also where the object is missing; RESULTS_INVALID */
export async function readVerdictsOf(store: ObjectStore, chunk: number): Promise<Verdict[]> {
  const name = `${nameOf(chunk)}.verdicts.jsonl`;
  const text = await readText(store, name, 64 * MAX_VERDICT_BYTES);
  const lines = text.split('\n').slice(0, -1);
  return lines.map((line, place) => parseVerdict(line, `${name}, line ${place + 1},`));
}

async function readText(store: ObjectStore, name: string, maxBytes: number): Promise<string> {
  try {
    return Buffer.from(await store.read(name, maxBytes)).toString('utf8');
  } catch (error) {
    if (!(error instanceof DeflectorError) || error.code !== 'IMAGE_NOT_FOUND') throw error;
    // Not there for this machine, or not yet: no fault of an image.
    const message = `${name} of the job is not in ${store.url}`;
    throw new DeflectorError('STORE_UNAVAILABLE', message, { cause: error });
  }
}

function nameOf(chunk: number): string {
  return `chunks/${chunkName(chunk)}`;
}

/** The names of all that a chunk leaves but its pack. */
export function chunkFiles(chunk: number): string[] {
  return [`${nameOf(chunk)}.input.json`, `${nameOf(chunk)}.verdicts.jsonl`];
}

/** The number of a chunk as a path without an ending: at most 10,000 chunks lie in one folder. */
export function chunkName(chunk: number): string {
  const digits = String(chunk).padStart(8, '0');
  return `${digits.slice(0, 4)}/${digits.slice(4)}`;
}
