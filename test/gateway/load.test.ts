import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { loadGateway } from '../../bench/lib/ingest-load.js';
import { temporaryFolder } from '../helpers/files.js';
import { type RedisServer, startRedis } from '../helpers/redis-server.js';
import { writeTinyModel } from '../helpers/tiny-model.js';

/** The small form of `deflector bench ingest`. */
describe('a gateway under load', () => {
  let server: RedisServer;
  before(async () => {
    server = await startRedis();
  });
  after(() => server.stop());

  for (const [what, queueLimit] of [
    ['loses none of what it accepted', 100_000],
    ['answers 429 when the queue is full, and loses none of what it accepted before', 3],
  ] as const) {
    it(what, async t => {
      const folder = await temporaryFolder(t);
      const settings = ['--model', await writeTinyModel(join(folder, 'tiny')), '--seed', '1'];
      const options = { redisUrl: server.url, prefix: `load-${queueLimit}`, out: join(folder, 'out'), settings };
      const outcome = await loadGateway({ ...options, rate: 200, seconds: 2, queueLimit });
      assert.equal(outcome.sent, 400);
      assert.equal(outcome.failed, 0);
      assert.equal(outcome.stored, outcome.accepted);
      assert.equal(outcome.queued, outcome.chunks);
      if (queueLimit > 3) assert.equal(outcome.accepted, 400);
      else assert.ok(outcome.refused > 0 && outcome.accepted > 0, JSON.stringify(outcome));
    });
  }
});
