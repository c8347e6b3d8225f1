/**
 * The ingest gateway at a fixed rate: whether all that it accepted is in the queue, and what it says when the queue is full.
 *
 *     node dist/bench/ingest.js [--redis-url URL] [--rate N] [--seconds N] [--json FILE]
 *
 * Starts gateways of its own with keys of their own in Redis, and removes them again. No worker runs, so nothing leaves
 * the queue.
 */
import { randomUUID } from 'node:crypto';
import { atLeast, benchCommand, runBenchCommand } from './lib/command.js';
import { withScratch } from './lib/folders.js';
import { type LoadOutcome, loadGateway } from './lib/ingest-load.js';
import { withRedis } from './lib/redis-keys.js';
import { table } from './lib/statistics.js';

interface Options {
  readonly redisUrl: string;
  readonly rate: number;
  readonly seconds: number;
}

/** Chunks that fill the queue of the second gateway soon. */
const SHORT_QUEUE = 100;

async function measure({ redisUrl, rate, seconds }: Options): Promise<unknown> {
  const rows: (LoadOutcome & { readonly name: string })[] = [];
  for (const [name, queueLimit] of [
    ['room in the queue', 1_000_000],
    [`room for ${SHORT_QUEUE} chunks`, SHORT_QUEUE],
  ] as const) {
    const prefix = `bench-${randomUUID()}`;
    const load = (out: string) => loadGateway({ redisUrl, prefix, out, rate, seconds, queueLimit, settings: [] });
    rows.push({ name, ...(await withRedis(redisUrl, prefix, () => withScratch(load))) });
  }
  console.log(
    table([
      ['', 'sent', '202', '429', 'other', 'lost', 'chunks', 'p50 ms', 'p99 ms'],
      ...rows.map(row => [
        row.name,
        ...[
          row.sent,
          row.accepted,
          row.refused,
          row.failed,
          row.accepted - row.stored,
          row.chunks,
          row.p50,
          row.p99,
        ].map(String),
      ]),
    ]),
  );
  return rows;
}

await runBenchCommand(
  benchCommand<Options>('ingest', 'The ingest gateway at a fixed rate of events.', measure)
    .option('--redis-url <url>', 'address of Redis', 'redis://127.0.0.1:6379')
    .option('--rate <n>', 'events a second', atLeast(1), 200)
    .option('--seconds <n>', 'for so long', atLeast(1), 60),
);
