/**
 * Which objects were taken lately, so that an event that comes twice leads to one verdict, and a listing finds what no
 * event told of. Some 100 bytes of Redis an entry; entries are forgotten after a time.
 *
 *     {prefix}:seen     digests by when they were added
 */
import { createHash } from 'node:crypto';
import { queueFault, type RedisConnection } from '../queue/redis.js';

const MS_A_DAY = 86_400_000;

/** What is remembered: an upload, or an object as it was after one. */
export type SeenName =
  | { readonly kind: 'event'; readonly bucket: string; readonly key: string; readonly event: string }
  | { readonly kind: 'object'; readonly bucket: string; readonly key: string; readonly etag: string };

export class SeenObjects {
  readonly #redis: RedisConnection;
  readonly #keepMs: number;

  /** @param days for which an entry is kept */
  constructor(redis: RedisConnection, days: number) {
    this.#redis = redis;
    this.#keepMs = days * MS_A_DAY;
  }

  /** The time before which nothing is remembered, in milliseconds since 1970. */
  get horizon(): number {
    return Date.now() - this.#keepMs;
  }

  /** @returns for each name whether it was added @throws DeflectorError QUEUE_UNAVAILABLE */
  async have(names: readonly SeenName[]): Promise<boolean[]> {
    if (names.length === 0) return [];
    const scores = await this.#reported(() => this.#redis.client.zmscore(this.#key, ...names.map(digestOf)));
    return scores.map(score => score !== null);
  }

  /** Adds names, and forgets the oldest. @throws DeflectorError QUEUE_UNAVAILABLE */
  async add(names: readonly SeenName[]): Promise<void> {
    if (names.length === 0) return;
    const now = Date.now();
    const pairs = names.flatMap(name => [now, digestOf(name)]);
    await this.#reported(async () => {
      await this.#redis.client.zadd(this.#key, ...pairs);
      await this.#redis.client.zremrangebyscore(this.#key, '-inf', this.horizon);
    });
  }

  get #key(): string {
    return `${this.#redis.prefix}:seen`;
  }

  async #reported<T>(command: () => Promise<T>): Promise<T> {
    try {
      return await command();
    } catch (error) {
      throw queueFault(error);
    }
  }
}

/** 16 bytes: of a billion entries no two are the same by chance. */
function digestOf(name: SeenName): Buffer {
  const which = name.kind === 'event' ? name.event : name.etag;
  const text = JSON.stringify([name.kind, name.bucket, name.key, which]);
  return createHash('sha256').update(text).digest().subarray(0, 16);
}
