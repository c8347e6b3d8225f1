/** The simplest adapters of the ports: memory for a store, a hand for a clock. */
import { DeflectorError } from '../../src/errors.js';
import type { ObjectEntry, ObjectStore } from '../../src/types.js';

/** A clock that stands still until it is set. */
export function manualClock(): { time: number; now(): number } {
  return {
    time: 0,
    now() {
      return this.time;
    },
  };
}

/** Objects in memory; an object may be the error that reading it throws. */
export class MemoryStore implements ObjectStore {
  readonly url = 'memory:';
  readonly #objects: Map<string, Uint8Array | Error>;

  constructor(objects: Readonly<Record<string, string | Uint8Array | Error>>) {
    const bytes = (value: string | Uint8Array | Error) => (typeof value === 'string' ? Buffer.from(value) : value);
    this.#objects = new Map(Object.entries(objects).map(([key, value]) => [key, bytes(value)]));
  }

  async *list(prefix = ''): AsyncGenerator<ObjectEntry> {
    for (const key of [...this.#objects.keys()].sort()) if (key.startsWith(prefix)) yield { key, size: undefined };
  }

  async read(key: string, maxBytes: number): Promise<Uint8Array> {
    const found = this.#objects.get(key);
    if (found === undefined) throw new DeflectorError('IMAGE_NOT_FOUND', `There is no ${key}`);
    if (found instanceof Error) throw found;
    if (found.length > maxBytes) throw new DeflectorError('IMAGE_TOO_MANY_BYTES', `${key} is too large`);
    return found;
  }

  async write(key: string, bytes: Uint8Array): Promise<void> {
    this.#objects.set(key, bytes);
  }

  async delete(key: string): Promise<void> {
    this.#objects.delete(key);
  }
}
