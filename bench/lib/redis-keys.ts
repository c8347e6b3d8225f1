/** Keys of a benchmark's own in Redis. */
import { connectRedis, type RedisConnection } from '../../src/queue/redis.js';

/** Calls `use` with a connection under a prefix that nothing else uses; its keys are removed afterwards. */
export async function withRedis<T>(
  redisUrl: string,
  prefix: string,
  use: (redis: RedisConnection) => Promise<T>,
): Promise<T> {
  const settings = { redisUrl, redisCluster: false, redisMaster: null, queuePrefix: prefix };
  const redis = await connectRedis(settings, 'bounded');
  try {
    return await use(redis);
  } finally {
    let cursor = '0';
    do {
      const [next, keys] = await redis.client.scan(cursor, 'MATCH', `${redis.prefix}*`, 'COUNT', 1000);
      if (keys.length > 0) await redis.client.unlink(...keys);
      cursor = next;
    } while (cursor !== '0');
    await redis.close();
  }
}
