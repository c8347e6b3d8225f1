/** The catalogue of models that can be pulled: who they are, where they lie, and a signature that says who says so. */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { DeflectorError, invalid } from '../errors.js';
import { suggest } from '../suggest.js';
import { CATALOGUE_KEY } from './catalogue-key.js';
import { fetchSmall, safeAddress } from './download.js';
import { bundledModels, MODEL_NAME } from './registry.js';

const CATALOGUE_SCHEMA = 'deflector/catalogue@1';

/** Limit on a catalogue; an entry takes a kilobyte. */
const MAX_CATALOGUE_BYTES = 4 * 2 ** 20;

const side = z.int().min(1).max(16_384);
const perChannel = z.tuple([z.number(), z.number(), z.number()]);

const entrySchema = z.strictObject({
  name: z.string().regex(MODEL_NAME),
  /** One line for a list. */
  summary: z.string().min(1).max(120),
  /** Of one ONNX file with all its weights inside. */
  address: z.url().refine(text => safeAddress(text) !== undefined, 'https, or http on this machine'),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  bytes: z
    .int()
    .min(1)
    .max(2 ** 31),
  /** SPDX expression. */
  licence: z.string().min(1).max(200),
  /** Markdown: what the model is, where it comes from, how accurate its makers found it. */
  card: z.string().min(1).max(20_000),
  input: z.strictObject({ width: side, height: side, layout: z.enum(['nchw', 'nhwc']) }),
  preprocessing: z.strictObject({
    fit: z.enum(['crop-then-resize', 'resize-then-crop', 'stretch']),
    /** Share of the shorter side that the centre crop keeps. */
    crop: z.number().gt(0).lte(1),
    interpolation: z.enum(['nearest', 'bilinear', 'bicubic', 'lanczos']),
    /** On the [0,1] scale; red, green, blue. */
    mean: perChannel,
    std: perChannel,
    channels: z.enum(['rgb', 'bgr']),
  }),
  /** Names of the classes by index; `imagenet-1k`: those of the bundled model. */
  labels: z.union([z.literal('imagenet-1k'), z.array(z.string()).min(2)]),
});

const catalogueSchema = z.strictObject({ schema: z.literal(CATALOGUE_SCHEMA), models: z.array(entrySchema) });

/** A model that can be pulled. */
export type CatalogueEntry = z.infer<typeof entrySchema>;

export interface CatalogueOptions {
  /** A file, or an https address; the signature lies beside it, with `.sig` behind its name. Default: the package's own. */
  readonly catalogue?: string;
  /** File with the public key (PEM, Ed25519) of who signed it. Default: the project's key. */
  readonly key?: string;
  readonly signal?: AbortSignal;
}

/**
 * Reads a catalogue whose signature is good; of any other no field is looked at.
 *
 * @throws DeflectorError CATALOGUE_INVALID; SETTINGS_INVALID for a key that is none; DOWNLOAD_FAILED
 */
export async function readCatalogue(options: CatalogueOptions = {}): Promise<readonly CatalogueEntry[]> {
  const place = options.catalogue ?? join(bundledModels(), 'catalogue.json');
  const [bytes, signature, key] = await Promise.all([
    readPlace(place, options.signal),
    readPlace(`${place}.sig`, options.signal),
    publicKey(options.key),
  ]);
  // RFC 8032; the signature is over the bytes of the file, so that nothing has to be parsed before it is trusted.
  if (!verify(null, bytes, key, Buffer.from(signature.toString('latin1').trim(), 'base64'))) {
    const whose = options.key === undefined ? "the project's key" : `the key ${options.key}`;
    throw invalidCatalogue(place, `its signature is not one by ${whose}`);
  }
  return parseCatalogue(bytes, place);
}

/**
 * The entries of a catalogue, whoever it is from.
 *
 * @param place what it is called in messages
 * @throws DeflectorError CATALOGUE_INVALID
 */
export function parseCatalogue(bytes: Uint8Array, place: string): readonly CatalogueEntry[] {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw invalidCatalogue(place, 'it is not JSON', cause);
  }
  const parsed = catalogueSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalidCatalogue(place, `${issue?.path.join('.') || 'the file'}: ${issue?.message}`);
  }
  const { models } = parsed.data;
  for (const what of [models.map(entry => entry.name), models.map(fileOf)]) {
    const twice = what.find((name, i) => what.indexOf(name) !== i);
    if (twice !== undefined) throw invalidCatalogue(place, `two models have the name or the file ${twice}`);
  }
  return models;
}

/** What the file of a model is called; a mirror holds it under this name. */
export function fileOf(entry: Pick<CatalogueEntry, 'address'>): string {
  return new URL(entry.address).pathname.split('/').at(-1) ?? '';
}

/** @throws DeflectorError MODEL_NOT_FOUND naming what there is */
export function findEntry(entries: readonly CatalogueEntry[], name: string): CatalogueEntry {
  const found = entries.find(entry => entry.name === name);
  if (found !== undefined) return found;
  const names = entries.map(entry => entry.name);
  const meant = suggest(name, names);
  throw new DeflectorError(
    'MODEL_NOT_FOUND',
    `There is no ${JSON.stringify(name)} in the catalogue; ${meant === undefined ? `there are ${names.join(', ')}` : `${meant} is`}`,
  );
}

async function readPlace(place: string, signal: AbortSignal | undefined): Promise<Buffer> {
  if (/^https?:/i.test(place)) {
    const address = safeAddress(place);
    if (address === undefined) throw invalid('--catalogue', 'a file, an https address, or http on this machine', place);
    return fetchSmall(address, MAX_CATALOGUE_BYTES, signal);
  }
  try {
    return await readFile(resolve(place));
  } catch (cause) {
    throw invalidCatalogue(place, `it cannot be read: ${(cause as Error).message}`, cause);
  }
}

async function publicKey(file: string | undefined): Promise<KeyObject> {
  try {
    const key = createPublicKey(file === undefined ? CATALOGUE_KEY : await readFile(file));
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Whatever is wrong with it, it is no such key.
  }
  throw invalid('--catalogue-key', 'a file with an Ed25519 public key in PEM', file);
}

function invalidCatalogue(place: string, why: string, cause?: unknown): DeflectorError {
  return new DeflectorError('CATALOGUE_INVALID', `The catalogue ${place} is not used: ${why}`, { cause });
}
