/** Pulling a model: from the catalogue through the cache into the folder of models. */
import { link, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DeflectorError, invalid } from '../errors.js';
import { writeFault } from '../storage/faults.js';
import { type AddedModel, addModel } from './add-model.js';
import { type CatalogueEntry, type CatalogueOptions, fileOf, findEntry, readCatalogue } from './catalogue.js';
import { digestOfFile, download, type Patience, safeAddress } from './download.js';
import { readJsonFile } from './folder-files.js';
import { readModel, readRecord } from './model.js';
import { processorConfig } from './preprocessing.js';
import { bundledModels, modelCache, userModels } from './registry.js';

export interface PullOptions extends CatalogueOptions {
  /** Address of a folder that holds the files of the catalogue under their names. */
  readonly mirror?: string;
  /** Take nothing but what the cache holds. */
  readonly offline?: boolean;
  /** Replace a model of the same name. */
  readonly overwrite?: boolean;
  /** Told the bytes that are there. */
  readonly progress?: (bytes: number, of: CatalogueEntry) => void;
  readonly patience?: Patience;
  readonly env?: NodeJS.ProcessEnv;
}

export interface PulledModel extends AddedModel {
  readonly licence: string;
  /** `present`: it had been added before; nothing was done, and nothing checked. */
  readonly from: 'network' | 'cache' | 'present';
}

/**
 * Pulls a model of the catalogue.
 *
 * @throws DeflectorError what {@link readCatalogue}, `download` and `addModel` throw; MODEL_NOT_FOUND for a name that the
 *   catalogue lacks, and with `offline` for a file that the cache lacks; SETTINGS_INVALID for a name that is taken
 */
export async function pullModel(name: string, options: PullOptions = {}): Promise<PulledModel> {
  const { env = process.env } = options;
  const mirror = mirrorOf(options.mirror);
  const entry = findEntry(await readCatalogue(options), name);
  const { licence, sha256 } = entry;
  const folder = join(userModels(env), name);
  const record = await readRecord(folder);
  if (!options.overwrite) {
    if (record?.sha256 === sha256) return { name, folder, sha256, licence, checks: [], from: 'present' };
    // Before the download, not after it.
    if (await exists(folder)) {
      throw new DeflectorError(
        'SETTINGS_INVALID',
        `There is another model called ${name} already; --overwrite replaces it`,
      );
    }
  }
  const cached = join(modelCache(env), `${sha256}.onnx`);
  const from = await provide(entry, cached, mirror, options);
  const added = await addFrom(entry, cached, options);
  return { ...added, licence, from };
}

/** Makes sure that the cache holds the file of a model, whole. */
async function provide(
  entry: CatalogueEntry,
  cached: string,
  mirror: URL | undefined,
  { offline, progress, signal, patience }: PullOptions,
): Promise<'network' | 'cache'> {
  if (await exists(cached)) {
    if ((await digestOfFile(cached)) === entry.sha256) return 'cache';
    await rm(cached, { force: true });
  }
  if (offline) {
    throw new DeflectorError(
      'MODEL_NOT_FOUND',
      `The cache does not hold ${entry.name}, and --offline allows no network`,
    );
  }
  const address = mirror === undefined ? new URL(entry.address) : new URL(fileOf(entry), mirror);
  await download({ address, sha256: entry.sha256, bytes: entry.bytes }, cached, {
    signal,
    progress: progress === undefined ? undefined : bytes => progress(bytes, entry),
    ...(patience === undefined ? {} : { patience }),
  });
  return 'network';
}

/** Adds the file as a folder that says everything about it. */
async function addFrom(entry: CatalogueEntry, cached: string, options: PullOptions): Promise<AddedModel> {
  const { width, height, layout } = entry.input;
  const work = await mkdtemp(join(modelCache(options.env), '.pulling-')).catch(error => {
    throw writeFault(error, modelCache(options.env));
  });
  try {
    await mkdir(join(work, 'onnx'));
    await link(cached, join(work, 'onnx/model.onnx'));
    const processor = processorConfig({ ...entry.preprocessing, width, height });
    await writeFile(join(work, 'preprocessor_config.json'), JSON.stringify(processor));
    await writeFile(join(work, 'config.json'), JSON.stringify(await labelsOf(entry)));
    await writeFile(join(work, 'README.md'), cardOf(entry));
    const model = await readModel(work);
    if (model.network.input.layout !== layout) {
      const message = `The catalogue says that ${entry.name} takes ${layout}, but it takes ${model.network.input.layout}`;
      throw new DeflectorError('MODEL_INVALID', message);
    }
    return await addModel(work, {
      description: { name: entry.name },
      ...(options.overwrite ? { overwrite: true } : {}),
      ...(options.env === undefined ? {} : { env: options.env }),
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function labelsOf({ labels }: CatalogueEntry): Promise<unknown> {
  if (labels !== 'imagenet-1k') return { id2label: Object.fromEntries(labels.map((name, index) => [index, name])) };
  const bundled = (await readJsonFile(join(bundledModels(), 'efficientnet-lite0', 'config.json'))) as object;
  const wanted = ['num_labels', 'id2label', 'label2id', 'wordnet_ids'];
  return Object.fromEntries(Object.entries(bundled).filter(([key]) => wanted.includes(key)));
}

function cardOf({ name, address, sha256, licence, card }: CatalogueEntry): string {
  return `# ${name}\n\n${card.trim()}\n\nFrom ${address}\n\nSHA-256 ${sha256}\n\nLicence: ${licence}\n`;
}

function mirrorOf(mirror: string | undefined): URL | undefined {
  if (mirror === undefined) return undefined;
  const address = safeAddress(mirror.endsWith('/') ? mirror : `${mirror}/`);
  if (address !== undefined) return address;
  throw invalid('--mirror', 'an https address, or http on this machine', mirror);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
