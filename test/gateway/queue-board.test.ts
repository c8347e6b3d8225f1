import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Queue } from 'bullmq';
import type { Browser } from 'playwright-core';
import { mountQueueBoard } from '../../src/gateway/queue-board.js';
import { openBullQueue } from '../../src/queue/bull-queue.js';
import { connectRedis, type RedisConnection } from '../../src/queue/redis.js';
import { CHROMIUM, launchChromium } from '../helpers/chromium.js';
import { type RedisServer, startRedis } from '../helpers/redis-server.js';
import { testGateway } from '../helpers/test-gateway.js';

const TOKEN = 'a-token-that-is-long-enough';

describe('the board of the queues', () => {
  let server: RedisServer;
  let redis: RedisConnection;
  let queue: Queue;
  before(async () => {
    server = await startRedis();
    redis = await connectRedis(
      { redisUrl: server.url, redisCluster: false, redisMaster: null, queuePrefix: 'deflector' },
      'bounded',
    );
    const tasks = await openBullQueue('defend', redis);
    await tasks.add([
      { id: 'photos.00c0ffee.0', lane: 'online', payload: { job: 'photos', id: '00c0ffee', chunk: 0 } },
    ]);
    await tasks.close();
    queue = new Queue('defend', { connection: redis.client, prefix: redis.prefix });
  });
  after(async () => {
    await queue.close();
    await redis.close();
    await server.stop();
  });

  const gateway = async (t: Parameters<typeof testGateway>[0]) => {
    const mount = (app: Parameters<typeof mountQueueBoard>[0]) => mountQueueBoard(app, [queue]);
    return (await testGateway(t, { tokens: [{ name: 'shop', secret: TOKEN }] }, {}, mount)).app;
  };
  const authorization = `Basic ${Buffer.from(`shop:${TOKEN}`).toString('base64')}`;

  it('is behind the same credentials, which a browser asks for', async t => {
    const app = await gateway(t);
    for (const url of ['/queues', '/queues/', '/queues/api/queues', '/queues/static/js/main.js']) {
      const { statusCode, headers, body } = await app.inject(url);
      assert.equal(statusCode, 401, url);
      assert.match(String(headers['www-authenticate']), /^Basic /);
      assert.equal(JSON.parse(body).code, 'UNAUTHENTICATED');
    }
    assert.equal((await app.inject({ url: '/queues', headers: { authorization } })).statusCode, 200);
  });

  it('shows the queues and changes nothing', async t => {
    const app = await gateway(t);
    const { queues } = (await app.inject({ url: '/queues/api/queues', headers: { authorization } })).json();
    assert.deepEqual([queues[0].name, queues[0].counts.waiting, queues[0].readOnlyMode], ['defend', 1, true]);
    for (const [method, path] of [
      ['PUT', 'pause'],
      ['PUT', 'empty'],
      ['PUT', 'photos.00c0ffee.0/clean'],
      ['POST', 'add'],
      ['DELETE', ''],
    ] as const) {
      const { statusCode } = await app.inject({
        method,
        url: `/queues/api/queues/defend/${path}`,
        headers: { authorization },
      });
      assert.ok(statusCode >= 400 && statusCode < 500, `${method} ${path}: ${statusCode}`);
    }
    assert.equal(await queue.isPaused(), false);
    assert.equal(await queue.getWaitingCount(), 1);
  });

  it('asks nobody else for anything', {
    skip: CHROMIUM === undefined && 'no Chromium: apt-get install chromium',
  }, async t => {
    const app = await gateway(t);
    const address = await app.listen({ host: '127.0.0.1', port: 0 });
    const browser: Browser = await launchChromium();
    t.after(() => browser.close());
    const context = await browser.newContext({ httpCredentials: { username: 'shop', password: TOKEN } });
    const answered = new Set<string>();
    context.on('response', response => answered.add(new URL(response.url()).host));
    const page = await context.newPage();
    await page.goto(`${address}/queues`);
    await page.getByText('defend').first().waitFor();
    if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, 'queues.png') });
    assert.deepEqual([...answered], [new URL(address).host]);
    await context.close();
  });
});
