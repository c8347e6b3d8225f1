/**
 * Which packs there are. A pack is registered before it is written and stays so until it is deleted, so that none is
 * left behind unknown: what a crash leaves is found here, without listing any store.
 *
 *     {prefix}:packs:LANE    by the id of the chunk's task: where the pack lies, and since when
 */

import { LANES, type Lane } from '../queue/queue.js';
import { queueFault, type RedisConnection } from '../queue/redis.js';
import { type StoreAddress, storeAddressShape } from '../storage/store-address.js';
import type { Job } from './job.js';

/** Entries that one call of Redis hands over. */
const ENTRIES_A_READ = 200;

/** A pack that is there, or was about to be. */
export interface RegisteredPack {
  readonly job: string;
  /** Of the job. */
  readonly id: string;
  readonly chunk: number;
  readonly lane: Lane;
  /** The store of the job. */
  readonly out: StoreAddress;
  /** Milliseconds since 1970. */
  readonly since: number;
}

type JobOfPack = Pick<Job, 'name' | 'id' | 'lane' | 'out'>;

export class PackRegister {
  readonly #redis: RedisConnection;

  constructor(redis: RedisConnection) {
    this.#redis = redis;
  }

  async add(job: JobOfPack, chunk: number): Promise<void> {
    const entry = JSON.stringify({ out: job.out, since: Date.now() });
    await this.#reported(() => this.#redis.client.hset(this.#key(job.lane), fieldOf(job, chunk), entry));
  }

  async has(job: JobOfPack, chunk: number): Promise<boolean> {
    return (await this.#reported(() => this.#redis.client.hexists(this.#key(job.lane), fieldOf(job, chunk)))) === 1;
  }

  async remove(job: JobOfPack, chunk: number): Promise<void> {
    await this.#reported(() => this.#redis.client.hdel(this.#key(job.lane), fieldOf(job, chunk)));
  }

  /** Packs in a lane, of all jobs. */
  count(lane: Lane): Promise<number> {
    return this.#reported(() => this.#redis.client.hlen(this.#key(lane)));
  }

  /** All packs; those that come and go meanwhile may be missing, or come twice. */
  async *all(): AsyncGenerator<RegisteredPack, void, undefined> {
    for (const lane of LANES) {
      let cursor = '0';
      do {
        const [next, entries] = await this.#reported(() =>
          this.#redis.client.hscan(this.#key(lane), cursor, 'COUNT', ENTRIES_A_READ),
        );
        for (let n = 0; n < entries.length; n += 2) yield parse(lane, entries[n]!, entries[n + 1]!);
        cursor = next;
      } while (cursor !== '0');
    }
  }

  #key(lane: Lane): string {
    return `${this.#redis.prefix}:packs:${lane}`;
  }

  async #reported<T>(command: () => Promise<T>): Promise<T> {
    try {
      return await command();
    } catch (error) {
      throw queueFault(error);
    }
  }
}

function fieldOf({ name, id }: JobOfPack, chunk: number): string {
  return `${name}.${id}.${chunk}`;
}

function parse(lane: Lane, field: string, entry: string): RegisteredPack {
  // The name of a job may hold dots; its id and the number of a chunk hold none.
  const [, job = '', id = '', chunk = ''] = /^(.*)\.([^.]*)\.(\d+)$/.exec(field) ?? [];
  const { out, since } = JSON.parse(entry) as { out: unknown; since: number };
  return { job, id, chunk: Number(chunk), lane, out: storeAddressShape.parse(out), since };
}
