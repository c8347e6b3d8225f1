/** Inputs in S3: what begins with a prefix, objects, globs, manifests, shards. */
import { posix } from 'node:path';
import picomatch from 'picomatch';
import { invalid } from '../errors.js';
import { isManifest, readManifest } from './manifest.js';
import { asFolder, formatS3Address, parseS3Address, type S3Address } from './s3-address.js';
import type { S3Connection } from './s3-connection.js';
import type { S3Store } from './s3-store.js';
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
  type Listed,
  notFound,
  type Source,
} from './source.js';

const REMOTE = { paths: posix, remote: true } as const;

/** How inputs in S3 are looked at. */
export interface RemoteInputs {
  /** Whether a listing enters a folder, told by its path. */
  enters(path: string): boolean;
  /** The store of what lies below an address, one and the same for each call. */
  folder(address: S3Address): S3Store;
}

/** A map of stores by address. */
export function sharedPrefixes(s3: S3Connection): RemoteInputs['folder'] {
  const stores = new Map<string, S3Store>();
  return address => {
    const folder = asFolder(address);
    const id = formatS3Address(folder);
    const store = stores.get(id) ?? s3.open(folder);
    stores.set(id, store);
    return store;
  };
}

/** An address as a path: buckets are folders of one root. */
export function pathOfS3(address: string): string {
  return pathOf(parse(address));
}

function pathOf({ bucket, key }: S3Address): string {
  return posix.join('/', bucket, key).replace(/(.)\/$/, '$1');
}

function parse(input: string): S3Address {
  const address = parseS3Address(input);
  if (address === undefined) throw invalid('INPUT', EXPECTED_INPUT, input);
  return address;
}

/**
 * Opens an input in S3. An object of the very name goes before a folder, and before a glob.
 *
 * @throws DeflectorError INPUT_NOT_FOUND, SETTINGS_INVALID, STORE_*
 */
export async function openS3Source(input: string, inputs: RemoteInputs): Promise<Source> {
  const address = parse(input);
  if (address.key !== '' && !address.key.endsWith('/')) {
    const parent = { ...address, key: address.key.slice(0, address.key.lastIndexOf('/') + 1) };
    const name = address.key.slice(parent.key.length);
    // In the order of keys a name stands before all others that begin with it.
    for await (const { key } of inputs.folder(parent).list(name)) {
      if (key === name) return openObject(input, parent, name, inputs);
      break;
    }
    if (picomatch.scan(address.key).isGlob) return openGlob(input, address, inputs);
  }
  return openFolder(input, address, inputs);
}

async function openObject(input: string, parent: S3Address, name: string, { folder }: RemoteInputs): Promise<Source> {
  const base = pathOf(parent);
  const store = folder(parent);
  if (isPackedShard(name)) throw invalid('INPUT', 'an unpacked archive (.tar), whose parts can be read alone', input);
  if (isShard(name)) return { ...REMOTE, base: posix.join(base, name), ...(await openShard(store, name, input)) };
  if (isManifest(name)) {
    return probed({ ...REMOTE, base, store, list: () => readManifest(name, () => store.stream(name)) });
  }
  return {
    ...REMOTE,
    base,
    store,
    async *list() {
      yield { key: name };
    },
    file: posix.join(base, name),
  };
}

/** Reads the beginning of a source, so that what is wrong with it is known before any work. */
async function probed(source: Source): Promise<Source> {
  for await (const _ of source.list(() => undefined)) break;
  return source;
}

async function openFolder(input: string, address: S3Address, { enters, folder }: RemoteInputs): Promise<Source> {
  const base = pathOf(address);
  const store = folder(address);
  const enterable = (key: string) => !isHidden(key) && enters(posix.join(base, key));
  let empty = true;
  for await (const _ of store.list()) {
    empty = false;
    break;
  }
  if (empty) throw notFound(`Nothing in S3 has this name or lies below it: ${JSON.stringify(input)}`);
  return {
    ...REMOTE,
    base,
    store,
    async *list(passedOver) {
      for await (const { key, error } of store.list()) {
        if (!foldersOf(key).every(enterable)) continue;
        if (isImageName(key)) yield listed(key, error);
        else passedOver(key);
      }
    },
    gives: file => {
      const key = keyOf(base, file, posix);
      return isImageName(key) && foldersOf(key).every(enterable);
    },
  };
}

async function openGlob(input: string, address: S3Address, { enters, folder }: RemoteInputs): Promise<Source> {
  const { base: start, glob } = picomatch.scan(address.key);
  const root = { bucket: address.bucket, key: start };
  const base = pathOf(root);
  const store = folder(root);
  const matches = picomatch(glob, { nonegate: true });
  const mayMatch = foldersOfGlob(glob);
  const enterable = (key: string) => mayMatch(key) && enters(posix.join(base, key));
  const gives = (key: string) => matches(key) && foldersOf(key).every(enterable);
  // Keys that match begin with the letters before the first special character.
  const beginning = /^[^*?[\](){}!+@\\]*/.exec(glob)?.[0] ?? '';
  const source: Source = {
    ...REMOTE,
    base,
    store,
    async *list() {
      for await (const { key, error } of store.list(beginning)) if (gives(key)) yield listed(key, error);
    },
    gives: file => gives(keyOf(base, file, posix)),
  };
  for await (const _ of source.list(() => undefined)) return source;
  throw notFound(`The glob matches no object: ${JSON.stringify(input)}`);
}

function listed(key: string, error: Listed['error']): Listed {
  return error === undefined ? { key } : { key, error };
}
