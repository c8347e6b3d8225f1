import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { produce } from '../../pipelines/producer.js';
import { resolveSettings, type UserOptions } from '../../src/config/settings.js';
import { readChunk } from '../../src/jobs/chunk-files.js';
import type { ChunkPayload } from '../../src/jobs/chunk-task.js';
import { JobRecords } from '../../src/jobs/job-records.js';
import { openBullQueue } from '../../src/queue/bull-queue.js';
import { connectRedis } from '../../src/queue/redis.js';
import { FileSystemStore } from '../../src/storage/filesystem-store.js';
import { S3Connection } from '../../src/storage/s3-connection.js';
import { temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { type RedisServer, startRedis } from '../helpers/redis-server.js';
import { writeTinyModel } from '../helpers/tiny-model.js';

checkLeaks();

const NEVER = new AbortController().signal;

describe('the producer', () => {
  let server: RedisServer;
  before(async () => {
    server = await startRedis();
  });
  after(() => server.stop());

  let scenes = 0;

  /** A manifest of so many keys: nothing looks at the images. */
  async function scene(t: TestContext, images: number) {
    const folder = await temporaryFolder(t);
    const model = await writeTinyModel(join(folder, 'tiny'));
    const manifest = join(folder, 'list.txt');
    const keys = Array.from({ length: images }, (_, n) => `${n}.jpg`);
    const list = (names: readonly string[]) => writeFile(manifest, names.join('\n'));
    await list(keys);
    const queuePrefix = `test-${scenes++}`;
    const redis = await connectRedis(
      { redisUrl: server.url, redisCluster: false, redisMaster: null, queuePrefix },
      'bounded',
    );
    const records = new JobRecords(redis);
    const queue = await openBullQueue<ChunkPayload>('defend', redis);
    t.after(async () => {
      await queue.close();
      await redis.close();
    });
    const s3 = new S3Connection(resolveSettings({}));
    const out = join(folder, 'out');
    const run = (changes: UserOptions = {}, signal: AbortSignal = NEVER, named: () => void = () => undefined) => {
      const options = resolveSettings({ flags: { model, seed: '1', chunk: 4, ...changes } });
      return produce(
        { name: 'job', inputs: [manifest], out, options },
        { records, queues: { defend: queue, fetch: queue }, s3 },
        named,
        signal,
      );
    };
    const listed = async (chunks: number) => {
      const store = new FileSystemStore(out);
      const all = await Promise.all(Array.from({ length: chunks }, (_, chunk) => readChunk(store, chunk)));
      return all.flat().map(({ index, key }) => [index, key]);
    };
    /** Stops as soon as the first chunks are named. */
    const stopped = async () => {
      const stop = new AbortController();
      return run({}, stop.signal, () => stop.abort());
    };
    return { keys, list, queue, records, run, stopped, listed, manifest };
  }

  it('cuts the listing into chunks, in order, and queues each once', async t => {
    const { keys, queue, run, listed } = await scene(t, 10);
    const { job, chunks, images, complete } = await run();
    assert.deepEqual([chunks, images, complete, (await queue.counts()).bulk], [3, 10, true, 3]);
    assert.deepEqual(
      await listed(3),
      keys.map((key, index) => [index, key]),
    );
    assert.deepEqual(await queue.missing([0, 1, 2, 3].map(chunk => `job.${job.id}.${chunk}`)), [`job.${job.id}.3`]);
    const again = await run();
    assert.deepEqual([again.job, again.chunks, (await queue.counts()).bulk], [job, 3, 3]);
  });

  it('goes on where it was stopped, and queues nothing twice', async t => {
    const { keys, queue, run, stopped, listed } = await scene(t, 200);
    const first = await stopped();
    assert.deepEqual([first.complete, first.chunks], [false, 16]);
    const { chunks, images, complete } = await run();
    assert.deepEqual([chunks, images, complete, (await queue.counts()).bulk], [50, 200, true, 50]);
    assert.deepEqual(
      await listed(50),
      keys.map((key, index) => [index, key]),
    );
  });

  it('refuses to go on with other inputs, settings or models', async t => {
    const { keys, list, run, stopped } = await scene(t, 200);
    await stopped();
    for (const other of [keys.with(7, 'other.jpg'), keys.slice(1), keys.slice(0, 20), []]) {
      await list(other);
      await assert.rejects(run(), { code: 'JOB_MISMATCH', message: /^The inputs are not those/ });
    }
    await list(keys);
    await assert.rejects(run({ runs: 3 }), {
      code: 'JOB_MISMATCH',
      message: 'The job job began with --runs 10, not 3',
    });
    await assert.rejects(run({ chunk: 5 }), { code: 'JOB_MISMATCH' });
    assert.equal((await run()).complete, true);
  });

  it('waits while the queue is full, and goes on when it drains', async t => {
    const { queue, records, run } = await scene(t, 400);
    const running = run({ queueLimit: 10 });
    const depth = async () => (await queue.counts()).bulk;
    while ((await depth()) < 10) await sleep(10);
    await sleep(500);
    // What is queued together may go over the limit, once.
    assert.equal(await depth(), 16);
    const { id } = await records.get('job');
    for (let done = 0; done < 100; done += 4) {
      await queue.discard([0, 1, 2, 3].map(n => `job.${id}.${done + n}`));
      await sleep(20);
      assert.ok((await depth()) < 10 + 16);
    }
    let over = false;
    void running.finally(() => {
      over = true;
    });
    while (!over) {
      await queue.discard(Array.from({ length: 100 }, (_, n) => `job.${id}.${n}`));
      await sleep(10);
    }
    const { chunks, complete } = await running;
    assert.deepEqual([chunks, complete], [100, true]);
  });

  it('ends when its job is cancelled', async t => {
    const { records, run, stopped } = await scene(t, 200);
    const { job } = await stopped();
    await records.cancel(job);
    await assert.rejects(run(), { code: 'INTERRUPTED' });
  });

  it('begins nothing where a model or an input is missing', async t => {
    const { records, run, manifest } = await scene(t, 4);
    await assert.rejects(run({ model: 'nowhere' }), { code: 'MODEL_NOT_FOUND' });
    await rm(manifest);
    await assert.rejects(run(), { code: 'INPUT_NOT_FOUND' });
    await assert.rejects(records.get('job'), { code: 'JOB_NOT_FOUND' });
  });
});
