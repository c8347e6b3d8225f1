/** A store whose keys all begin with a folder of their own, so that several stores can serve one job. */

import { DeflectorError } from '../errors.js';
import type { ObjectEntry, ObjectStore } from '../types.js';
import { checkKey, shorten } from './keys.js';

/** Gives the keys of another store under a prefix. */
export class PrefixedStore implements ObjectStore {
  readonly url: string;
  readonly #inner: ObjectStore;
  readonly #prefix: string;

  /** @param prefix ends with a slash */
  constructor(inner: ObjectStore, prefix: string) {
    this.#inner = inner;
    this.#prefix = prefix;
    this.url = inner.url;
  }

  async *list(prefix = ''): AsyncGenerator<ObjectEntry, void, undefined> {
    if (!prefix.startsWith(this.#prefix) && !this.#prefix.startsWith(prefix)) return;
    for await (const entry of this.#inner.list(prefix.slice(this.#prefix.length))) {
      yield { ...entry, key: this.#prefix + entry.key };
    }
  }

  async read(key: string, maxBytes: number): Promise<Uint8Array> {
    return this.#inner.read(this.#within(key), maxBytes);
  }

  async write(key: string, bytes: Uint8Array): Promise<void> {
    await this.#inner.write(this.#within(key), bytes);
  }

  async delete(key: string): Promise<void> {
    await this.#inner.delete(this.#within(key));
  }

  #within(key: string): string {
    if (key.startsWith(this.#prefix)) return key.slice(this.#prefix.length);
    checkKey(key);
    throw new DeflectorError('KEY_INVALID', `The key lies outside of ${this.#prefix}: ${JSON.stringify(shorten(key))}`);
  }
}
