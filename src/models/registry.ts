/** Where models are: those of the package, those that a user added, and any folder by its path. */
import { readdir, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { DeflectorError } from '../errors.js';
import type { ModelIdentity } from '../types.js';
import { type Model, readModel } from './model.js';
import { jointIdentity } from './voters.js';

/** A model of the registry. */
export interface ModelEntry {
  readonly name: string;
  readonly folder: string;
  readonly origin: 'bundled' | 'added';
}

/** What a model may be called: one path segment on any system, no leading dot or dash. */
export const MODEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** The folder of the models that come with the package. */
export function bundledModels(): string {
  return join(dirname(createRequire(import.meta.url).resolve('deflector/package.json')), 'models');
}

/**
 * The folder of the models that a user added: DEFLECTOR_MODELS, or `deflector/models` where the system keeps a user's
 * data (XDG Base Directory Specification; LOCALAPPDATA on Windows).
 */
export function userModels(env: NodeJS.ProcessEnv = process.env): string {
  if (env.DEFLECTOR_MODELS) return resolve(env.DEFLECTOR_MODELS);
  if (process.platform === 'win32' && env.LOCALAPPDATA) return join(env.LOCALAPPDATA, 'deflector', 'models');
  // The specification tells to ignore a path that is not absolute.
  const data = env.XDG_DATA_HOME && isAbsolute(env.XDG_DATA_HOME) ? env.XDG_DATA_HOME : join(homedir(), '.local/share');
  return join(data, 'deflector', 'models');
}

/**
 * The folder of what was downloaded: `deflector/models` where the system keeps what can be made again (XDG Base Directory
 * Specification; LOCALAPPDATA on Windows). It may be deleted at any time.
 */
export function modelCache(env: NodeJS.ProcessEnv = process.env): string {
  if (process.platform === 'win32' && env.LOCALAPPDATA) return join(env.LOCALAPPDATA, 'deflector', 'cache', 'models');
  const cache = env.XDG_CACHE_HOME && isAbsolute(env.XDG_CACHE_HOME) ? env.XDG_CACHE_HOME : join(homedir(), '.cache');
  return join(cache, 'deflector', 'models');
}

/** All models of the registry, the bundled first, each group by name. A bundled name hides the same name below it. */
export async function listModels(env: NodeJS.ProcessEnv = process.env): Promise<ModelEntry[]> {
  const bundled = await entries(bundledModels(), 'bundled');
  const names = new Set(bundled.map(entry => entry.name));
  return [...bundled, ...(await entries(userModels(env), 'added')).filter(entry => !names.has(entry.name))];
}

async function entries(folder: string, origin: ModelEntry['origin']): Promise<ModelEntry[]> {
  const names = await readdir(folder).catch(() => []);
  const found: ModelEntry[] = [];
  for (const name of names.filter(candidate => MODEL_NAME.test(candidate)).sort()) {
    if (await isFolder(join(folder, name))) found.push({ name, folder: join(folder, name), origin });
  }
  return found;
}

/**
 * The folder of a model.
 *
 * @param nameOrFolder a name of the registry; or a folder, told from a name by a slash or a leading dot
 * @throws DeflectorError MODEL_NOT_FOUND
 */
export async function resolveModel(nameOrFolder: string, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  if (/[/\\]|^\./.test(nameOrFolder)) {
    const folder = resolve(nameOrFolder);
    if (await isFolder(folder)) return folder;
    throw new DeflectorError('MODEL_NOT_FOUND', `There is no folder ${folder}`);
  }
  if (MODEL_NAME.test(nameOrFolder)) {
    for (const root of [bundledModels(), userModels(env)]) {
      if (await isFolder(join(root, nameOrFolder))) return join(root, nameOrFolder);
    }
  }
  const names = (await listModels(env)).map(entry => entry.name).join(', ');
  const here = (await isFolder(resolve(nameOrFolder))) ? `; for the folder of that name say ./${nameOrFolder}` : '';
  throw new DeflectorError(
    'MODEL_NOT_FOUND',
    `There is no model called ${JSON.stringify(nameOrFolder)}; there are ${names}${here}`,
  );
}

/**
 * Reads a model by its name or its folder.
 *
 * @throws DeflectorError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_UNSUPPORTED, MODEL_DIGEST_MISMATCH
 */
export async function openModel(nameOrFolder: string, env: NodeJS.ProcessEnv = process.env): Promise<Model> {
  return readModel(await resolveModel(nameOrFolder, env));
}

/**
 * Who votes under the settings that name models: the one, or several together.
 *
 * @throws DeflectorError as {@link openModel}
 */
export async function identityOf({
  model,
  voters,
}: {
  readonly model: string;
  readonly voters: readonly string[] | null;
}): Promise<ModelIdentity> {
  const models = await Promise.all([model, ...(voters ?? [])].map(name => openModel(name)));
  return jointIdentity(models.map(({ identity }) => identity));
}

/** Whether a path is a folder, or a link to one. */
export async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    found => found.isDirectory(),
    () => false,
  );
}
