/** The scaling expression of the chart against a live Redis, by way of the worker that the chart lets KEDA ask. */
import { deepStrictEqual as deepEqual, strictEqual as equal } from 'node:assert/strict';
import { before, describe, it, type TestContext } from 'node:test';
import { Queue, Worker } from 'bullmq';
import { deployment, until } from '../helpers/distributed.js';
import { samplesOf, scrape, telemetryUrl } from '../helpers/prometheus.js';
import { type Manifest, render, WITH_KEDA } from './chart.js';
import { desiredReplicas, evaluate, valueAt } from './scaling-law.js';

/** Of lane bulk: src/queue/bull-queue.ts. */
const BULK = { priority: 1 };
/** Chunks a pod of defend under the chart's defaults, and its pods at most. */
const PER_REPLICA = 40;
const MOST = 10;

describe('the scaling of defend, as KEDA works it out', () => {
  let scaled: Manifest;
  before(async () => {
    const manifests = await render(...WITH_KEDA);
    scaled = manifests.find(({ kind, metadata }) => kind === 'ScaledObject' && /-defend$/.test(metadata.name));
  });

  /** A queue whose tasks nobody understands, and a publish worker who says how long it is. */
  async function pipeline(t: TestContext) {
    // Hooks run in the order in which they were asked for: these have Redis still.
    const clean: (() => Promise<unknown>)[] = [];
    t.after(async () => {
      for (const close of clean.reverse()) await close();
    });
    const { redis, worker, connection: direct } = await deployment(t, 1);
    const connection = { host: '127.0.0.1', port: redis.port, maxRetriesPerRequest: null };
    const queue = new Queue('defend', { connection, prefix: '{deflector}' });
    const { log } = await worker(['publish', '--metrics-port', '0']);
    const samples = async () => samplesOf((await scrape(telemetryUrl(log()))).text);
    clean.push(() => queue.close());
    return {
      queue,
      clean,
      direct,
      samples,
      add: (count: number, options: object) =>
        queue.addBulk(Array.from({ length: count }, () => ({ name: 'chunk', data: {}, opts: options }))),
      replicas: async () => desiredReplicas(scaled, await samples()),
      /** Takes tasks into the hand and holds them. */
      hold: async (count: number) => {
        let release = () => undefined as unknown;
        const released = new Promise(resolve => {
          release = () => resolve(undefined);
        });
        const holder = new Worker('defend', () => released, { connection, prefix: '{deflector}', concurrency: count });
        await until(async () => (await queue.getActiveCount()) === count);
        clean.push(() => {
          release();
          return holder.close();
        });
      },
    };
  }

  it('asks for no pod where there is nothing to do', async t => {
    const { replicas } = await pipeline(t);
    equal(await replicas(), 0);
  });

  it('asks for the first pod for one chunk, of either lane', async t => {
    const { replicas, add, queue } = await pipeline(t);
    await add(1, BULK);
    equal(await replicas(), 1);
    await queue.obliterate({ force: true });
    equal(await replicas(), 0);
    await add(1, {});
    equal(await replicas(), 1);
  });

  it('counts both lanes together, and asks for no more than the most', async t => {
    const { replicas, add } = await pipeline(t);
    await add(PER_REPLICA, BULK);
    await add(PER_REPLICA, {});
    equal(await replicas(), 2);
    await add(1, {});
    equal(await replicas(), 3);
    await add(PER_REPLICA * MOST, BULK);
    equal(await replicas(), MOST);
  });

  it('counts chunks that wait for their next try: only a worker brings them back', async t => {
    const { replicas, add } = await pipeline(t);
    await add(1, { ...BULK, delay: 3_600_000 });
    equal(await replicas(), 1);
  });

  it('counts chunks in hand: a worker that was lost leaves them to the next', async t => {
    const { replicas, add, hold, samples } = await pipeline(t);
    await add(1, BULK);
    await hold(1);
    equal(valueAt('deflector_queue_depth{queue="defend",state="prioritized"}', await samples()), 0);
    equal(await replicas(), 1);
  });

  it('does not count what waits in a queue that is paused, but what is in hand', async t => {
    const { replicas, add, hold, queue, samples } = await pipeline(t);
    await add(PER_REPLICA * 2, BULK);
    await add(1, {});
    await add(1, { ...BULK, delay: 3_600_000 });
    await queue.pause();
    equal(valueAt('deflector_queue_depth{queue="defend",state="paused"}', await samples()), PER_REPLICA * 2 + 2);
    equal(await replicas(), 0);
    await queue.resume();
    equal(await replicas(), 3);
    await hold(1);
    await queue.pause();
    equal(await replicas(), 1);
  });

  it('does not count the work of other queues', async t => {
    const { replicas, queue, clean } = await pipeline(t);
    const other = new Queue('publish', { connection: queue.opts.connection!, prefix: '{deflector}' });
    clean.push(() => other.close());
    await other.pause();
    await other.add('chunk', {});
    equal(await replicas(), 0);
  });

  it('asks for more where the oldest chunk has waited too long, in bounds', async t => {
    const { replicas, add, queue, direct } = await pipeline(t);
    await add(PER_REPLICA, BULK);
    /** Makes all chunks look as if they had been added so many seconds ago. */
    const age = async (seconds: number) => {
      for (const { id } of await queue.getPrioritized()) {
        await direct.client.hset(queue.toKey(id!), 'timestamp', `${Date.now() - seconds * 1000}`);
      }
    };
    equal(await replicas(), 1);
    await age(200);
    equal(await replicas(), 1);
    await age(590);
    equal(await replicas(), 2);
    await age(86_400);
    equal(await replicas(), 4);
  });

  it('is worked out as the formula says', () => {
    const { formula } = scaled.spec.advanced.scalingModifiers;
    const terms = { waiting: 1, prioritized: 2, delayed: 3, active: 4, oldest: 0 };
    deepEqual(
      [0, 300, 450, 600, 1200, 9000].map(oldest => evaluate(formula, { ...terms, oldest })),
      [10, 10, 15, 20, 40, 40],
    );
  });

  it('asks the port and the service that the chart gives the publish stage', async () => {
    const manifests = await render(...WITH_KEDA);
    const service = manifests.find(({ kind, metadata }) => kind === 'Service' && /-metrics$/.test(metadata.name));
    const publish = manifests.find(({ kind, metadata }) => kind === 'Deployment' && /-publish$/.test(metadata.name));
    const { name } = service.metadata;
    const [{ port, targetPort }] = service.spec.ports;
    for (const { metadata } of scaled.spec.triggers) {
      equal(metadata.url, `http://${name}.images.svc:${port}/metrics`);
    }
    const { ports, args } = publish.spec.template.spec.containers[0];
    equal(ports.find((candidate: Manifest) => candidate.name === targetPort).containerPort, 9464);
    equal(args.includes('--metrics-port=9464') && args.includes('--metrics-host=0.0.0.0'), true);
    const labels = publish.spec.template.metadata.labels;
    for (const [label, value] of Object.entries(service.spec.selector)) equal(labels[label], value);
  });
});
