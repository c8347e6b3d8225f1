/** Faults of a live deployment, seen by a real Prometheus: each fires its alert, and no other. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServiceProcess } from '../helpers/cli.js';
import { deployment, until } from '../helpers/distributed.js';
import { freePort } from '../helpers/free-port.js';
import { startPrometheus } from '../helpers/prometheus.js';
import { replay } from '../helpers/time-lapse.js';
import { tinyName } from '../helpers/tiny-images.js';

/** Seconds between two scrapes. Processes that start again must be there within five. */
const SHORT = 0.5;
const LONG = 3;

/** A deployment that is watched. @param interval seconds between two scrapes, which stand for a minute */
async function watched(t: TestContext, images: number, interval: number, stages: readonly string[], deadly = '') {
  const at = await deployment(t, images);
  const ports = await Promise.all(stages.map(() => freePort()));
  const start = (place: number): Promise<ServiceProcess> =>
    at.worker([stages[place]!, '--metrics-port', `${ports[place]}`], deadly);
  const workers = await Promise.all(stages.map((_, place) => start(place)));
  const targets = ports.map((port, place) => [`worker-${place}`, `127.0.0.1:${port}`]);
  const prometheus = await startPrometheus(t, Object.fromEntries(targets), [], interval * 1000);
  await until(async () => (await prometheus.query(`count(up == 1) == ${stages.length}`)).length > 0);
  const from = Date.now() / 1000;
  return {
    ...at,
    workers,
    start,
    /** Lets as many scrapes go by. */
    minutes: (count: number) => sleep(count * interval * 1000),
    /** Holds what was seen until now against the rules. */
    fires: (...alerts: string[]) => replay(prometheus, { from, to: Date.now() / 1000, interval }, alerts),
  };
}

describe('of all alerts', () => {
  it('none fires while a job is done', async t => {
    const { enqueue, results, minutes, fires } = await watched(t, 200, SHORT, ['all', 'all']);
    await enqueue('job');
    await results('job');
    await minutes(20);
    await fires();
  });

  it('dead letters fires where an image takes workers down', async t => {
    const { enqueue, results, workers, start, minutes, fires } = await watched(
      t,
      64,
      LONG,
      ['all', 'all'],
      `${tinyName(3)}=kill`,
    );
    let supervised = true;
    for (const [place, { ended }] of workers.entries()) {
      void ended.then(async code => {
        if (supervised && code === null) await start(place);
      });
    }
    await enqueue('job');
    await results('job').finally(() => {
      supervised = false;
    });
    await minutes(2);
    await fires('DeflectorDeadLetters');
  });

  it('error verdicts fires where many images are broken', async t => {
    const { enqueue, input, results, minutes, fires } = await watched(t, 300, SHORT, ['all', 'all']);
    for (let n = 0; n < 40; n++) await writeFile(join(input, `broken-${n}.png`), 'no image');
    await enqueue('job');
    await results('job');
    await minutes(14);
    await fires('DeflectorErrorVerdicts');
  });

  it('retries fires where chunks of one job find no store, and others go on', async t => {
    const { enqueue, folder, minutes, fires } = await watched(t, 64, SHORT, ['all', 'all'], '*=slow');
    await enqueue('broken', '--chunk', '1');
    await enqueue('job', '--chunk', '1');
    await rm(join(folder, 'broken'), { recursive: true });
    await writeFile(join(folder, 'broken'), 'no folder');
    await minutes(22);
    await fires('DeflectorRetries');
  });

  it('backlog old fires where there is more to do than one worker can', async t => {
    const { enqueue, minutes, fires } = await watched(t, 400, SHORT, ['all'], '*=slow');
    await enqueue('job', '--chunk', '1');
    await minutes(75);
    await fires('DeflectorBacklogOld');
  });

  it('no workers fires where the autoscaler brings none', async t => {
    const { enqueue, minutes, fires } = await watched(t, 64, SHORT, ['publish']);
    await enqueue('job');
    await minutes(15);
    await fires('DeflectorNoWorkers');
  });

  it('no progress fires where all workers are held up', async t => {
    const { enqueue, minutes, fires } = await watched(t, 64, SHORT, ['all', 'all'], '*=hang');
    await enqueue('job');
    await minutes(20);
    await fires('DeflectorNoProgress');
  });

  it('worker down fires where one of two is frozen in the middle of a job', async t => {
    const { enqueue, workers, progress, minutes, fires } = await watched(t, 64, 1, ['all', 'all'], '*=slow');
    await enqueue('job');
    await until(async () => (await progress('job')).done > 0);
    workers[0]!.child.kill('SIGSTOP');
    await minutes(10);
    await fires('DeflectorWorkerDown');
  });

  it('worker restarts fires where one is started again and again', async t => {
    const { workers, start, minutes, fires } = await watched(t, 1, LONG, ['all', 'publish']);
    let worker = workers[0]!;
    for (let n = 0; n < 4; n++) {
      await worker.end('SIGKILL');
      worker = await start(0);
      await minutes(1);
    }
    await fires('DeflectorWorkerRestarts');
  });

  it('Redis down fires where Redis answers nobody', async t => {
    // A process waits for two seconds before it says that Redis is away.
    const { connection, minutes, fires } = await watched(t, 1, LONG, ['all', 'publish']);
    await connection.client.client('PAUSE', 20_000);
    await minutes(5);
    await fires('DeflectorRedisDown');
  });

  it('Redis eviction fires as soon as the policy would let Redis drop keys', async t => {
    const { connection, minutes, fires } = await watched(t, 1, SHORT, ['all']);
    await connection.client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await minutes(2);
    await fires('DeflectorRedisEviction');
  });

  it('Redis memory fires where nine tenths are full', async t => {
    const { connection, minutes, fires } = await watched(t, 1, SHORT, ['all']);
    const [, used] = /^used_memory:(\d+)/m.exec(await connection.client.info('memory'))!;
    await connection.client.config('SET', 'maxmemory', Math.round(Number(used) / 0.9));
    await minutes(13);
    await fires('DeflectorRedisMemory');
  });
});
