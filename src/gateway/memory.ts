/** What all gateways of a deployment remember together for a while: nonces that were used, answers that were given. */
import { queueFault, type RedisConnection } from '../queue/redis.js';

/** Port: values under keys, each with its time to live. */
export interface SharedMemory {
  /** Sets a value unless there is one. @returns the one that was there */
  claim(key: string, value: string, seconds: number): Promise<string | undefined>;
  put(key: string, value: string, seconds: number): Promise<void>;
  forget(key: string): Promise<void>;
}

/** `{prefix}:gateway:KEY` in Redis. */
export function redisMemory({ client, prefix }: RedisConnection): SharedMemory {
  const nameOf = (key: string) => `${prefix}:gateway:${key}`;
  const reported = async <T>(command: () => Promise<T>): Promise<T> => {
    try {
      return await command();
    } catch (error) {
      throw queueFault(error);
    }
  };
  return {
    claim: (key, value, seconds) =>
      reported(async () => {
        for (;;) {
          if ((await client.set(nameOf(key), value, 'EX', seconds, 'NX')) === 'OK') return undefined;
          const there = await client.get(nameOf(key));
          // It may have gone in between.
          if (there !== null) return there;
        }
      }),
    put: (key, value, seconds) => reported(async () => void (await client.set(nameOf(key), value, 'EX', seconds))),
    forget: key => reported(async () => void (await client.del(nameOf(key)))),
  };
}
