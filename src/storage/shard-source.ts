/** Shards of a dataset (WebDataset): the images in a tar archive, read by ranges and never unpacked. */
import { DeflectorError, invalid } from '../errors.js';
import type { ObjectEntry, StreamingStore } from '../types.js';
import { tooLarge } from './faults.js';
import { checkKey, isKey, shorten } from './keys.js';
import { isImageName, type Listed, type Source } from './source.js';
import type { AddressedStore, StoreAddress } from './store-address.js';
import { readTar, type TarMember } from './tar.js';

/** What a shard's table of contents says. */
interface Contents {
  /** By key, in the order of the archive; of members of one name the last counts, as when it is unpacked. */
  readonly members: ReadonlyMap<string, TarMember>;
  /** Where the archive cannot be read any further. */
  readonly fault: DeflectorError | undefined;
}

/** Tables of contents that are held at a time, over all shards: a job works on one after another. */
const CONTENTS_HELD = 8;

/** The shards whose tables are held, the one used last at the end. */
const held = new Set<ShardStore>();

/**
 * @param input as the user named it, for messages
 * @returns the parts of a source that lie in an archive of another store
 * @throws DeflectorError SETTINGS_INVALID where it does not begin as an archive does
 */
export async function openShard(
  files: StreamingStore & AddressedStore,
  name: string,
  input: string,
): Promise<Pick<Source, 'store' | 'list'>> {
  const store = new ShardStore(files, name);
  await store.probe(input);
  return {
    store,
    async *list(passedOver) {
      const { members, fault } = await store.contents();
      for (const key of members.keys()) {
        if (!isImageName(key)) passedOver(key);
        else yield listed(key);
      }
      if (fault !== undefined) yield { key: `${name}:${members.size}`, error: verdictError(fault) };
    },
  };
}

function listed(key: string): Listed {
  if (isKey(key)) return { key };
  return {
    key: shorten(key),
    error: verdictError(
      new DeflectorError('KEY_INVALID', `The archive holds a name that is no key: ${JSON.stringify(shorten(key))}`),
    ),
  };
}

function verdictError({ code, message, retryable }: DeflectorError): NonNullable<Listed['error']> {
  return { code, message, retryable };
}

/** The members of an archive as objects. */
export class ShardStore implements AddressedStore {
  readonly url: string;
  readonly address: StoreAddress;
  readonly #files: StreamingStore;
  readonly #name: string;
  #contents: Promise<Contents> | undefined;

  constructor(files: StreamingStore & AddressedStore, name: string) {
    this.#files = files;
    this.#name = name;
    this.address = { ...files.address, shard: name };
    this.url = `${files.url.replace(/\/?$/, '/')}${name}`;
  }

  /** Reads the table of contents, or gives the one that is held. */
  contents(): Promise<Contents> {
    held.delete(this);
    held.add(this);
    for (const oldest of held) {
      if (held.size <= CONTENTS_HELD) break;
      held.delete(oldest);
      oldest.#contents = undefined;
    }
    this.#contents ??= this.#read().catch(error => {
      this.#contents = undefined;
      throw error;
    });
    return this.#contents;
  }

  async probe(input: string): Promise<void> {
    try {
      for await (const _ of this.#walk()) return;
    } catch (error) {
      if (!(error instanceof DeflectorError) || error.code !== 'SHARD_INVALID') throw error;
      throw invalid('INPUT', 'a tar archive', input);
    }
  }

  #walk(): AsyncGenerator<TarMember, void, undefined> {
    return readTar((start, end) => this.#files.readRange(this.#name, start, end));
  }

  async #read(): Promise<Contents> {
    const members = new Map<string, TarMember>();
    try {
      for await (const member of this.#walk()) {
        members.set(member.name.replace(/^(?:\.\/+)+/, ''), member);
      }
    } catch (error) {
      if (!(error instanceof DeflectorError) || error.code !== 'SHARD_INVALID') throw error;
      return { members, fault: error };
    }
    return { members, fault: undefined };
  }

  async *list(prefix = ''): AsyncGenerator<ObjectEntry, void, undefined> {
    const { members } = await this.contents();
    const keys = [...members.keys()].filter(key => isKey(key) && key.startsWith(prefix));
    keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const key of keys) yield { key, size: members.get(key)!.size };
  }

  async read(key: string, maxBytes: number): Promise<Uint8Array> {
    checkKey(key);
    const { members } = await this.contents();
    const member = members.get(key);
    if (member === undefined)
      throw new DeflectorError('IMAGE_NOT_FOUND', `There is no such file: ${JSON.stringify(key)}`);
    const { offset, size } = member;
    if (size > maxBytes) throw tooLarge(key, `${size} bytes`, maxBytes);
    const bytes = await this.#files.readRange(this.#name, offset, offset + size);
    if (bytes.length < size) {
      throw new DeflectorError('IMAGE_TRUNCATED', `The archive ends before the file does: ${JSON.stringify(key)}`);
    }
    return bytes;
  }

  write(key: string): Promise<void> {
    return Promise.reject(this.#readOnly(key));
  }

  delete(key: string): Promise<void> {
    return Promise.reject(this.#readOnly(key));
  }

  #readOnly(key: string): DeflectorError {
    return new DeflectorError('STORE_DENIED', `Archives are read only: ${JSON.stringify(shorten(key))} in ${this.url}`);
  }
}
