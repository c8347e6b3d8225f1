/**
 * Verdicts as entries of a Redis stream, `{prefix}:NAME`, which keeps about as many as it is told to:
 *
 *     id        of the verdict; one that is delivered again has the same
 *     key       of the image
 *     status    ok or error
 *     verdict   JSON, as a line of results.jsonl
 */
import { queueFault, type RedisConnection } from '../queue/redis.js';
import type { ResultSink, Verdict, VerdictOrigin } from '../types.js';
import { InOrder } from './in-order.js';
import { verdictId } from './verdict-id.js';
import { formatVerdict } from './verdict-json.js';

export class RedisStreamSink implements ResultSink {
  readonly #redis: RedisConnection;
  readonly #key: string;
  readonly #length: number;
  readonly #order = new InOrder();

  /**
   * @param redis stays open when the sink is closed
   * @param length entries that the stream keeps, about
   */
  constructor(redis: RedisConnection, name: string, length: number) {
    this.#redis = redis;
    this.#key = `${redis.prefix}:${name}`;
    this.#length = length;
  }

  /** Adds the verdicts of a chunk together or not at all. @throws DeflectorError QUEUE_UNAVAILABLE */
  write(verdicts: readonly Verdict[], origin: VerdictOrigin): Promise<void> {
    return this.#order.run(async () => {
      if (verdicts.length === 0) return;
      const adding = this.#redis.client.multi();
      for (const [place, verdict] of verdicts.entries()) {
        const { key, status } = verdict;
        const fields = [
          'id',
          verdictId(origin, place),
          'key',
          key,
          'status',
          status,
          'verdict',
          formatVerdict(verdict),
        ];
        adding.xadd(this.#key, 'MAXLEN', '~', this.#length, '*', ...fields);
      }
      try {
        const answers = await adding.exec();
        for (const [error] of answers ?? []) if (error !== null) throw error;
      } catch (error) {
        throw queueFault(error);
      }
    });
  }

  close(): Promise<void> {
    return this.#order.settled();
  }
}
