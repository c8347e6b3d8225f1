/** What docs/kubernetes.md says of a Redis that lost something: done in the middle of a job. */
import { deepStrictEqual as deepEqual, strictEqual as equal } from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { deployment, until } from '../helpers/distributed.js';

const IMAGES = 60;
const PER_CHUNK = 4;

/** A job with some chunks done, some in hand and some waiting. */
async function inTheMiddle(t: TestContext) {
  const at = await deployment(t, IMAGES);
  const enqueue = () => at.enqueue('job', '--chunk', `${PER_CHUNK}`);
  const done = async () => (await at.progress('job')).done;
  equal((await enqueue()).code, 0);
  // Each image takes its time.
  for (let n = 0; n < 2; n++) await at.worker([], '*=slow');
  await until(async () => (await done()) > 2);
  return { ...at, enqueue, done, redisClient: at.connection.client };
}

describe('a job whose Redis', () => {
  it('comes back with an old state goes on by itself', async t => {
    const { redisClient, done, results, embedded, progress } = await inTheMiddle(t);
    const keys = await redisClient.keys('*');
    const dumps = await Promise.all(
      keys.map(async key => [key, await redisClient.pttl(key), await redisClient.dumpBuffer(key)] as const),
    );
    const before = await done();
    await until(async () => (await done()) > before + 2);
    const restore = redisClient.multi().flushall();
    for (const [key, ttl, dump] of dumps) if (dump !== null) restore.restore(key, Math.max(ttl, 0), dump);
    await restore.exec();
    deepEqual(await results('job'), await embedded());
    const { state, dead, verdicts } = await progress('job');
    deepEqual([state, dead, verdicts.total], ['complete', 0, IMAGES]);
  });

  it('comes back empty is done again, when it is queued again as it was', async t => {
    const { redisClient, enqueue, results, embedded, progress } = await inTheMiddle(t);
    await redisClient.flushall();
    equal((await enqueue()).code, 0);
    deepEqual(await results('job'), await embedded());
    const { state, dead, verdicts } = await progress('job');
    deepEqual([state, dead, verdicts.total], ['complete', 0, IMAGES]);
  });
});
