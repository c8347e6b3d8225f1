import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { connectRedis, type RedisConnection } from '../../src/queue/redis.js';
import { RedisStreamSink } from '../../src/sinks/redis-stream-sink.js';
import { parseVerdict } from '../../src/sinks/verdict-json.js';
import { resultSinkConformance } from '../conformance/result-sink.js';
import { checkLeaks } from '../helpers/leaks.js';
import { type RedisServer, startRedis, startRedisCluster } from '../helpers/redis-server.js';
import { okVerdict } from '../helpers/verdicts.js';

let server: RedisServer;
let redis: RedisConnection;
let streams = 0;

before(async () => {
  server = await startRedis();
  redis = await connect(server.url, false);
});
after(async () => {
  await redis.close();
  await server.stop();
});

// Behind the hooks above, so that it looks when they are done.
checkLeaks();

function connect(redisUrl: string, redisCluster: boolean): Promise<RedisConnection> {
  return connectRedis({ redisUrl, redisCluster, redisMaster: null, queuePrefix: 'deflector' }, 'bounded');
}

async function entries({ client }: RedisConnection, name: string): Promise<Record<string, string>[]> {
  const all = await client.xrange(`{deflector}:${name}`, '-', '+');
  return all.map(([, fields]) =>
    Object.fromEntries(fields.flatMap((field, i) => (i % 2 === 0 ? [[field, fields[i + 1]!]] : []))),
  );
}

resultSinkConformance('RedisStreamSink', async () => {
  const name = `stream-${++streams}`;
  return {
    open: async () => new RedisStreamSink(redis, name, 1000),
    durable: async () => (await entries(redis, name)).map(({ verdict }) => parseVerdict(verdict!, 'entry')),
    delivered: async () => (await entries(redis, name)).map(({ id }) => id!),
  };
});

describe('RedisStreamSink', () => {
  const origin = (chunk: number) => ({ job: 'job', id: '00c0ffee', chunk });

  it('keeps about as many entries as it is told to', async () => {
    const sink = new RedisStreamSink(redis, 'short', 100);
    const verdicts = Array.from({ length: 64 }, (_, i) => okVerdict(`${i}.jpg`));
    for (let chunk = 0; chunk < 20; chunk++) await sink.write(verdicts, origin(chunk));
    await sink.close();
    // Redis drops whole nodes, of 100 entries by default.
    const length = await redis.client.xlen('{deflector}:short');
    assert.ok(length >= 100 && length < 300, `${length} entries`);
  });

  it('says what it holds without opening it', async () => {
    const sink = new RedisStreamSink(redis, 'fields', 100);
    await sink.write([okVerdict('a.jpg')], origin(3));
    const [entry] = await entries(redis, 'fields');
    assert.deepEqual(Object.keys(entry!), ['id', 'key', 'status', 'verdict']);
    assert.deepEqual([entry!.id, entry!.key, entry!.status], ['job:00c0ffee:3:0', 'a.jpg', 'ok']);
  });

  it('adds all verdicts of a chunk or none, on a cluster, too', async t => {
    const cluster = await startRedisCluster();
    t.after(() => cluster.stop());
    const connection = await connect(cluster.urls, true);
    t.after(() => connection.close());
    const sink = new RedisStreamSink(connection, 'verdicts', 100);
    await sink.write([okVerdict('a.jpg'), okVerdict('b.jpg')], origin(0));
    assert.equal((await entries(connection, 'verdicts')).length, 2);
    // A key of another type takes no entry.
    await connection.client.set('{deflector}:other', 'text');
    await assert.rejects(
      new RedisStreamSink(connection, 'other', 100).write([okVerdict('a.jpg')], origin(0)),
      /WRONGTYPE/,
    );
  });
});
