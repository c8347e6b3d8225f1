/** Readiness: whether Redis answers. */
import type { RedisConnection } from '../queue/redis.js';
import type { Check } from './health.js';

export function redisCheck({ client }: RedisConnection): Check {
  return async () => {
    // A command on a connection that is down would wait for it.
    if (client.status !== 'ready') return `the connection to Redis is ${client.status}`;
    await client.ping();
    return undefined;
  };
}
