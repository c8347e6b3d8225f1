import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import type { DeadLetter, Job, VerdictCounts } from '../../src/jobs/job.js';
import { JobRecords } from '../../src/jobs/job-records.js';
import { connectRedis } from '../../src/queue/redis.js';
import { collect } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { type RedisServer, startRedis } from '../helpers/redis-server.js';

checkLeaks();

const COUNTS: VerdictCounts = { total: 3, ok: 2, suspicious: 1, errors: { IMAGE_EMPTY: 1 } };
const NONE: VerdictCounts = { total: 0, ok: 0, suspicious: 0, errors: {} };

function jobCalled(name: string, id = 'a'): Job {
  const address = { url: 'file:///out', prefix: '' };
  return {
    name,
    id,
    createdAt: '2026-01-01T00:00:00.000Z',
    lane: 'bulk',
    chunk: 3,
    fetch: 'fused',
    inputs: ['in'],
    stores: [address],
    out: address,
    settings: { runs: 3 },
    model: { name: 'tiny', sha256: '0'.repeat(64) },
  };
}

function letter(chunk: number, keys?: string[]): DeadLetter {
  const at = '2026-01-01T00:00:00.000Z';
  return { chunk, code: 'WORKER_LOST', message: 'gone', failures: 1, losses: 2, at, ...(keys && { keys }) };
}

describe('the record of a job', () => {
  let server: RedisServer;
  before(async () => {
    server = await startRedis();
  });
  after(() => server.stop());

  /** A job of its own, with so many chunks named. */
  async function scene(t: TestContext, chunks: number) {
    const settings = { redisUrl: server.url, redisCluster: false, redisMaster: null, queuePrefix: 'test' };
    const redis = await connectRedis(settings, 'bounded');
    t.after(() => redis.close());
    const records = new JobRecords(redis);
    const job = await records.create(jobCalled(t.name.replace(/\W+/g, '-').slice(0, 60)), 1);
    if (chunks > 0) await records.advance(job, 0, { chunks, images: 3 * chunks, digest: 'd' });
    return { records, job, client: redis.client };
  }

  it('stays that of the first who made it', async t => {
    const { records, job } = await scene(t, 0);
    assert.deepEqual(await records.create({ ...job, id: 'other', lane: 'online' }, 1), job);
    assert.deepEqual(await records.get(job.name), job);
    assert.ok((await collect(records.list())).some(({ name }) => name === job.name));
    await assert.rejects(records.get('unknown'), { code: 'JOB_NOT_FOUND' });
  });

  it('goes from listing over running to complete, counting each chunk once', async t => {
    const { records, job } = await scene(t, 2);
    assert.equal((await records.progress(job)).state, 'listing');
    await records.mark(job, 0, COUNTS);
    await records.mark(job, 0, COUNTS);
    await records.close(job);
    const half = await records.progress(job);
    assert.deepEqual([half.state, half.done, half.verdicts], ['running', 1, COUNTS]);
    assert.deepEqual(await collect(records.outstanding(job, 2)), [1]);
    await records.mark(job, 1, COUNTS);
    const { state, done, verdicts, finishedAt } = await records.progress(job);
    assert.deepEqual([state, done, verdicts.total, verdicts.errors], ['complete', 2, 6, { IMAGE_EMPTY: 2 }]);
    assert.ok(finishedAt !== undefined);
  });

  it('is stuck on chunks that were given up, until they are done', async t => {
    const { records, job } = await scene(t, 2);
    await records.close(job);
    await records.mark(job, 0, COUNTS);
    await records.bury(job, letter(1));
    await records.bury(job, letter(1));
    const { state, dead } = await records.progress(job);
    assert.deepEqual([state, dead], ['stuck', 1]);
    assert.deepEqual(await collect(records.letters(job)), [letter(1)]);
    assert.deepEqual(await collect(records.dead(job, 2)), [1]);
    await records.unmark(job, 1, NONE);
    assert.equal((await records.progress(job)).state, 'running');
    await records.mark(job, 1, COUNTS);
    assert.deepEqual(
      [(await records.progress(job)).state, (await records.progress(job)).dead, await collect(records.letters(job))],
      ['complete', 0, []],
    );
  });

  it('does not give up what has its verdicts', async t => {
    const { records, job } = await scene(t, 1);
    await records.mark(job, 0, COUNTS);
    await records.bury(job, letter(0));
    assert.equal((await records.progress(job)).dead, 0);
  });

  it('takes counts back with the letter of a chunk that is done again', async t => {
    const { records, job } = await scene(t, 1);
    await records.close(job);
    await records.mark(job, 0, COUNTS, letter(0, ['bad.jpg']));
    assert.equal((await collect(records.letters(job))).length, 1);
    await records.unmark(job, 0, COUNTS);
    const { state, done, verdicts } = await records.progress(job);
    assert.deepEqual([state, done, verdicts, await collect(records.letters(job))], ['running', 0, NONE, []]);
  });

  it('lets one producer name chunks at a time', async t => {
    const { records, job } = await scene(t, 4);
    await assert.rejects(records.advance(job, 0, { chunks: 4, images: 12, digest: 'd' }), { code: 'JOB_MISMATCH' });
    assert.deepEqual(await records.cursor(job), { chunks: 4, images: 12, digest: 'd', closed: false });
  });

  it('finds what is outstanding in any number of chunks, two bits each in memory', async t => {
    const chunks = 100_000;
    const { records, job, client } = await scene(t, chunks);
    const open = [0, 7, 8, 32_767, 32_768, 65_535, 99_999];
    const bits = Buffer.alloc(chunks / 8, 0xff);
    for (const chunk of open) bits[chunk >> 3]! &= ~(0x80 >> (chunk & 7));
    await client.set(`{test}:job:${job.name}:done`, bits);
    assert.deepEqual(await collect(records.outstanding(job, chunks)), open);
    assert.deepEqual(await collect(records.outstanding(job, 65_536, 8)), [8, 32_767, 32_768, 65_535]);
  });

  it('is forgotten some days after its end, and kept while there is something to do', async t => {
    const { records, job, client } = await scene(t, 1);
    const left = () => client.ttl(`{test}:job:${job.name}`);
    await records.close(job);
    assert.equal(await left(), -1);
    await records.mark(job, 0, COUNTS);
    assert.ok((await left()) > 86_000 && (await left()) <= 86_400);
    await records.unmark(job, 0, COUNTS);
    assert.equal(await left(), -1);
    await records.cancel(job);
    assert.equal((await records.progress(job)).state, 'cancelled');
    assert.ok((await left()) > 0);
  });

  it('is not that of a later job of the same name', async t => {
    const { records, job } = await scene(t, 1);
    const other = { name: job.name, id: 'other' };
    await records.mark(other, 0, COUNTS);
    await records.bury(other, letter(0));
    assert.ok(await records.isOver(other));
    const { done, dead } = await records.progress(job);
    assert.deepEqual([done, dead], [0, 0]);
  });
});
