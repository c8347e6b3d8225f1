import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBullQueue } from '../../src/queue/bull-queue.js';
import { retryDelay } from '../../src/queue/queue.js';
import { connectRedis, type RedisSettings } from '../../src/queue/redis.js';
import { taskQueueConformance } from '../conformance/queue.js';
import { temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { type RedisServer, startRedis, startRedisCluster, startSentinel } from '../helpers/redis-server.js';

checkLeaks();

const alone = { redisCluster: false, redisMaster: null };

async function open<P>(t: TestContext, settings: RedisSettings) {
  const redis = await connectRedis(settings, 'endless');
  const queue = await openBullQueue<P>('defend', redis);
  t.after(async () => {
    await queue.close();
    await redis.close();
  });
  return queue;
}

const anew = () => `test-${randomBytes(4).toString('hex')}`;

describe('BullMQ on Redis as a queue of tasks', () => {
  let server: RedisServer;
  before(async () => {
    server = await startRedis();
  });
  after(() => server.stop());

  taskQueueConformance(t => open(t, { ...alone, redisUrl: server.url, queuePrefix: anew() }));

  it('gives the tasks of a consumer that fell silent to another, and says so', async t => {
    const queuePrefix = anew();
    const settings = { ...alone, redisUrl: server.url, queuePrefix };
    const queue = await open<number>(t, settings);
    await queue.add([{ id: 'task.1', lane: 'bulk', payload: 1 }]);
    // A consumer that took the task and died leaves it in the list of active ones, without a lock.
    const redis = await connectRedis(settings, 'bounded');
    t.after(() => redis.close());
    const key = (name: string) => `${redis.prefix}:defend:${name}`;
    await redis.client.zrem(key('prioritized'), 'task.1');
    await redis.client.lpush(key('active'), 'task.1');
    const seen: number[] = [];
    const consumer = await queue.consume({
      concurrency: 1,
      attempts: 1,
      losses: 1,
      lock: 200,
      backoff: () => 1,
      handle: async ({ losses }) => void seen.push(losses),
      bury: async () => undefined,
      trouble: () => undefined,
    });
    while (seen.length === 0) await sleep(10);
    await consumer.close(1000);
    assert.deepEqual(seen, [1]);
  });

  it('goes on where it was when Redis is back from a crash', async t => {
    const own = await startRedis();
    t.after(() => own.stop());
    const queue = await open<number>(t, { ...alone, redisUrl: own.url, queuePrefix: anew() });
    await queue.add(Array.from({ length: 20 }, (_, n) => ({ id: `task.${n}`, lane: 'bulk' as const, payload: n })));
    const seen = new Set<number>();
    const consumer = await queue.consume({
      concurrency: 2,
      attempts: 3,
      losses: 5,
      lock: 1000,
      backoff: () => 10,
      handle: async ({ payload }) => {
        await sleep(20);
        seen.add(payload);
      },
      bury: async () => undefined,
      trouble: () => undefined,
    });
    while (seen.size < 5) await sleep(5);
    await own.restart();
    while (seen.size < 20) await sleep(5);
    await consumer.close(5000);
  });
});

describe('BullMQ on a Redis Cluster as a queue of tasks', () => {
  let cluster: Awaited<ReturnType<typeof startRedisCluster>>;
  before(async () => {
    cluster = await startRedisCluster();
  });
  after(() => cluster.stop());

  taskQueueConformance(t =>
    open(t, { redisCluster: true, redisMaster: null, redisUrl: cluster.urls, queuePrefix: anew() }),
  );
});

describe('a connection to Redis', () => {
  it('is refused at once where nobody is', async () => {
    const settings = { ...alone, redisUrl: 'redis://name:secret@127.0.0.1:1', queuePrefix: 'test' };
    await assert.rejects(connectRedis(settings, 'endless'), {
      code: 'QUEUE_UNAVAILABLE',
      message: 'Redis at 127.0.0.1:1 does not answer: connect ECONNREFUSED 127.0.0.1:1',
    });
  });

  it('is refused where Redis may drop keys', async t => {
    const server = await startRedis('--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru');
    t.after(() => server.stop());
    await assert.rejects(connectRedis({ ...alone, redisUrl: server.url, queuePrefix: 'test' }, 'bounded'), {
      code: 'QUEUE_UNSUITABLE',
      message: /drops keys when its memory is full: maxmemory-policy is allkeys-lru, not noeviction$/,
    });
  });

  it('finds by a Sentinel the server that it watches', async t => {
    const server = await startRedis();
    t.after(() => server.stop());
    const sentinel = await startSentinel(server);
    t.after(() => sentinel.stop());
    const settings = { redisUrl: sentinel.url, redisCluster: false, redisMaster: 'main', queuePrefix: 'test' };
    const queue = await open<number>(t, settings);
    await queue.add([{ id: 'task.1', lane: 'bulk', payload: 1 }]);
    const direct = await open<number>(t, { ...alone, redisUrl: server.url, queuePrefix: 'test' });
    assert.deepEqual(await direct.missing(['task.1']), []);
  });

  it('works for a user of an access list who may touch nothing but the keys of the prefix', async t => {
    const list = join(await temporaryFolder(t), 'users.acl');
    const rights = '~{test}* &* +@all -@dangerous +info';
    await writeFile(list, `user default off\nuser deflect on >secret ${rights}\n`);
    const server = await startRedis('--aclfile', list);
    t.after(() => server.stop());
    const address = (login: string) => server.url.replace('//', `//${login}@`);
    const queue = await open<number>(t, { ...alone, redisUrl: address('deflect:secret'), queuePrefix: 'test' });
    await queue.add([{ id: 'task.1', lane: 'bulk', payload: 1 }]);
    assert.equal((await queue.counts()).bulk, 1);
    for (const login of ['deflect:wrong', 'nobody:secret']) {
      await assert.rejects(connectRedis({ ...alone, redisUrl: address(login), queuePrefix: 'test' }, 'bounded'), {
        code: 'QUEUE_UNAVAILABLE',
        message: /^Redis at 127\.0\.0\.1:\d+ does not answer: WRONGPASS /,
      });
    }
  });
});

describe('the delay before another try', () => {
  it('doubles from half a second up to half a minute, less up to a half by chance', () => {
    assert.deepEqual(
      [1, 2, 3, 7, 50].map(failures => retryDelay(failures, () => 1)),
      [500, 1000, 2000, 30_000, 30_000],
    );
    assert.equal(
      retryDelay(1, () => 0),
      250,
    );
  });
});
