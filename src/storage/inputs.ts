/**
 * What a job is fed with: folders, files, globs, manifests and shards, on this machine or in S3, opened as stores and
 * listed lazily.
 *
 * Keys are relative to the folder that all inputs have in common: `run train` gives `cat.jpg`, `run train val`
 * gives `train/cat.jpg` and `val/cat.jpg`. The base of a folder is itself, that of a glob the part before its
 * first special character, that of a file or manifest its folder, that of a shard the shard. Buckets are folders. Inputs come in the order in which they are
 * named, each in its own order. An image that an earlier folder, file or glob already gave is not given again.
 */
import { resolve } from 'node:path';
import { invalid } from '../errors.js';
import type { JobItem, ObjectStore } from '../types.js';
import { openLocal, sharedFolders } from './local-source.js';
import { PrefixedStore } from './prefixed-store.js';
import { isS3Address } from './s3-address.js';
import type { S3Connection } from './s3-connection.js';
import { openS3Source, pathOfS3, sharedPrefixes } from './s3-source.js';
import { EXPECTED_INPUT, keyOf, type Source } from './source.js';
import type { StoreAddress } from './store-address.js';

export interface InputOptions {
  /** Folder that relative inputs begin at; default the process's own. */
  readonly cwd?: string;
  /** Where links in folders may lead; see FileSystemStore. A file that is named itself is followed anywhere. */
  readonly links?: 'inside' | 'anywhere';
  /** Folders that no listing enters, such as the one that results go to; paths or addresses in S3. */
  readonly exclude?: readonly string[];
  /** Where inputs in S3 are; without it there are none. */
  readonly s3?: S3Connection;
}

/** The opened inputs of a job. */
export interface JobInputs {
  /** What `JobItem.store` counts. */
  readonly stores: readonly ObjectStore[];
  /** Where another process finds the same stores, in their order. */
  readonly addresses: readonly StoreAddress[];
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

/**
 * Opens the inputs of a job, so that what is missing is known before any work.
 *
 * @param inputs at least one, as the user typed them
 * @throws DeflectorError INPUT_NOT_FOUND, SETTINGS_INVALID, STORE_* of a server
 */
export async function openInputs(inputs: readonly string[], options: InputOptions = {}): Promise<JobInputs> {
  if (inputs.length === 0) throw invalid('INPUT', EXPECTED_INPUT, 'none');
  const cwd = options.cwd ?? process.cwd();
  const exclude = options.exclude ?? [];
  const excluded = new Set(exclude.map(path => (isS3Address(path) ? pathOfS3(path) : resolve(cwd, path))));
  const enters = (path: string) => !excluded.has(path);
  const local = { cwd, links: options.links ?? 'inside', enters, folder: sharedFolders() } as const;
  const remote = options.s3 === undefined ? undefined : { enters, folder: sharedPrefixes(options.s3) };
  const sources: Source[] = [];
  for (const input of inputs) {
    if (isS3Address(input) && remote !== undefined) sources.push(await openS3Source(input, remote));
    else if (/^[a-z][a-z0-9+.-]*:\/\//i.test(input)) throw invalid('INPUT', EXPECTED_INPUT, input);
    else sources.push(await openLocal(input, local));
  }
  if (sources.some(source => source.remote !== sources[0]!.remote)) {
    throw invalid('INPUT', 'inputs that are all in S3, or none', 'both kinds');
  }
  return new ListedInputs(sources);
}

/** Lists the sources one behind the other. */
class ListedInputs implements JobInputs {
  readonly stores: readonly ObjectStore[];
  readonly addresses: readonly StoreAddress[];
  readonly #sources: readonly { source: Source; store: number; prefix: string }[];
  /** Files that are inputs of their own, with the place of the first that names them. */
  readonly #files = new Map<string, number>();

  constructor(sources: readonly Source[]) {
    const common = commonFolder(sources);
    const stores: ObjectStore[] = [];
    const addresses: StoreAddress[] = [];
    const opened = new Map<ObjectStore, { store: number; prefix: string }>();
    this.#sources = sources.map((source, place) => {
      if (source.file !== undefined && !this.#files.has(source.file)) this.#files.set(source.file, place);
      let found = opened.get(source.store);
      if (found === undefined) {
        const prefix = source.base === common ? '' : `${keyOf(common, source.base, source.paths)}/`;
        found = { store: stores.length, prefix };
        opened.set(source.store, found);
        stores.push(prefix === '' ? source.store : new PrefixedStore(source.store, prefix));
        addresses.push({ ...source.store.address, prefix });
      }
      return { source, ...found };
    });
    this.stores = stores;
    this.addresses = addresses;
  }

  async *items(passedOver: (key: string) => void = () => undefined): AsyncGenerator<JobItem, void, undefined> {
    let index = 0;
    const earlier: Source[] = [];
    for (const [place, { source, store, prefix }] of this.#sources.entries()) {
      for await (const { key, error } of source.list(name => passedOver(prefix + name))) {
        if (error !== undefined) {
          yield { index: index++, key: prefix + key, store, error };
          continue;
        }
        const path = source.paths.join(source.base, key);
        if ((this.#files.get(path) ?? place) < place) continue;
        if (earlier.some(one => isBelow(path, one) && one.gives?.(path))) continue;
        yield { index: index++, key: prefix + key, store };
      }
      if (source.gives !== undefined) earlier.push(source);
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
function commonFolder(sources: readonly Source[]): string {
  return sources
    .map(({ base }) => base)
    .reduce((common, base) => {
      const { paths } = sources[0]!;
      let folder = common;
      while (folder !== base && !isBelow(base, { base: folder, paths })) folder = paths.dirname(folder);
      return folder;
    });
}

function isBelow(path: string, { base, paths }: Pick<Source, 'base' | 'paths'>): boolean {
  return path.startsWith(base.endsWith(paths.sep) ? base : base + paths.sep);
}
