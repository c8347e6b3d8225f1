/** What every adapter of the port TaskQueue must do. */
import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeflectorError } from '../../src/errors.js';
import type { ConsumerOptions, Delivery, Task, TaskQueue } from '../../src/queue/queue.js';

interface Payload {
  readonly n: number;
}

/** Milliseconds after which a silent consumer loses its tasks, here. */
const LOCK_MS = 1000;
const PATIENCE_MS = 20_000;

/** Registers the tests. @param open opens a new queue, empty */
export function taskQueueConformance(open: (t: TestContext) => Promise<TaskQueue<Payload>>): void {
  it('delivers each task once, in their order, while nothing fails', async t => {
    const queue = await open(t);
    await queue.add([0, 1, 2, 3, 4].map(n => task(n)));
    assert.deepEqual(await queue.counts(), { online: 0, bulk: 5, inHand: 0, delayed: 0 });
    const seen = await consume(t, queue, 5);
    assert.deepEqual(
      seen.map(({ payload, failures, losses }) => [payload.n, failures, losses]),
      [0, 1, 2, 3, 4].map(n => [n, 0, 0]),
    );
    await until(async () => (await queue.missing(['task.0', 'task.4'])).length === 2);
  });

  it('takes what is online before anything bulk', async t => {
    const queue = await open(t);
    await queue.add([task(0), task(1), task(2, 'online'), task(3), task(4, 'online')]);
    assert.deepEqual(await queue.counts(), { online: 2, bulk: 3, inHand: 0, delayed: 0 });
    const seen = await consume(t, queue, 5);
    assert.deepEqual(
      seen.map(({ payload, lane }) => [payload.n, lane]),
      [
        [2, 'online'],
        [4, 'online'],
        [0, 'bulk'],
        [1, 'bulk'],
        [3, 'bulk'],
      ],
    );
  });

  it('holds a task once, however often it is added', async t => {
    const queue = await open(t);
    await queue.add([task(0), task(0)]);
    await queue.add([task(0), task(1)]);
    assert.equal((await queue.counts()).bulk, 2);
    assert.equal((await consume(t, queue, 2)).length, 2);
  });

  it('tells which tasks it does not hold, and discards those that nobody has in hand', async t => {
    const queue = await open(t);
    await queue.add([task(0), task(1), task(2, 'online')]);
    assert.deepEqual(await queue.missing(['task.0', 'task.9', 'task.2']), ['task.9']);
    await queue.discard(['task.0', 'task.2', 'task.9']);
    assert.deepEqual(await queue.counts(), { online: 0, bulk: 1, inHand: 0, delayed: 0 });
    await queue.add([task(0)]);
    assert.equal((await queue.counts()).bulk, 2);
  });

  it('delivers again what failed and may pass, later and with the number of failures', async t => {
    const queue = await open(t);
    await queue.add([task(0)]);
    const failures: number[] = [];
    const asked: number[] = [];
    await consume(t, queue, 4, {
      attempts: 4,
      backoff: count => {
        asked.push(count);
        return 5;
      },
      handle: async delivery => {
        failures.push(delivery.failures);
        if (delivery.failures < 3) throw new DeflectorError('STORE_UNAVAILABLE', 'away');
      },
    });
    assert.deepEqual(
      [failures, asked],
      [
        [0, 1, 2, 3],
        [1, 2, 3],
      ],
    );
  });

  it('buries with its cause what fails too often, what cannot pass, and nothing else', async t => {
    const queue = await open(t);
    await queue.add([task(0), task(1), task(2)]);
    const buried: [number, number, unknown][] = [];
    const faults = [new DeflectorError('STORE_UNAVAILABLE', 'away'), new DeflectorError('KEY_INVALID', 'bad')];
    await consume(t, queue, 5, {
      attempts: 3,
      handle: async ({ payload }) => {
        const fault = faults[payload.n];
        if (fault !== undefined) throw fault;
      },
      bury: async ({ payload, failures }, error) => void buried.push([payload.n, failures, error]),
    });
    await until(async () => (await queue.missing(['task.0', 'task.1', 'task.2'])).length === 3);
    assert.deepEqual(
      buried.sort(([a], [b]) => a - b),
      [
        [0, 2, faults[0]],
        [1, 0, faults[1]],
      ],
    );
  });

  it('delivers again what could not be buried', async t => {
    const queue = await open(t);
    await queue.add([task(0)]);
    let tries = 0;
    await consume(t, queue, 2, {
      handle: async () => {
        throw new DeflectorError('KEY_INVALID', 'bad');
      },
      bury: async () => {
        if (++tries === 1) throw new Error('not now');
      },
    });
    assert.equal(tries, 2);
  });

  it('has each task in one hand at a time, however many consumers there are', async t => {
    const queue = await open(t);
    await queue.add(Array.from({ length: 60 }, (_, n) => task(n)));
    const seen: number[] = [];
    let atOnce = 0;
    let most = 0;
    const handle = async ({ payload }: Delivery<Payload>) => {
      most = Math.max(most, ++atOnce);
      await sleep(2);
      atOnce--;
      seen.push(payload.n);
    };
    const consumers = await Promise.all([1, 2, 3].map(() => queue.consume({ ...options, concurrency: 4, handle })));
    await until(() => seen.length >= 60);
    await Promise.all(consumers.map(consumer => consumer.close(1000)));
    assert.deepEqual(
      seen.sort((a, b) => a - b),
      Array.from({ length: 60 }, (_, n) => n),
    );
    assert.ok(most > 1 && most <= 12, `${most} at once`);
  });

  it('lets a consumer finish what it has in hand, and gives it nothing more', async t => {
    const queue = await open(t);
    await queue.add([task(0), task(1)]);
    const done: number[] = [];
    const consumer = await queue.consume({
      ...options,
      handle: async ({ payload }) => {
        await sleep(100);
        done.push(payload.n);
      },
    });
    await until(async () => (await queue.counts()).inHand === 1);
    await consumer.close(PATIENCE_MS);
    assert.deepEqual([done, (await queue.counts()).bulk], [[0], 1]);
  });

  it('gets back what a consumer cannot finish in time, as if it had not been delivered', async t => {
    const queue = await open(t);
    await queue.add([task(0)]);
    const consumer = await queue.consume({
      ...options,
      handle: ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error()))),
    });
    await until(async () => (await queue.counts()).inHand === 1);
    await consumer.close(10);
    assert.deepEqual(await queue.counts(), { online: 0, bulk: 1, inHand: 0, delayed: 0 });
    const [again] = await consume(t, queue, 1);
    assert.deepEqual([again?.payload.n, again?.failures, again?.losses], [0, 0, 0]);
  });
}

const options: ConsumerOptions<Payload> = {
  concurrency: 1,
  attempts: 3,
  losses: 2,
  lock: LOCK_MS,
  backoff: () => 1,
  handle: async () => undefined,
  bury: async (_, error) => {
    throw error;
  },
  trouble: () => undefined,
};

function task(n: number, lane: Task<Payload>['lane'] = 'bulk'): Task<Payload> {
  return { id: `task.${n}`, lane, payload: { n } };
}

/** Consumes until there were `count` deliveries. */
async function consume(
  t: TestContext,
  queue: TaskQueue<Payload>,
  count: number,
  changes: Partial<ConsumerOptions<Payload>> = {},
): Promise<Delivery<Payload>[]> {
  const seen: Delivery<Payload>[] = [];
  const consumer = await queue.consume({
    ...options,
    ...changes,
    handle: async delivery => {
      seen.push(delivery);
      await changes.handle?.(delivery);
    },
  });
  t.signal.addEventListener('abort', () => void consumer.close(0));
  await until(() => seen.length >= count);
  await consumer.close(PATIENCE_MS);
  return seen;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('it did not come to pass');
    await sleep(5);
  }
}
