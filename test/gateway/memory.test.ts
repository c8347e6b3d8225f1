import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Authentication, type SignatureClaim, signatureOf } from '../../src/gateway/authentication.js';
import { redisMemory, type SharedMemory } from '../../src/gateway/memory.js';
import { connectRedis, type RedisConnection } from '../../src/queue/redis.js';
import { checkLeaks } from '../helpers/leaks.js';
import { type RedisServer, startRedis } from '../helpers/redis-server.js';
import { memoryOfOne } from '../helpers/test-gateway.js';

checkLeaks();

describe('what gateways remember together', () => {
  let server: RedisServer;
  /** Two gateways of one deployment. */
  let connections: readonly RedisConnection[];
  before(async () => {
    server = await startRedis();
    const settings = { redisUrl: server.url, redisCluster: false, redisMaster: null, queuePrefix: 'deflector' };
    connections = await Promise.all([connectRedis(settings, 'bounded'), connectRedis(settings, 'bounded')]);
  });
  after(async () => {
    for (const connection of connections) await connection.close();
    await server.stop();
  });

  const memories: readonly [string, () => readonly SharedMemory[]][] = [
    ['in Redis', () => connections.map(redisMemory)],
    [
      'in the tests',
      () => {
        const one = memoryOfOne();
        return [one, one];
      },
    ],
  ];
  for (const [where, open] of memories) {
    it(`goes to whoever claims it first, until it is forgotten (${where})`, async () => {
      const [one, two] = open() as [SharedMemory, SharedMemory];
      const claims = await Promise.all([one.claim('k', 'a', 60), two.claim('k', 'b', 60), one.claim('k', 'c', 60)]);
      assert.equal(claims.filter(there => there === undefined).length, 1);
      const held = await two.claim('k', 'd', 60);
      assert.deepEqual(
        claims.filter(there => there !== undefined),
        [held, held],
      );
      await two.put('k', 'e', 60);
      assert.equal(await one.claim('k', 'f', 60), 'e');
      await one.forget('k');
      assert.equal(await two.claim('k', 'g', 60), undefined);
    });
  }

  it('ends with its time', async () => {
    const [one] = connections;
    await redisMemory(one!).claim('short', 'a', 60);
    await redisMemory(one!).put('long', 'b', 3600);
    const left = await Promise.all(['short', 'long'].map(key => one!.client.ttl(`{deflector}:gateway:${key}`)));
    assert.ok(left[0]! > 0 && left[0]! <= 60 && left[1]! > 60 && left[1]! <= 3600, String(left));
  });

  it('lets a signature through once, whichever gateway it comes to', async () => {
    const key = { name: 'camera', secret: 'a-secret-that-is-long-enough' };
    const gateways = connections.map(
      connection => new Authentication({ tokens: [], hmacKeys: [key] }, redisMemory(connection)),
    );
    const request = { method: 'POST', target: '/v1/images', bodySha256: '00'.repeat(32) };
    const signed = { timestamp: String(Math.floor(Date.now() / 1000)), nonce: 'a-nonce-of-its-own' };
    const claim: SignatureClaim = {
      name: 'camera',
      ...signed,
      signature: signatureOf(key.secret, { ...request, ...signed }),
    };
    const outcomes = await Promise.allSettled(
      [...gateways, ...gateways].map(gateway => gateway.verify(claim, request)),
    );
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
    await assert.rejects(gateways[1]!.verify(claim, request), { code: 'UNAUTHENTICATED', message: /used before/ });
  });
});
