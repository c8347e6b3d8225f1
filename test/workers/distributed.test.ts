/** The laws of the distributed pipeline: at least once in, exactly once out, and the bytes of the embedded one. */
import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBullQueue } from '../../src/queue/bull-queue.js';
import { deployment, until } from '../helpers/distributed.js';
import { checkLeaks } from '../helpers/leaks.js';
import { startRedisCluster } from '../helpers/redis-server.js';
import { timelessLines } from '../helpers/results.js';
import { tinyName } from '../helpers/tiny-images.js';
import { writeTinyModel } from '../helpers/tiny-model.js';

checkLeaks();

const IMAGES = 200;

describe('a distributed job', () => {
  it('has the results of an embedded one, with one worker and with three', async t => {
    const { folder, input, enqueue, worker, results, embedded, command } = await deployment(t, IMAGES);
    await writeFile(join(input, '00003b.png'), 'no image');
    const expected = await embedded();
    assert.equal(expected.length, IMAGES + 1);
    assert.equal((await enqueue('alone')).code, 0);
    await worker();
    assert.deepEqual(await results('alone'), expected);
    await Promise.all([worker(['--concurrency', '3']), worker()]);
    await enqueue('three', '--chunk', '7');
    assert.deepEqual(await results('three'), expected);
    const { code, stdout } = await command('jobs', 'export', 'three', '--to', join(folder, 'elsewhere'), '--json');
    assert.deepEqual([code, JSON.parse(stdout).counts.errors], [0, { IMAGE_UNSUPPORTED: 1 }]);
    assert.deepEqual(await timelessLines(join(folder, 'elsewhere/results.jsonl')), expected);
  });

  it('has the same results where defend and publish are processes of their own', async t => {
    const { enqueue, worker, results, embedded, progress } = await deployment(t, 100);
    const expected = await embedded();
    await enqueue('job');
    await worker(['defend']);
    await sleep(500);
    assert.equal((await progress('job')).verdicts.total, 0);
    await worker(['publish']);
    assert.deepEqual(await results('job'), expected);
  });

  it('has the same results on a Redis Cluster', async t => {
    const cluster = await startRedisCluster();
    t.after(() => cluster.stop());
    const settings = { DEFLECTOR_REDIS_URL: cluster.urls, DEFLECTOR_REDIS_CLUSTER: 'true' };
    const { enqueue, worker, results, embedded } = await deployment(t, 60, settings);
    await enqueue('job');
    await Promise.all([worker(), worker()]);
    assert.deepEqual(await results('job'), await embedded());
  });

  it('loses nothing and counts nothing twice when a worker is killed in the middle', async t => {
    const { enqueue, worker, results, embedded, progress } = await deployment(t, IMAGES);
    const expected = await embedded();
    await enqueue('job', '--chunk', '8');
    const first = await worker();
    await until(async () => (await progress('job')).done >= 2);
    await first.end('SIGKILL');
    await worker();
    assert.deepEqual(await results('job'), expected);
    const { state, done, dead, verdicts } = await progress('job');
    assert.deepEqual([state, done, dead, verdicts.total], ['complete', IMAGES / 8, 0, IMAGES]);
  });

  it('goes on when Redis crashes and comes back', async t => {
    const { redis, enqueue, worker, results, embedded, progress } = await deployment(t, IMAGES);
    const expected = await embedded();
    await enqueue('job', '--chunk', '8');
    await worker();
    await until(async () => (await progress('job')).done >= 2);
    await redis.restart();
    assert.deepEqual(await results('job'), expected);
    assert.equal((await progress('job')).verdicts.total, IMAGES);
  });

  it('finds again the chunks that Redis forgot', async t => {
    const { connection, enqueue, worker, results, embedded } = await deployment(t, 64);
    const expected = await embedded();
    await enqueue('job');
    const ids = await connection.client.zrange('{deflector}:defend:prioritized', '0', '-1');
    assert.equal(ids.length, 4);
    const queue = await openBullQueue('defend', connection);
    await queue.discard(ids.slice(1, 3));
    await queue.close();
    const { log } = await worker();
    assert.deepEqual(await results('job'), expected);
    assert.match(log(), /2 chunks of job were in no queue and are back/);
  });

  it('counts a chunk once however often it is delivered', async t => {
    const { connection, enqueue, worker, results, embedded, progress } = await deployment(t, 64);
    const expected = await embedded();
    await enqueue('job');
    const [id = ''] = await connection.client.zrange('{deflector}:defend:prioritized', '0', '-1');
    const data = await connection.client.hget(`{deflector}:defend:${id}`, 'data');
    for (const stage of ['defend', 'publish']) {
      const queue = await openBullQueue<unknown>(stage, connection);
      const copies = [1, 2, 3].map(n => ({ id: `copy-${n}`, lane: 'online' as const, payload: JSON.parse(data!) }));
      if (stage === 'defend') await queue.add(copies);
      else {
        await worker();
        await results('job');
        await queue.add(copies);
        await until(async () => (await queue.missing(copies.map(copy => copy.id))).length === 3);
      }
      await queue.close();
    }
    assert.deepEqual(await results('job'), expected);
    assert.deepEqual((await progress('job')).verdicts.total, 64);
  });

  it('is handed back by a worker that is asked to stop and cannot finish in time', async t => {
    const { enqueue, worker, results, embedded, progress } = await deployment(t, 64);
    const expected = await embedded();
    await enqueue('job', '--chunk', '64');
    const slow = await worker(['--drain', '0'], `${tinyName(60)}=hang`);
    await until(async () => (await progress('job')).chunks === 1);
    await sleep(1000);
    // The image that hangs keeps the process until its grace is over; the others of its chunk are done by then.
    assert.equal(await slow.end('SIGTERM'), 1);
    await worker();
    assert.deepEqual(await results('job'), expected);
  });

  it('is cancelled promptly, and lets go of what is in hand', async t => {
    const { enqueue, worker, command, progress } = await deployment(t, IMAGES);
    await enqueue('job', '--runs', '1000', '--early-stop', 'off');
    const { log } = await worker(['--concurrency', '1']);
    await until(async () => log().length > 0);
    await sleep(500);
    const { code } = await command('jobs', 'cancel', 'job');
    assert.equal(code, 0);
    assert.equal((await progress('job')).state, 'cancelled');
    await enqueue('next', '--lane', 'bulk');
    assert.equal((await command('jobs', 'wait', 'next', '--quiet')).code, 0);
    const { state, verdicts } = await progress('job');
    assert.equal(state, 'cancelled');
    assert.ok(verdicts.total < IMAGES);
    assert.equal((await command('jobs', 'wait', 'job', '--quiet')).code, 1);
    assert.equal((await command('jobs', 'export', 'job')).code, 2);
  });

  it('loses to images that take their process down, or hold it, those images alone', async t => {
    const { enqueue, worker, results, embedded, command } = await deployment(t, 96);
    const expected = await embedded();
    await enqueue('job');
    const deadly = `${tinyName(20)}=kill,${tinyName(70)}=hang`;
    let ended = 0;
    const keepOne = async (): Promise<void> => {
      const one = await worker(['--image-limit', '4'], deadly);
      void one.ended.then(() => {
        ended++;
        if (!over) void keepOne();
      });
    };
    let over = false;
    await keepOne();
    const lines = await results('job');
    over = true;
    assert.ok(ended >= 2, `${ended} workers ended`);
    for (const [place, cause] of [
      [20, 'was ended by SIGKILL'],
      [70, 'did not answer within 4 s'],
    ] as const) {
      const { code, message } = JSON.parse(lines[place]!).error;
      assert.deepEqual([code, message], ['WORKER_LOST', `The process that had this image for itself ${cause}`]);
      lines[place] = expected[place]!;
    }
    assert.deepEqual(lines, expected);
    const letters = JSON.parse((await command('jobs', 'dead', 'job', '--json')).stdout);
    assert.deepEqual(
      letters.map(({ chunk, code, keys }: Record<string, unknown>) => [chunk, code, keys]),
      [
        [1, 'WORKER_LOST', [tinyName(20)]],
        [4, 'WORKER_LOST', [tinyName(70)]],
      ],
    );
  });

  it('keeps what a broken store stopped in its dead letters, and does it when asked again', async t => {
    const { folder, enqueue, worker, results, embedded, command, progress } = await deployment(t, 48);
    const expected = await embedded();
    await enqueue('job');
    const name = join(folder, 'job/chunks/0000/0001.input.json');
    const kept = await readFile(name);
    await rm(name);
    await worker(['--attempts', '2']);
    const waited = await command('jobs', 'wait', 'job', '--quiet');
    assert.equal(waited.code, 1);
    const { state, done, dead } = await progress('job');
    assert.deepEqual([state, done, dead], ['stuck', 2, 1]);
    const [letter] = JSON.parse((await command('jobs', 'dead', 'job', '--json')).stdout);
    assert.deepEqual([letter.chunk, letter.code, letter.failures], [1, 'STORE_UNAVAILABLE', 2]);
    await writeFile(name, kept);
    assert.deepEqual(JSON.parse((await command('jobs', 'retry', 'job', '--json')).stdout), { job: 'job', chunks: 1 });
    assert.deepEqual(await results('job'), expected);
    assert.equal((await progress('job')).dead, 0);
  });

  it('is refused by a worker whose model is another one', async t => {
    const { folder, enqueue, worker, command } = await deployment(t, 8);
    await enqueue('job');
    await writeTinyModel(join(folder, 'tiny'), 2);
    await worker(['--attempts', '1']);
    await command('jobs', 'wait', 'job', '--quiet');
    const [letter] = JSON.parse((await command('jobs', 'dead', 'job', '--json')).stdout);
    assert.equal(letter.code, 'WORKER_UNFIT');
    assert.match(
      letter.message,
      /^The job job needs the model tiny with the SHA-256 [0-9a-f]{12}\.\.\., but here it is/,
    );
  });
});
