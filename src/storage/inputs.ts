/**
 * What a job is fed with: folders, files, globs and manifests, opened as stores and listed lazily.
 *
 * Keys are relative to the folder that all inputs have in common: `run train` gives `cat.jpg`, `run train val`
 * gives `train/cat.jpg` and `val/cat.jpg`. The base of a folder is itself, that of a glob the part before its
 * first special character, that of a file or manifest its folder. Inputs come in the order in which they are
 * named, each in its own order. An image that an earlier folder, file or glob already gave is not given again.
 */
import type { Stats } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, resolve, sep } from 'node:path';
import picomatch from 'picomatch';
import { DeflectorError, invalid } from '../errors.js';
import type { JobItem, ObjectStore, VerdictError } from '../types.js';
import { systemCode } from './faults.js';
import { FileSystemStore } from './filesystem-store.js';
import { isManifest, readManifest } from './manifest.js';
import { PrefixedStore } from './prefixed-store.js';

/** Extensions by which the listing of a folder knows images. What a file really is its content tells later. */
const IMAGE_EXTENSIONS: ReadonlySet<string> = new Set([
  '.jpg',
  '.jpeg',
  '.jpe',
  '.jfif',
  '.png',
  '.webp',
  '.avif',
  '.tif',
  '.tiff',
  '.gif',
]);

/** Names without an extension that are no images although other such names may be. */
const NO_IMAGES = /^(?:readme|licen[cs]e|copying|notice|changelog|authors|contributors|makefile|(?:md5|sha\d+)sums)$/i;

export interface InputOptions {
  /** Folder that relative inputs begin at; default the process's own. */
  readonly cwd?: string;
  /** Where links in folders may lead; see FileSystemStore. A file that is named itself is followed anywhere. */
  readonly links?: 'inside' | 'anywhere';
  /** Folders that no listing enters, such as the one that results go to. */
  readonly exclude?: readonly string[];
}

/** The opened inputs of a job. */
export interface JobInputs {
  /** What `JobItem.store` counts. */
  readonly stores: readonly ObjectStore[];
  /**
   * Lists the images, lazily and anew with each call.
   *
   * @param passedOver is told the key of each file of a folder that is not taken for an image by its name
   * @throws DeflectorError STORE_UNAVAILABLE, STORE_FULL
   */
  items(passedOver?: (key: string) => void): AsyncGenerator<JobItem, void, undefined>;
  /** Counts the images by listing them; what changes meanwhile may make it wrong. */
  count(signal?: AbortSignal): Promise<number>;
}

/** One opened input. */
interface Source {
  /** Absolute path of the folder that its keys are relative to. */
  readonly base: string;
  readonly links: 'inside' | 'anywhere';
  list(store: FileSystemStore, passedOver: (key: string) => void): AsyncIterable<Listed>;
  /** Whether the listing gives this path, which is absolute and inside the base; absent where only listing can tell. */
  readonly gives?: (path: string) => boolean;
  /** Set for an input that is a single file. */
  readonly file?: string;
}

interface Listed {
  readonly key: string;
  readonly error?: VerdictError;
}

/** An input on its way to being opened. */
interface Candidate {
  readonly input: string;
  readonly cwd: string;
  /** Absolute path. */
  readonly path: string;
  /** Undefined where nothing has that path. */
  readonly stats: Stats | undefined;
  readonly links: 'inside' | 'anywhere';
  readonly enters: (path: string) => boolean;
}

/** The kinds of input, each tried in turn; a kind that does not know the input gives undefined. */
const KINDS: readonly ((candidate: Candidate) => Promise<Source | undefined> | Source | undefined)[] = [
  openFolder,
  openManifest,
  openFile,
  openGlob,
];

/** What an input may be, for messages. */
const EXPECTED = 'a folder, a file, a glob or a manifest (.jsonl, .csv, .txt)';

/**
 * Opens the inputs of a job, so that what is missing is known before any work.
 *
 * @param inputs at least one, as the user typed them
 * @throws DeflectorError INPUT_NOT_FOUND, SETTINGS_INVALID
 */
