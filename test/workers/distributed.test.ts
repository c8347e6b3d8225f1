/** The laws of the distributed pipeline: at least once in, exactly once out, and the bytes of the embedded one. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBullQueue } from '../../src/queue/bull-queue.js';
import { certify } from '../helpers/certificates.js';
import { deflector } from '../helpers/cli.js';
import { deployment, until } from '../helpers/distributed.js';
import { filesBelow, temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { readParquet } from '../helpers/parquet.js';
import { startNamedRedisCluster, startRedisCluster, startRedisWithTls } from '../helpers/redis-server.js';
import { digestsBelow, timelessLines } from '../helpers/results.js';
import { tinyName } from '../helpers/tiny-images.js';
import { writeTinyModel } from '../helpers/tiny-model.js';

checkLeaks();

const IMAGES = 200;

/** The rows of a job's table, without their durations. */
async function timelessRows(out: string): Promise<unknown[]> {
  const verdicts = await readParquet(await readFile(join(out, 'results.parquet')));
  return verdicts.map(({ ms: _, ...verdict }) => verdict);
}

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

  it('has them too where several models vote, which are one model to its record', async t => {
    const { folder, defence, enqueue, worker, results, command, input } = await deployment(t, 20);
    const voters = ['--voters', await writeTinyModel(join(folder, 'second'), 2)];
    const ran = await command('run', input, '--out', join(folder, 'embedded'), '--quiet', ...defence, ...voters);
    assert.equal(ran.code, 0, ran.stderr);
    const expected = await timelessLines(join(folder, 'embedded/results.jsonl'));
    assert.match(expected[0]!, /"model":{"name":"tiny\+second","sha256":"[0-9a-f]{64}"}/);
    await enqueue('job', '--fetch', 'separate', ...voters);
    for (const stage of ['fetch', 'defend', 'publish']) await worker([stage]);
    assert.deepEqual(await results('job'), expected);
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

  it('has the same results where all three stages are processes of their own, and leaves no scratch', async t => {
    const { folder, input, connection, enqueue, worker, results, embedded, progress } = await deployment(t, 100);
    await writeFile(join(input, '00003b.png'), 'no image');
    const expected = await embedded();
    await enqueue('job', '--fetch', 'separate');
    await worker(['defend']);
    await worker(['publish']);
    await sleep(300);
    assert.equal((await progress('job')).verdicts.total, 0);
    await worker(['fetch', '--fetch-ahead', '1']);
    await worker(['fetch', '--fetch-ahead', '1']);
    assert.deepEqual(await results('job'), expected);
    await until(async () => (await filesBelow(join(folder, 'job/scratch'))).length === 0);
    assert.equal(await connection.client.hlen('{deflector}:packs:bulk'), 0);
  });

  it('fetches a chunk again whose pack is damaged, or gone', async t => {
    const { folder, enqueue, worker, results, embedded, progress } = await deployment(t, 64);
    const expected = await embedded();
    await enqueue('job', '--fetch', 'separate');
    const fetching = await worker(['fetch']);
    const scratch = join(folder, 'job/scratch');
    await until(async () => (await filesBelow(scratch)).length === 4);
    await fetching.end('SIGTERM');
    const [first = '', second = '', third = ''] = await filesBelow(scratch);
    const bytes = await readFile(first);
    bytes[bytes.length >> 1]! ^= 1;
    await writeFile(first, bytes);
    await rm(second);
    await writeFile(third, (await readFile(third)).subarray(0, -9));
    const { log } = await worker();
    assert.deepEqual(await results('job'), expected);
    assert.equal(log().match(/goes back to the fetch stage/g)?.length, 3);
    assert.equal((await progress('job')).dead, 0);
    assert.deepEqual(await filesBelow(scratch), []);
  });

  it('leaves the defended images, the table and the pictures of an embedded one, and nothing else once it is cleaned', async t => {
    const { folder, input, defence, enqueue, worker, command, progress } = await deployment(t, 40);
    await writeFile(join(input, '00003b.png'), 'no image');
    await worker();
    for (const form of [
      ['--emit-form', 'files'],
      ['--emit-form', 'shards', '--shard-size', '16', '--fetch', 'separate'],
    ]) {
      const [, name = ''] = form;
      const emit = ['--emit', 'defended', ...form];
      const plain = [...defence, ...emit.slice(0, name === 'files' ? 4 : 6)];
      const embedded = join(folder, `embedded-${name}`);
      assert.equal(
        (await command('run', input, '--out', embedded, '--format', 'both', ...plain, '--max-errors', '1')).code,
        0,
      );
      assert.equal((await enqueue(name, ...emit)).code, 0);
      await command('jobs', 'wait', name, '--quiet');
      const exported = await command('jobs', 'export', name, '--format', 'both');
      assert.deepEqual([exported.code, exported.stderr], [0, '']);
      assert.deepEqual(
        await digestsBelow(join(folder, name, 'defended')),
        await digestsBelow(join(embedded, 'defended')),
      );
      assert.deepEqual(await timelessRows(join(folder, name)), await timelessRows(embedded));
      // One picture of each kind for each image of the gallery.
      const pictures = async (out: string) =>
        (await readFile(join(out, 'report.html'), 'utf8')).match(/data:image\/webp[^"]*/g);
      assert.deepEqual(await pictures(join(folder, name)), await pictures(embedded));
      assert.equal((await command('jobs', 'clean', name)).code, 0);
      const left = (await filesBelow(join(folder, name))).map(path => relative(join(folder, name), path));
      assert.deepEqual(
        left.filter(path => !path.startsWith('defended/')),
        ['report.html', 'results.jsonl', 'results.parquet', 'run.json'],
      );
      assert.ok(!existsSync(join(folder, name, 'chunks')) && !existsSync(join(folder, name, 'scratch')));
      assert.match((await command('jobs', 'export', name, '--overwrite')).stderr, /^error JOB_CLEANED/);
      assert.match((await command('jobs', 'retry', name)).stderr, /^error JOB_CLEANED/);
      assert.ok((await progress(name)).cleanedAt);
    }
    await enqueue('kept');
    await command('jobs', 'wait', 'kept', '--quiet');
    assert.match((await command('jobs', 'clean', 'kept')).stderr, /^error JOB_UNFINISHED: .* never exported/);
    assert.deepEqual(JSON.parse((await command('jobs', 'clean', '--older-than', '0', '--json')).stdout), []);
    assert.equal((await command('jobs', 'export', 'kept', '--format', 'parquet', '--clean')).code, 0);
    assert.deepEqual(
      await filesBelow(join(folder, 'kept')),
      ['report.html', 'results.parquet', 'run.json'].map(name => join(folder, 'kept', name)),
    );
  });

  it('gives error verdicts to what is left when its deadline passes, and says so', async t => {
    const { input, enqueue, worker, results, embedded, command, progress } = await deployment(t, 96);
    const expected = await embedded();
    const late = new Date(Date.now() + 12_000).toISOString();
    for (const [job, ...stage] of [['fused'], ['separate', '--fetch', 'separate']] as [string, ...string[]][]) {
      assert.equal((await enqueue(job, '--deadline', late, ...stage)).code, 0);
    }
    // The same call goes on with a job; another deadline is another job's.
    assert.equal((await enqueue('fused', '--deadline', late)).code, 0);
    assert.match((await enqueue('fused', '--deadline', '1h')).stderr, /^error JOB_MISMATCH: .*--deadline/);
    assert.equal((await enqueue('before', '--deadline', '0s')).code, 0);
    // All images of the second half take longer than there is time, at a pace of several seconds a chunk.
    await worker([], '*=slow');
    for (const job of ['fused', 'separate', 'before']) {
      const lines = await results(job);
      assert.equal(lines.length, expected.length);
      let missed = 0;
      for (const [place, line] of lines.entries()) {
        const { key, error } = JSON.parse(line);
        if (error === undefined) assert.equal(line, expected[place]);
        else {
          missed++;
          assert.deepEqual([key, error.code, error.retryable], [tinyName(place), 'DEADLINE_PASSED', false]);
          if (job !== 'before')
            assert.equal(error.message, `The deadline of the job, ${late}, passed before the image was defended`);
        }
      }
      const shown = (await command('jobs', 'show', job)).stdout;
      if (missed > 0) assert.match(shown, new RegExp(`deadline passed at .*: ${missed} images not defended in time`));
      if (job === 'before') assert.equal(missed, 96);
      assert.equal((await progress(job)).dead, 0);
    }
    assert.ok(existsSync(input));
  });

  it('has its packs cleared when it is cancelled, and when they are too old', async t => {
    const { folder, connection, enqueue, worker, command } = await deployment(t, 64);
    await enqueue('old', '--fetch', 'separate');
    await enqueue('job', '--fetch', 'separate');
    const fetching = await worker(['fetch']);
    const packs = async () =>
      (await Promise.all(['old', 'job'].map(job => filesBelow(join(folder, job, 'scratch'))))).flat();
    await until(async () => (await packs()).length === 8);
    assert.equal((await command('jobs', 'cancel', 'job')).code, 0);
    assert.equal((await packs()).length, 4);
    // As if they had been there for two days.
    const key = '{deflector}:packs:bulk';
    for (const [field, entry] of Object.entries(await connection.client.hgetall(key))) {
      await connection.client.hset(
        key,
        field,
        JSON.stringify({ ...JSON.parse(entry), since: Date.now() - 2 * 86_400_000 }),
      );
    }
    await until(async () => (await packs()).length === 0);
    assert.match(fetching.log(), /"packs":4,"message":"Packs that were of no use any more are gone"/);
    assert.equal(await connection.client.hlen(key), 0);
  });

  it('has the same results on a Redis Cluster', async t => {
    const cluster = await startRedisCluster();
    t.after(() => cluster.stop());
    const settings = { DEFLECTOR_REDIS_URL: cluster.urls, DEFLECTOR_REDIS_CLUSTER: 'true' };
    const { enqueue, worker, results, embedded } = await deployment(t, 60, settings);
    const expected = await embedded();
    await enqueue('job');
    await enqueue('separate', '--fetch', 'separate');
    await Promise.all([worker(), worker()]);
    assert.deepEqual(await results('job'), expected);
    assert.deepEqual(await results('separate'), expected);
  });

  it('goes through Redis by TLS, alone and in a cluster, where certificates hold their names', async t => {
    const certificate = await certify(await temporaryFolder(t), 'localhost');
    const server = await startRedisWithTls(certificate);
    t.after(() => server.stop());
    const node = await startNamedRedisCluster(certificate);
    t.after(() => node.stop());
    const trust = { NODE_EXTRA_CA_CERTS: certificate.authority };
    for (const settings of [
      { ...trust, DEFLECTOR_REDIS_URL: server.tlsUrl },
      { ...trust, DEFLECTOR_REDIS_URL: node.tlsUrl, DEFLECTOR_REDIS_CLUSTER: 'true' },
    ]) {
      const { enqueue, worker, results, embedded } = await deployment(t, 20, settings);
      assert.equal((await enqueue('job')).code, 0);
      await worker();
      assert.deepEqual(await results('job'), await embedded());
    }
    const byAddress = server.tlsUrl.replace('localhost', '127.0.0.1');
    for (const [settings, cause] of [
      [
        { DEFLECTOR_REDIS_URL: server.tlsUrl },
        /^error QUEUE_UNAVAILABLE: .* self-signed certificate in certificate chain/,
      ],
      [
        { ...trust, DEFLECTOR_REDIS_URL: byAddress },
        /^error QUEUE_UNAVAILABLE: .* does not match certificate's altnames/,
      ],
    ] as const) {
      const { code, stderr } = await deflector(['jobs', 'list'], { env: settings });
      assert.equal(code, 3);
      assert.match(stderr, cause);
    }
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
    assert.match(log(), /"job":"job","chunks":2,"message":"Chunks that were in no queue are back"/);
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
    const { connection, enqueue, worker, results, embedded } = await deployment(t, 64);
    const expected = await embedded();
    await enqueue('job', '--chunk', '64');
    const queue = await openBullQueue('defend', connection);
    const counts = () => queue.counts();
    const slow = await worker(['--drain', '0', '--lock', '60'], '*=slow');
    await until(async () => (await counts()).inHand === 1);
    assert.equal(await slow.end('SIGTERM'), 0);
    assert.deepEqual(await counts(), { online: 0, bulk: 1, inHand: 0, delayed: 0 });
    const stuck = await worker(['--drain', '0'], `${tinyName(60)}=hang`);
    // From here on nothing but its end can take the image from it.
    await until(() => stuck.log().includes(`${tinyName(60)} hangs in a thread`));
    assert.equal(await stuck.end('SIGTERM'), 1);
    await queue.close();
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

  for (const { title, stage, causes } of [
    { title: 'where they are defended', stage: 'fused', causes: ['kill', 'hang'] },
    { title: 'where they are defended, stages apart', stage: 'separate', causes: ['kill', 'hang'] },
    { title: 'where they are fetched', stage: 'separate', causes: ['kill-fetch', 'hang-fetch'] },
  ] as const) {
    it(`loses to images that take their process down, or hold it, those images alone (${title})`, async t => {
      const { folder, enqueue, worker, results, embedded, command } = await deployment(t, 96);
      const expected = await embedded();
      await enqueue('job', '--fetch', stage);
      const deadly = `${tinyName(20)}=${causes[0]},${tinyName(70)}=${causes[1]}`;
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
      assert.deepEqual(await filesBelow(join(folder, 'job/scratch')), []);
    });
  }

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
