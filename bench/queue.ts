/**
 * What queue and storage of the distributed pipeline cost.
 *
 *     node dist/bench/queue.js [--redis-url URL] [--sizes 10000,1000000] [--chunk 64] [--images 400] [--rounds 3] [--json FILE]
 *
 * First jobs of many keys with images in memory and a classifier that costs nothing: one process lists and enqueues, one
 * fetches, defends and publishes. Smaller jobs are run before and after the largest, so that a machine that gets slower does
 * not look like a cost of size. Then the real thing: the same photographs through `deflector run` and through the queue, in
 * turns, each with its model live before the time is taken.
 */
import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { availableCores } from '../src/config/cores.js';
import type { UserOptions } from '../src/config/settings.js';
import { JobRecords } from '../src/jobs/job-records.js';
import type { RedisConnection } from '../src/queue/redis.js';
import { atLeast, benchCommand, runBenchCommand } from './lib/command.js';
import { folderOf, imagesOf, withScratch } from './lib/folders.js';
import { makePhotographs } from './lib/photographs.js';
import { type Errand, type Produced, startProcess } from './lib/queue-process.js';
import { withRedis } from './lib/redis-keys.js';
import { mean, median, medianRatio, percent, short, table } from './lib/statistics.js';
import { writeTinyModel } from './lib/tiny-model.js';

interface Options {
  readonly redisUrl: string;
  readonly sizes: string;
  readonly repeat: number;
  readonly chunk: number;
  readonly images: number;
  readonly data?: string;
  readonly rounds: number;
}

/** Processor seconds of those who take part. */
interface Usage {
  readonly producer: number;
  readonly worker: number;
  readonly redis: number;
}

interface Keys {
  /** From the call of the producer until the last verdict is counted. */
  readonly seconds: number;
  readonly cpu: Usage;
  readonly produced: Produced;
}

/** Milliseconds between two looks at a job. */
const LOOK_MS = 25;

async function measure(options: Options): Promise<unknown> {
  const prefix = `bench-${randomUUID()}`;
  return withRedis(options.redisUrl, prefix, redis =>
    withScratch(async scratch => {
      const queue = { redisUrl: options.redisUrl, queuePrefix: prefix };
      const keys = await measureKeys(options, queue, redis, scratch);
      const job = options.rounds === 0 ? undefined : await measureJobs(options, queue, redis, scratch);
      return { keys, job };
    }),
  );
}

async function measureKeys(
  { sizes: list, repeat, chunk }: Options,
  queue: UserOptions,
  redis: RedisConnection,
  scratch: string,
): Promise<unknown> {
  const sizes = list.split(',').map(atLeast(1));
  const smaller = sizes.slice(0, -1).flatMap(size => Array<number>(repeat).fill(size));
  const order = [sizes[0]!, ...smaller, sizes.at(-1)!, ...smaller.toReversed()];
  const flags = { ...queue, chunk, model: await writeTinyModel(join(scratch, 'tiny')), seed: '1' };
  for (const size of sizes) await writeManifest(join(scratch, `${size}.txt`), size);
  const [producer, worker] = [await startProcess('produce', flags), await startProcess('free', flags)];
  const usage = async (): Promise<Usage> => ({
    producer: await producer.cpuSeconds(),
    worker: await worker.cpuSeconds(),
    redis: await redisCpuSeconds(redis),
  });
  const measured = new Map(sizes.map(size => [size, [] as Keys[]]));
  for (const [n, images] of order.entries()) {
    const name = `keys-${n}`;
    const errand: Errand = { name, input: join(scratch, `${images}.txt`), out: join(scratch, name), images };
    const before = await usage();
    const start = Date.now();
    const produced = await producer.produce(errand);
    const seconds = ((await finished(redis, name)) - start) / 1000;
    const after = await usage();
    const cpu = {
      producer: after.producer - before.producer,
      worker: after.worker - before.worker,
      redis: after.redis - before.redis,
    };
    await rm(errand.out, { recursive: true });
    // The first one warms up.
    if (n > 0) measured.get(images)!.push({ seconds, cpu, produced });
    process.stderr.write(`${images} keys in ${short(seconds)} s\n`);
  }
  await Promise.all([producer.end(), worker.end()]);
  const figures = [...measured].map(([keys, jobs]) => {
    const each = (of: (job: Keys) => number) => (1e6 * median(jobs.map(of))) / keys;
    return {
      keys,
      n: jobs.length,
      keysASecond: keys / median(jobs.map(({ seconds }) => seconds)),
      microseconds: each(({ seconds }) => seconds),
      cpuMicroseconds: {
        producer: each(({ cpu }) => cpu.producer),
        worker: each(({ cpu }) => cpu.worker),
        redis: each(({ cpu }) => cpu.redis),
        all: each(({ cpu }) => cpu.producer + cpu.worker + cpu.redis),
      },
      producerMiB: [0, 1, 2, 3].map(quarter => Math.max(...jobs.map(({ produced }) => produced.residentMiB[quarter]!))),
    };
  });
  console.log(
    table([
      ['keys', 'n', 'keys/s', 'us/key', 'CPU us/key', 'producer', 'worker', 'Redis', 'producer MiB, by quarter'],
      ...figures.map(row => [
        String(row.keys),
        String(row.n),
        row.keysASecond.toFixed(0),
        short(row.microseconds),
        short(row.cpuMicroseconds.all),
        short(row.cpuMicroseconds.producer),
        short(row.cpuMicroseconds.worker),
        short(row.cpuMicroseconds.redis),
        row.producerMiB.map(size => size.toFixed(0)).join(' '),
      ]),
    ]),
  );
  const [first, last] = [figures[0]!, figures.at(-1)!];
  const ratios = {
    cost: last.microseconds / first.microseconds,
    cpu: last.cpuMicroseconds.all / first.cpuMicroseconds.all,
    memory: Math.max(...last.producerMiB) / Math.max(...first.producerMiB),
  };
  console.log(
    `${last.keys} against ${first.keys} keys: cost per key ${percent(ratios.cost)}, ` +
      `CPU time ${percent(ratios.cpu)}, producer's memory ${percent(ratios.memory)}`,
  );
  return { figures, ratios };
}

