/** Adding a model to the user's folder of models: whole or not at all. */
import { chmod, copyFile, mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { DeflectorError, invalid } from '../errors.js';
import type { Label, Preprocessing } from '../types.js';
import { checkModel, type ModelCheck } from './check-model.js';
import { readJsonFile, readLimited } from './folder-files.js';
import { readLabelsFile } from './labels.js';
import { digestOf, type ModelRecord, networkOf, RECORD_SCHEMA, readRecord } from './model.js';
import type { NetworkSignature } from './network.js';
import { type NetworkFiles, readNetworkAt, readNetworkFiles, writeNetworkFiles } from './network-files.js';
import { processorConfig } from './preprocessing.js';
import { bundledModels, isFolder, MODEL_NAME, userModels } from './registry.js';

/** What the files of a model leave open and its user says. */
export interface ModelDescription {
  readonly name?: string;
  /** File with the names of the classes. */
  readonly labels?: string;
  readonly mean?: Preprocessing['mean'];
  readonly std?: Preprocessing['std'];
  readonly size?: { readonly width: number; readonly height: number };
  /** Default `crop-then-resize`. */
  readonly fit?: Preprocessing['fit'];
  /** Share of the shorter side that the centre crop keeps. Default 0.875. */
  readonly crop?: number;
  /** Default `bicubic`. */
  readonly interpolation?: Preprocessing['interpolation'];
  /** Default `rgb`. */
  readonly channels?: Preprocessing['channels'];
  readonly recipe?: string;
}

/** What a person is asked for where a terminal is there. */
export type AskedField = 'labels' | 'mean' | 'std' | 'size';

export interface AddOptions {
  readonly description: ModelDescription;
  /** Replace a model of the same name. */
  readonly overwrite?: boolean;
  /** Asks a person for what is missing; without it what is missing is an error. */
  readonly ask?: (fields: readonly AskedField[], network: NetworkSignature) => Promise<ModelDescription>;
  readonly env?: NodeJS.ProcessEnv;
}

export interface AddedModel {
  readonly name: string;
  readonly folder: string;
  readonly sha256: string;
  readonly checks: readonly ModelCheck[];
}

/** Files that go with a model where its folder has them. */
const COMPANIONS = ['README.md', 'LICENSE', 'LICENSE.txt', 'NOTICE'];

const MAX_COMPANION_BYTES = 2 ** 20;

const FLAGS: Readonly<Record<AskedField, string>> = {
  labels: '--labels FILE',
  mean: '--mean R,G,B',
  std: '--std R,G,B',
  size: '--size N',
};

/**
 * Copies a model into the user's folder of models, records its digest and checks it there.
 *
 * @param source a folder in the Hugging Face layout; or a bare network: an .onnx file, or a model.json of TensorFlow.js
 * @throws DeflectorError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_UNSUPPORTED; SETTINGS_INVALID naming all flags that are
 *   missing, or for a name that is taken; RUNTIME_UNAVAILABLE
 */
export async function addModel(source: string, options: AddOptions): Promise<AddedModel> {
  const folder = (await isFolder(source)) ? resolve(source) : undefined;
  const record = folder === undefined ? undefined : await readRecord(folder);
  const name = options.description.name ?? record?.name ?? nameOf(source);
  const target = await freeTarget(name, options);
  const network = folder === undefined ? await bareNetwork(source) : await readNetworkFiles(folder);
  const sha256 = digestOf(network);
  if (record !== undefined && record.sha256 !== sha256) {
    throw new DeflectorError(
      'MODEL_DIGEST_MISMATCH',
      `The network of ${source} is not the one that its folder records`,
    );
  }
  const files = await describe(source, folder, networkOf(network), options);
  const recipe = options.description.recipe ?? record?.recipe;
  // Settings belong to the recipe that the folder came with.
  const settings = recipe === record?.recipe ? record?.settings : undefined;
  const entry: ModelRecord = {
    ...{ schema: RECORD_SCHEMA, name, sha256 },
    ...(recipe === undefined ? {} : { recipe }),
    ...(settings === undefined ? {} : { settings }),
  };

  const root = userModels(options.env);
  try {
    await mkdir(root, { recursive: true });
    const work = await mkdtemp(join(root, '.adding-'));
    try {
      await writeNetworkFiles(work, network);
      await writeFile(join(work, 'config.json'), json(files.config));
      await writeFile(join(work, 'preprocessor_config.json'), json(files.processor));
      await writeFile(join(work, 'deflector.json'), json(entry));
      if (folder !== undefined) await copyCompanions(folder, work);
      const checks = await passing(name, work);
      // A folder made for temporary use is closed to others; a worker under another user must read it.
      await chmod(work, 0o755);
      await moveInto(work, target, options);
      return { name, folder: target, sha256, checks };
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  } catch (error) {
    throw error instanceof DeflectorError ? error : unwritable(root, error);
  }
}

async function passing(name: string, folder: string): Promise<readonly ModelCheck[]> {
  const checks = await checkModel(folder);
  const failure = checks.find(check => check.outcome === 'fail');
  if (failure === undefined) return checks;
  throw new DeflectorError('MODEL_INVALID', `The model ${name} was not added: ${failure.claim}: ${failure.detail}`);
}

function unwritable(root: string, cause: unknown): DeflectorError {
  const full = cause instanceof Error && 'code' in cause && (cause.code === 'ENOSPC' || cause.code === 'EDQUOT');
  const why = cause instanceof Error ? cause.message : String(cause);
  const code = full ? 'STORE_FULL' : 'STORE_UNAVAILABLE';
  return new DeflectorError(code, `The folder of models ${root} cannot be written: ${why}`, { cause });
}

/** Where the model of this name will lie. */
async function freeTarget(name: string, { overwrite, env }: AddOptions): Promise<string> {
  if (!MODEL_NAME.test(name)) {
    throw invalid('--name', 'letters, digits, dots, dashes and underscores, a letter or digit first', name);
  }
  if (await isFolder(join(bundledModels(), name))) throw invalid('--name', 'a name that no bundled model has', name);
  const target = join(userModels(env), name);
  if (!overwrite && (await exists(target))) throw invalid('--name', 'a name that is free, or --overwrite', name);
  return target;
}

/** What a model is called after: its folder, or its file; every model.json is called so, but not their folders. */
function nameOf(source: string): string {
  const path = resolve(source);
  return basename(path) === 'model.json' ? basename(dirname(path)) : basename(path).replace(/\.onnx$/i, '');
}

async function bareNetwork(source: string): Promise<NetworkFiles> {
  const files = await readNetworkAt(source);
  if (files !== undefined) return files;
  throw new DeflectorError('MODEL_NOT_FOUND', `There is no file or folder ${source}`);
}

/** The two descriptions of a model: taken from its folder as they are, made from what the user says otherwise. */
async function describe(
  source: string,
  folder: string | undefined,
  network: NetworkSignature,
  options: AddOptions,
): Promise<{ config: unknown; processor: unknown }> {
  const said = options.description;
  const config = folder === undefined ? undefined : await readJsonFile(join(folder, 'config.json'));
  const processor = folder === undefined ? undefined : await readJsonFile(join(folder, 'preprocessor_config.json'));
  const { width, height } = network.input;
  const missing: AskedField[] = [];
  if (said.labels === undefined && !hasLabels(config)) missing.push('labels');
  if (processor === undefined) {
    if (said.mean === undefined) missing.push('mean');
    if (said.std === undefined) missing.push('std');
    if (said.size === undefined && (width === undefined || height === undefined)) missing.push('size');
  }
  if (missing.length > 0 && options.ask === undefined) throw lacking(source, missing, network);
  const answers = missing.length > 0 ? await options.ask?.(missing, network) : undefined;
  const all: ModelDescription = { ...answers, ...said };
  const { mean, std, labels } = all;
  const size = all.size ?? (width === undefined || height === undefined ? undefined : { width, height });
  const made =
    mean !== undefined && std !== undefined && size !== undefined
      ? processorConfig({
          ...size,
          mean,
          std,
          fit: all.fit ?? 'crop-then-resize',
          crop: all.crop ?? 0.875,
          interpolation: all.interpolation ?? 'bicubic',
          channels: all.channels ?? 'rgb',
        })
      : undefined;
  const named = labels === undefined ? undefined : labelsConfig(await readLabelsFile(labels));
  if ((processor ?? made) === undefined || (named ?? config) === undefined) throw lacking(source, missing, network);
  return { config: named === undefined ? config : { ...object(config), ...named }, processor: processor ?? made };
}

function lacking(source: string, missing: readonly AskedField[], network: NetworkSignature): DeflectorError {
  const classes = network.output.classes === undefined ? '' : `${network.output.classes} `;
  const hints: Readonly<Record<AskedField, string>> = {
    labels: `the names of its ${classes}classes, one a line or as JSON`,
    mean: "of each channel on the [0,1] scale; ImageNet's usual is 0.485,0.456,0.406",
    std: "likewise; ImageNet's usual is 0.229,0.224,0.225",
    size: 'its input size in pixels, N or WIDTHxHEIGHT',
  };
  const flags = missing.map(field => `${FLAGS[field]} (${hints[field]})`).join(', ');
  return new DeflectorError('SETTINGS_INVALID', `${basename(source)} does not say how it is used; add ${flags}`);
}

function hasLabels(config: unknown): boolean {
  return 'id2label' in object(config);
}

function object(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function labelsConfig(labels: readonly Label[]): Record<string, unknown> {
  const ids = labels.map(label => label.id);
  return {
    num_labels: labels.length,
    id2label: Object.fromEntries(labels.map(label => [label.index, label.name])),
    label2id: Object.fromEntries([...labels].reverse().map(label => [label.name, label.index])),
    ...(ids.every(id => id !== '') ? { wordnet_ids: ids } : {}),
  };
}

async function copyCompanions(from: string, to: string): Promise<void> {
  for (const file of COMPANIONS) {
    const bytes = await readLimited(join(from, file), MAX_COMPANION_BYTES);
    if (bytes !== undefined) await copyFile(join(from, file), join(to, file));
  }
}

/** Puts the finished folder in its place by renaming, so that nobody sees half a model. */
async function moveInto(work: string, target: string, { overwrite }: AddOptions): Promise<void> {
  const aside = `${work}-replaced`;
  const replaced = overwrite === true && (await exists(target));
  if (replaced) await rename(target, aside);
  try {
    await rename(work, target);
  } catch (error) {
    if (replaced) await rename(aside, target);
    throw error;
  }
  if (replaced) await rm(aside, { recursive: true, force: true });
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
