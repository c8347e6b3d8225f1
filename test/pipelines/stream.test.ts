import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { JobStream, type StreamOrder, type StreamPorts } from '../../pipelines/stream.js';
import { resolveSettings } from '../../src/config/settings.js';
import { formatChunk, readChunk, writeChunk } from '../../src/jobs/chunk-files.js';
import type { Job } from '../../src/jobs/job.js';
import { JobRecords } from '../../src/jobs/job-records.js';
import { closeStageQueues, openStageQueues } from '../../src/jobs/stage-queues.js';
import { connectRedis, type RedisConnection } from '../../src/queue/redis.js';
import { storeOpener } from '../../src/storage/open-store.js';
import { S3Connection } from '../../src/storage/s3-connection.js';
import { collect, temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { type RedisServer, startRedis } from '../helpers/redis-server.js';
import { writeTinyModel } from '../helpers/tiny-model.js';

let server: RedisServer;
let redis: RedisConnection;
let model: string;
const ends: (() => unknown)[] = [];
before(async () => {
  server = await startRedis();
  redis = await connectRedis(
    { redisUrl: server.url, redisCluster: false, redisMaster: null, queuePrefix: 'deflector' },
    'bounded',
  );
  model = await writeTinyModel(
    join(await temporaryFolder({ after: end => void ends.push(end as () => unknown) }), 'tiny'),
  );
});
after(async () => {
  await redis.close();
  await server.stop();
  for (const end of ends) await end();
});

// Behind the hooks above, so that it looks when they are done.
checkLeaks();

/** A stream with a Redis of its own but for the server. */
async function setting(t: TestContext, flags: Record<string, unknown> = {}) {
  await redis.client.flushall();
  const options = resolveSettings({ flags: { model, seed: '1', ...flags } });
  const s3 = new S3Connection(options);
  const records = new JobRecords(redis);
  const queues = await openStageQueues(redis);
  t.after(() => closeStageQueues(queues));
  const ports: StreamPorts = { records, queues, s3 };
  const queue = queues.defend;
  const stores = [{ url: 's3://photos/', prefix: 'photos/' }];
  const out = await temporaryFolder(t);
  const order: StreamOrder = { name: 'ingest', lane: 'online', inputs: ['s3://photos'], stores, out, options };
  const jobs = () => collect(records.list());
  const storeOf = (job: Job) => storeOpener(s3)(job.out);
  /** The keys of a job, in the order of its chunks. */
  const keysOf = async (job: Job): Promise<string[]> => {
    const keys: string[] = [];
    const { chunks } = await records.progress(job);
    for (let chunk = 0; chunk < chunks; chunk++) {
      for (const item of await readChunk(storeOf(job), chunk)) {
        assert.equal(item.index, keys.length);
        keys.push(item.key);
      }
    }
    return keys;
  };
  return { ports, order, records, queue, jobs, keysOf, storeOf };
}

const images = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({ key: `photos/${from + i}.jpg`, store: 0 }));

describe('a stream of images', () => {
  it('loses none and doubles none, with several processes at it', async t => {
    const { ports, order, records, queue, jobs, keysOf } = await setting(t);
    const streams = await Promise.all([1, 2, 3].map(() => JobStream.open(order, ports)));
    const adding = streams.flatMap((stream, s) =>
      Array.from({ length: 30 }, (_, i) => stream.append(images(1000 * s + 5 * i, 5))),
    );
    const placed = (await Promise.all(adding)).flat();
    const [job, ...others] = await jobs();
    assert.deepEqual(others, []);
    const keys = await keysOf(job!);
    assert.equal(keys.length, 450);
    assert.equal(new Set(keys).size, 450);
    const { chunks, images: count, state } = await records.progress(job!);
    assert.deepEqual([count, state], [450, 'listing']);
    assert.deepEqual(await queue.counts(), { online: chunks, bulk: 0, inHand: 0, delayed: 0 });
    // Each caller knows where its images are.
    const chunkSizes = new Map<number, number>();
    for (const { chunk, place } of placed) chunkSizes.set(chunk, Math.max(chunkSizes.get(chunk) ?? 0, place + 1));
    assert.equal(
      [...chunkSizes.values()].reduce((sum, size) => sum + size, 0),
      450,
    );
    await Promise.all(streams.map(stream => stream.close()));
  });

  it('closes its job with itself, and another process begins the next', async t => {
    const { ports, order, records, jobs, keysOf } = await setting(t);
    const one = await JobStream.open(order, ports);
    const two = await JobStream.open(order, ports);
    await one.append(images(0, 2));
    await two.append(images(2, 2));
    await one.close();
    await two.append(images(4, 2));
    await two.close();
    const [second, first] = await jobs();
    assert.equal(second!.name, `${first!.name}.2`);
    assert.deepEqual(await keysOf(first!), ['photos/0.jpg', 'photos/1.jpg', 'photos/2.jpg', 'photos/3.jpg']);
    assert.deepEqual(await keysOf(second!), ['photos/4.jpg', 'photos/5.jpg']);
    assert.equal((await records.progress(first!)).state, 'running');
  });

  it('has a job for each hour, and closes what a lost process left open', async t => {
    const { ports, order, records, jobs } = await setting(t);
    let now = new Date('2026-01-01T10:59:00Z');
    const lost = await JobStream.open(order, ports, () => now);
    await lost.append(images(0, 1));
    const later = await JobStream.open(order, ports, () => now);
    now = new Date('2026-01-01T11:00:00Z');
    await later.append(images(1, 1));
    assert.equal((await jobs()).length, 2);
    now = new Date('2026-01-01T14:00:00Z');
    const next = await JobStream.open(order, ports, () => now);
    const states = await Promise.all((await jobs()).map(async job => (await records.progress(job)).state));
    assert.deepEqual(states, ['running', 'running']);
    await Promise.all([lost, later, next].map(stream => stream.close()));
  });

  it('takes up a chunk that a lost process wrote and did not name', async t => {
    const { ports, order, queue, jobs, keysOf, storeOf } = await setting(t);
    const stream = await JobStream.open(order, ports);
    await stream.append(images(0, 1));
    const [job] = await jobs();
    const orphan = images(7, 3).map((image, i) => ({ index: 1 + i, ...image }));
    await writeChunk(storeOf(job!), 1, formatChunk(orphan));
    const [placed] = await stream.append(images(1, 1));
    assert.equal(placed!.chunk, 2);
    assert.deepEqual(
      await keysOf(job!),
      [0, 7, 8, 9, 1].map(n => `photos/${n}.jpg`),
    );
    assert.equal((await queue.counts()).online, 3);
    await stream.close();
  });

  it('of other settings has jobs of its own', async t => {
    const { ports, order, jobs } = await setting(t);
    const options = resolveSettings({ flags: { model, seed: '2' } });
    for (const own of [order, { ...order, options }, { ...order, lane: 'bulk' as const }]) {
      const stream = await JobStream.open(own, ports);
      await stream.append(images(0, 1));
      await stream.close();
    }
    assert.equal(new Set((await jobs()).map(({ name }) => name)).size, 3);
  });

  it('says when the queue is full', async t => {
    const { ports, order } = await setting(t, { queueLimit: 2, chunk: 1 });
    const stream = await JobStream.open(order, ports);
    assert.equal(await stream.isFull(), false);
    await stream.append(images(0, 2));
    while (!(await stream.isFull())) await new Promise(resolve => setTimeout(resolve, 20));
    await stream.close();
  });
});