async function measureJobs(
  { images, data, rounds }: Options,
  queue: UserOptions,
  redis: RedisConnection,
  scratch: string,
): Promise<unknown> {
  const photographs = data === undefined ? await makePhotographs(join(scratch, 'made')) : await imagesOf(data);
  const input = await folderOf(photographs, images, join(scratch, 'photographs'));
  const flags = { ...queue, threads: availableCores(), seed: '1', quiet: true };
  const [producer, worker, embedded] = await Promise.all([
    startProcess('produce', flags),
    startProcess('worker', flags),
    startProcess('embedded', { threads: flags.threads, seed: flags.seed, quiet: true }),
  ]);
  const usage = async () =>
    (await producer.cpuSeconds()) + (await worker.cpuSeconds()) + (await redisCpuSeconds(redis));
  const [run, queued]: { seconds: number[]; cpu: number[] }[] = [
    { seconds: [], cpu: [] },
    { seconds: [], cpu: [] },
  ];
  for (let round = 0; round <= rounds; round++) {
    const name = `job-${round}`;
    const errand: Errand = { name, input, out: join(scratch, name), images };
    const alone = await embedded.embedded({ ...errand, out: join(scratch, 'embedded') });
    const before = await usage();
    const start = Date.now();
    await producer.produce(errand);
    const seconds = ((await finished(redis, name)) - start) / 1000;
    const cpu = (await usage()) - before;
    process.stderr.write(`round ${round}: run ${short(alone.seconds)} s, through the queue ${short(seconds)} s\n`);
    // In the first one the worker opens its model.
    if (round === 0) continue;
    run!.seconds.push(alone.seconds);
    run!.cpu.push(alone.cpuSeconds);
    queued!.seconds.push(seconds);
    queued!.cpu.push(cpu);
  }
  await Promise.all([producer.end(), worker.end(), embedded.end()]);
  const share = 1 - medianRatio(run!.seconds, queued!.seconds);
  const cpuShare = 1 - medianRatio(run!.cpu, queued!.cpu);
  console.log(
    `${images} photographs, ${rounds} rounds: ${short(mean(run!.seconds))} s by run, ` +
      `${short(mean(queued!.seconds))} s through the queue; share of queue and storage ${percent(share)} of the wall time, ` +
      `${percent(cpuShare)} of the CPU time`,
  );
  return { images, run, queued, share, cpuShare };
}

async function writeManifest(path: string, keys: number): Promise<void> {
  const lines = function* () {
    for (let n = 0; n < keys; n++) yield `images/${String(n).padStart(8, '0')}.jpg\n`;
  };
  await pipeline(Readable.from(lines()), createWriteStream(path));
}

/** @returns when the last verdict was counted, in milliseconds since 1970 */
async function finished(redis: RedisConnection, name: string): Promise<number> {
  const records = new JobRecords(redis);
  const job = await records.get(name);
  for (;;) {
    const { finishedAt, dead } = await records.progress(job);
    if (dead > 0) throw new Error(`${dead} chunks of ${name} were given up`);
    if (finishedAt !== undefined) return Date.parse(finishedAt);
    await sleep(LOOK_MS);
  }
}

/** Of the server, which nothing else may use meanwhile. */
async function redisCpuSeconds({ client }: RedisConnection): Promise<number> {
  const info = await client.info('cpu');
  const field = (name: string) => Number(new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1]);
  return field('used_cpu_user') + field('used_cpu_sys');
}

await runBenchCommand(
  benchCommand<Options>('queue', 'What queue and storage of the distributed pipeline cost.', measure)
    .option('--redis-url <url>', 'address of Redis', 'redis://127.0.0.1:6379')
    .option('--sizes <list>', 'keys of each job, ascending, with commas', '10000,1000000')
    .option('--repeat <n>', 'jobs of each smaller size, before the largest and after it', atLeast(1), 3)
    .option('--chunk <n>', 'keys of each chunk', atLeast(1), 64)
    .option('--images <n>', 'photographs of the real job', atLeast(1), 400)
    .option('--data <dir>', 'photographs; without it some are made')
    .option('--rounds <n>', 'turns of the real job; 0 leaves it out', atLeast(0), 3),
);
