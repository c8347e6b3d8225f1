/** Watches the store that was used last, so that a worker can say whether it can reach it. */
import { DeflectorError } from '../src/errors.js';
import type { OpenStore } from '../src/storage/open-store.js';
import type { ObjectStore } from '../src/types.js';

/** No worker leaves an object of this name. */
const PROBE = 'chunks/.probe';

/** Milliseconds for which an answer of the store holds: reads of an object store cost money. */
const HOLDS_MS = 10_000;

export class StoreWatch {
  readonly opener: OpenStore;
  #last: ObjectStore | undefined;
  #fault: string | undefined;
  #asked = Number.NEGATIVE_INFINITY;

  constructor(open: OpenStore) {
    this.opener = address => {
      const store = open(address);
      // Where a shard lies inside a store, the store itself is what can be asked.
      if (address.shard === undefined) this.#last = store;
      return store;
    };
  }

  /** @returns why the store that was used last cannot be read; `undefined` where none was used yet */
  async fault(): Promise<string | undefined> {
    const store = this.#last;
    if (store === undefined || performance.now() - this.#asked < HOLDS_MS) return this.#fault;
    this.#fault = await store.read(PROBE, 1).then(() => undefined, reasonOf);
    this.#asked = performance.now();
    return this.#fault;
  }
}

function reasonOf(error: unknown): string | undefined {
  if (error instanceof DeflectorError && error.code === 'IMAGE_NOT_FOUND') return undefined;
  return error instanceof Error ? error.message : String(error);
}
