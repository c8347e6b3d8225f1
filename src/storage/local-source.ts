/** Inputs on this machine: folders, files, globs, manifests, shards. */
import type { Stats } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import nativePaths, { basename, dirname, join, resolve } from 'node:path';
import picomatch from 'picomatch';
import { DeflectorError, invalid } from '../errors.js';
import { systemCode } from './faults.js';
import { FileSystemStore } from './filesystem-store.js';
import { isManifest, readManifest } from './manifest.js';
import { openShard } from './shard-source.js';
import {
  EXPECTED_INPUT,
  foldersOf,
  foldersOfGlob,
  isHidden,
  isImageName,
  isPackedShard,
  isShard,
  keyOf,
  notFound,
  type Source,
} from './source.js';

const NATIVE = { paths: nativePaths, remote: false } as const;

/** How inputs on this machine are looked at. */
export interface LocalInputs {
  readonly cwd: string;
  readonly links: 'inside' | 'anywhere';
  /** Whether a listing enters a folder, told by its absolute path. */
  enters(path: string): boolean;
  /** The store of a folder, one and the same for each call. */
  folder(path: string, links: 'inside' | 'anywhere'): FileSystemStore;
}

/** An input on its way to being opened. */
interface Candidate extends LocalInputs {
  readonly input: string;
  /** Absolute path. */
  readonly path: string;
  /** Undefined where nothing has that path. */
  readonly stats: Stats | undefined;
}

/** The kinds of input, each tried in turn; a kind that does not know the input gives undefined. */
const KINDS: readonly ((candidate: Candidate) => Promise<Source | undefined> | Source | undefined)[] = [
  openFolder,
  openManifest,
  openShardFile,
  openFile,
  openGlob,
];

/** @throws DeflectorError INPUT_NOT_FOUND, SETTINGS_INVALID */
export async function openLocal(input: string, inputs: LocalInputs): Promise<Source> {
  if (input === '' || input.includes('\0')) throw invalid('INPUT', EXPECTED_INPUT, input);
  const path = resolve(inputs.cwd, input);
  const stats = await stat(path).catch(error => {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return undefined;
    throw unreadable(input, error);
  });
  for (const open of KINDS) {
    const source = await open({ ...inputs, input, path, stats });
    if (source !== undefined) return source;
  }
  if (stats !== undefined) throw notFound(`The input is neither a file nor a folder: ${JSON.stringify(input)}`);
  throw notFound(`There is no such file or folder: ${JSON.stringify(input)}`);
}

/** A map of stores by folder. */
export function sharedFolders(): LocalInputs['folder'] {
  const stores = new Map<string, FileSystemStore>();
  return (path, links) => {
    const id = `${links}:${path}`;
    const store = stores.get(id) ?? new FileSystemStore(path, { links });
    stores.set(id, store);
    return store;
  };
}

async function openFolder({ input, path, stats, links, enters, folder }: Candidate): Promise<Source | undefined> {
  if (stats?.isDirectory() !== true) return undefined;
  await probe(path, input);
  const enterable = (key: string) => !isHidden(key) && enters(join(path, key));
  const store = folder(path, links);
  return {
    ...NATIVE,
    base: path,
    store,
    async *list(passedOver) {
      for await (const { key, error } of store.walk('', enterable)) {
        // A folder that may not be listed has a slash behind its key: what it holds is not known.
        if (key.endsWith('/') || isImageName(key)) yield error === undefined ? { key } : { key, error };
        else passedOver(key);
      }
    },
    gives: file => {
      const key = keyOf(path, file, nativePaths);
      return isImageName(key) && foldersOf(key).every(enterable);
    },
  };
}

function openManifest({ path, stats, links, input, folder }: Candidate): Promise<Source> | undefined {
  if (stats?.isFile() !== true || !isManifest(path)) return undefined;
  const read = () => readManifest(path, () => folder(dirname(path), 'anywhere').stream(basename(path)));
  return probeManifest(
    { ...NATIVE, base: dirname(path), store: folder(dirname(path), links), list: read },
    read,
    input,
  );
}

async function probeManifest(
  source: Source,
  read: () => ReturnType<typeof readManifest>,
  input: string,
): Promise<Source> {
  const entries = read();
  try {
    await entries.next();
  } catch (error) {
    if (error instanceof DeflectorError && error.code === 'SETTINGS_INVALID') throw error;
    throw unreadable(input, error);
  } finally {
    await entries.return();
  }
  return source;
}

async function openShardFile({ path, stats, input, folder }: Candidate): Promise<Source | undefined> {
  if (stats?.isFile() !== true) return undefined;
  if (isPackedShard(path)) throw invalid('INPUT', 'an unpacked archive (.tar), whose parts can be read alone', input);
  if (!isShard(path)) return undefined;
  const files = folder(dirname(path), 'anywhere');
  return { ...NATIVE, base: path, ...(await openShard(files, basename(path), input)) };
}

function openFile({ path, stats, folder }: Candidate): Source | undefined {
  if (stats?.isFile() !== true) return undefined;
  const key = basename(path);
  return {
    ...NATIVE,
    base: dirname(path),
    store: folder(dirname(path), 'anywhere'),
    async *list() {
      yield { key };
    },
    file: path,
  };
}

async function openGlob({ input, cwd, stats, links, enters, folder }: Candidate): Promise<Source | undefined> {
  const { isGlob, base: start, glob } = picomatch.scan(input);
  if (stats !== undefined || !isGlob) return undefined;
  const base = resolve(cwd, start);
  const matches = picomatch(glob, { nonegate: true });
  const mayMatch = foldersOfGlob(glob);
  const enterable = (key: string) => mayMatch(key) && enters(join(base, key));
  const store = folder(base, links);
  const source: Source = {
    ...NATIVE,
    base,
    store,
    async *list() {
      for await (const { key, error } of store.walk('', enterable)) {
        if (key.endsWith('/') || matches(key)) yield error === undefined ? { key } : { key, error };
      }
    },
    gives: file => {
      const key = keyOf(base, file, nativePaths);
      return matches(key) && foldersOf(key).every(enterable);
    },
  };
  await probe(base, input);
  for await (const _ of source.list(() => undefined)) return source;
  throw notFound(`The glob matches no file: ${JSON.stringify(input)}`);
}

async function probe(folder: string, input: string): Promise<void> {
  try {
    await (await opendir(folder)).close();
  } catch (error) {
    throw unreadable(input, error);
  }
}

function unreadable(input: string, error: unknown): DeflectorError {
  const code = systemCode(error) ?? (error instanceof DeflectorError ? error.code : String(error));
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return notFound(`There is no such file or folder: ${JSON.stringify(input)}`, error);
  }
  return notFound(`The input cannot be read (${code}): ${JSON.stringify(input)}`, error);
}