export async function openInputs(inputs: readonly string[], options: InputOptions = {}): Promise<JobInputs> {
  if (inputs.length === 0) throw invalid('INPUT', EXPECTED, 'none');
  const cwd = options.cwd ?? process.cwd();
  const excluded = new Set((options.exclude ?? []).map(path => resolve(cwd, path)));
  const enters = (path: string) => !excluded.has(path);
  const sources: Source[] = [];
  for (const input of inputs) sources.push(await openInput(input, cwd, options.links ?? 'inside', enters));
  return new ListedInputs(sources);
}

async function openInput(
  input: string,
  cwd: string,
  links: 'inside' | 'anywhere',
  enters: (path: string) => boolean,
): Promise<Source> {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(input)?.[1];
  if (scheme !== undefined)
    throw invalid('INPUT', `${EXPECTED} (${scheme}:// is not supported in this version)`, input);
  if (input === '' || input.includes('\0')) throw invalid('INPUT', EXPECTED, input);
  const path = resolve(cwd, input);
  const stats = await stat(path).catch(error => {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return undefined;
    throw unreadable(input, error);
  });
  for (const open of KINDS) {
    const source = await open({ input, cwd, path, stats, links, enters });
    if (source !== undefined) return source;
  }
  if (stats !== undefined) throw notFound(`The input is neither a file nor a folder: ${JSON.stringify(input)}`);
  throw notFound(`There is no such file or folder: ${JSON.stringify(input)}`);
}

async function openFolder({ input, path, stats, links, enters }: Candidate): Promise<Source | undefined> {
  if (stats?.isDirectory() !== true) return undefined;
  await probe(path, input);
  const enterable = (key: string) => !isHidden(key) && enters(join(path, key));
  return {
    base: path,
    links,
    async *list(store, passedOver) {
      for await (const { key, error } of store.walk('', enterable)) {
        // A folder that may not be listed has a slash behind its key: what it holds is not known.
        if (key.endsWith('/') || isImageName(key)) yield error === undefined ? { key } : { key, error };
        else passedOver(key);
      }
    },
    gives: file => {
      const key = keyOf(path, file);
      return isImageName(key) && foldersOf(key).every(enterable);
    },
  };
}

function openManifest({ path, stats, links, input }: Candidate): Promise<Source> | undefined {
  if (stats?.isFile() !== true || !isManifest(path)) return undefined;
  return probeManifest({ base: dirname(path), links, list: () => readManifest(path) }, path, input);
}

