import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { JobRecords } from '../../src/jobs/job-records.js';
import { PackRegister } from '../../src/jobs/pack-register.js';
import { closeStageQueues, openStageQueues } from '../../src/jobs/stage-queues.js';
import { connectRedis } from '../../src/queue/redis.js';
import { folderOpener } from '../../src/storage/open-store.js';
import { S3Connection } from '../../src/storage/s3-connection.js';
import { openLog } from '../../src/telemetry/log.js';
import { startJanitor } from '../../workers/janitor.js';
import { until } from '../helpers/distributed.js';
import { checkLeaks } from '../helpers/leaks.js';
import { startRedis } from '../helpers/redis-server.js';

checkLeaks();

/** Milliseconds. */
const INTERVAL = 200;

describe('the janitors of many workers', () => {
  it('look after the jobs as often as that of one', async t => {
    const server = await startRedis();
    const settings = { redisUrl: server.url, redisCluster: false, redisMaster: null, queuePrefix: 'deflector' };
    const redis = await connectRedis(settings, 'bounded');
    const s3 = new S3Connection({ s3Endpoint: null, s3Region: null, s3Addressing: 'auto', s3Timeout: 30, s3Tries: 1 });
    const queues = await openStageQueues(redis);
    const { log, close } = await openLog('error', []);
    t.after(async () => {
      close();
      await closeStageQueues(queues);
      await s3.close();
      await redis.close();
      await server.stop();
    });
    const records = new JobRecords(redis);
    let rounds = 0;
    const list = records.list.bind(records);
    records.list = () => {
      rounds++;
      return list();
    };
    const ports = { records, queues, packs: new PackRegister(redis), openFolder: folderOpener(s3), log };
    const start = performance.now();
    const janitors = Array.from({ length: 8 }, () => startJanitor(ports, INTERVAL, 60_000));
    await until(() => rounds >= 5);
    await Promise.all(janitors.map(janitor => janitor.stop()));
    // A round keeps the others away for half of the interval; each janitor by itself would make eight times as many.
    const most = 1 + (performance.now() - start) / (INTERVAL / 2);
    assert.ok(rounds <= most, `${rounds} rounds where at most ${most} were to be`);
  });
});
