/** What autoscaling and dashboards are told of a queue. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Queue } from 'bullmq';
import { readQueues } from '../../src/queue/queue-state.js';
import { connectRedis } from '../../src/queue/redis.js';
import { checkLeaks } from '../helpers/leaks.js';
import { startRedis } from '../helpers/redis-server.js';

checkLeaks();

describe('the state of a queue', () => {
  it('tells tasks that wait from those that nobody may take because the queue is paused', async t => {
    const redis = await startRedis();
    const settings = { redisUrl: redis.url, redisCluster: false, redisMaster: null, queuePrefix: 'p' };
    const connection = await connectRedis(settings, 'bounded');
    const queue = new Queue('defend', { connection: { host: '127.0.0.1', port: redis.port }, prefix: '{p}' });
    t.after(async () => {
      await queue.close();
      await connection.close();
      await redis.stop();
    });
    const depth = async () => (await readQueues(connection, ['defend'])).queues[0]!.depth;
    await queue.add('online', {});
    await queue.add('bulk', {}, { priority: 1 });
    await queue.add('bulk', {}, { priority: 1 });
    await queue.add('again', {}, { delay: 3_600_000 });
    const waiting = { waiting: 1, prioritized: 2, delayed: 1, paused: 0, active: 0 };
    assert.deepEqual(await depth(), waiting);
    await queue.pause();
    assert.deepEqual(await depth(), { waiting: 0, prioritized: 0, delayed: 0, paused: 4, active: 0 });
    await queue.resume();
    assert.deepEqual(await depth(), waiting);
  });
});