async function probeManifest(source: Source, path: string, input: string): Promise<Source> {
  const entries = readManifest(path);
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

function openFile({ input, path, stats }: Candidate): Source | undefined {
  if (stats?.isFile() !== true) return undefined;
  if (/\.tar(?:\.\w+)?$/i.test(path)) {
    throw invalid('INPUT', `${EXPECTED} (.tar is not supported in this version)`, input);
  }
  const key = basename(path);
  return {
    base: dirname(path),
    links: 'anywhere',
    async *list() {
      yield { key };
    },
    file: path,
  };
}

async function openGlob({ input, cwd, stats, links, enters }: Candidate): Promise<Source | undefined> {
  const { isGlob, base: start, glob } = picomatch.scan(input);
  if (stats !== undefined || !isGlob) return undefined;
  const base = resolve(cwd, start);
  const matches = picomatch(glob, { nonegate: true });
  const mayMatch = foldersOfGlob(glob);
  const enterable = (key: string) => mayMatch(key) && enters(join(base, key));
  const source: Source = {
    base,
    links,
    async *list(store) {
      for await (const { key, error } of store.walk('', enterable)) {
        if (key.endsWith('/') || matches(key)) yield error === undefined ? { key } : { key, error };
      }
    },
    gives: file => {
      const key = keyOf(base, file);
      return matches(key) && foldersOf(key).every(enterable);
    },
  };
  await probe(base, input);
  for await (const _ of source.list(new FileSystemStore(base), () => undefined)) return source;
  throw notFound(`The glob matches no file: ${JSON.stringify(input)}`);
}

/** Which folders below a glob's base can hold a match, told by depth and by leading dots only. */
function foldersOfGlob(glob: string): (key: string) => boolean {
  const hidden = /(?:^|\/)\./.test(glob);
  // Groups can hold slashes of their own, and `**` any number of folders.
  const depth = /\*\*|[{}()]/.test(glob) ? Number.POSITIVE_INFINITY : glob.split('/').length - 1;
  return key => (hidden || !isHidden(key)) && key.split('/').length <= depth;
}

/** Lists the sources one behind the other. */
class ListedInputs implements JobInputs {
  readonly stores: readonly ObjectStore[];
  readonly #sources: readonly { source: Source; folder: FileSystemStore; store: number; prefix: string }[];
  /** Files that are inputs of their own, with the place of the first that names them. */
  readonly #files = new Map<string, number>();

  constructor(sources: readonly Source[]) {
    const common = commonFolder(sources.map(({ base }) => base));
    const stores: ObjectStore[] = [];
    const opened = new Map<string, { folder: FileSystemStore; store: number; prefix: string }>();
    this.#sources = sources.map((source, place) => {
      if (source.file !== undefined && !this.#files.has(source.file)) this.#files.set(source.file, place);
      const id = `${source.links}:${source.base}`;
      let found = opened.get(id);
      if (found === undefined) {
        const folder = new FileSystemStore(source.base, { links: source.links });
        const prefix = source.base === common ? '' : `${keyOf(common, source.base)}/`;
        found = { folder, store: stores.length, prefix };
        opened.set(id, found);
        stores.push(prefix === '' ? folder : new PrefixedStore(folder, prefix));
      }
      return { source, ...found };
    });
    this.stores = stores;
  }

  async *items(passedOver: (key: string) => void = () => undefined): AsyncGenerator<JobItem, void, undefined> {
    let index = 0;
    const earlier: { base: string; gives: (path: string) => boolean }[] = [];
    for (const [place, { source, folder, store, prefix }] of this.#sources.entries()) {
      for await (const { key, error } of source.list(folder, name => passedOver(prefix + name))) {
        if (error !== undefined) {
          yield { index: index++, key: prefix + key, store, error };
          continue;
        }
        const path = join(source.base, key);
        if ((this.#files.get(path) ?? place) < place) continue;
        if (earlier.some(({ base, gives }) => isBelow(path, base) && gives(path))) continue;
        yield { index: index++, key: prefix + key, store };
      }
      if (source.gives !== undefined) earlier.push({ base: source.base, gives: source.gives });
    }
  }

  async count(signal?: AbortSignal): Promise<number> {
    let count = 0;
    for await (const _ of this.items()) {
      signal?.throwIfAborted();
      count++;
    }
    return count;
  }
}

/** The deepest folder that holds all of these. */
function commonFolder(paths: readonly string[]): string {
  return paths.reduce((common, path) => {
    let folder = common;
    while (folder !== path && !isBelow(path, folder)) folder = dirname(folder);
    return folder;
  });
}

function isBelow(path: string, folder: string): boolean {
  return path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

function keyOf(base: string, path: string): string {
  return relative(base, path).split(sep).join('/');
}

/** The folders of a key, outermost first. */
function foldersOf(key: string): string[] {
  const segments = key.split('/').slice(0, -1);
  return segments.map((_, place) => segments.slice(0, place + 1).join('/'));
}

function isHidden(key: string): boolean {
  return basename(key).startsWith('.');
}

/** Whether the listing of a folder takes a file for an image: by a known extension, or for having none. */
function isImageName(key: string): boolean {
  if (isHidden(key)) return false;
  const extension = extname(key).toLowerCase();
  return extension === '' ? !NO_IMAGES.test(basename(key)) : IMAGE_EXTENSIONS.has(extension);
}

async function probe(folder: string, input: string): Promise<void> {
  try {
    await (await opendir(folder)).close();
  } catch (error) {
    throw unreadable(input, error);
  }
}

function notFound(message: string, cause?: unknown): DeflectorError {
  return new DeflectorError('INPUT_NOT_FOUND', message, { cause });
}

function unreadable(input: string, error: unknown): DeflectorError {
  const code = systemCode(error) ?? (error instanceof DeflectorError ? error.code : String(error));
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return notFound(`There is no such file or folder: ${JSON.stringify(input)}`, error);
  }
  return notFound(`The input cannot be read (${code}): ${JSON.stringify(input)}`, error);
}
