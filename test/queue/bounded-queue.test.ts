import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { BoundedQueue } from '../../src/queue/bounded-queue.js';
import { collect } from '../helpers/files.js';

describe('a bounded queue', () => {
  it('gives what was pushed, in order, and never holds more than its capacity', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.integer(), { maxLength: 40 }),
        fc.array(fc.boolean(), { maxLength: 40 }),
        async (capacity, items, pauses) => {
          const queue = new BoundedQueue<number>(capacity);
          const pushing = (async () => {
            for (const [i, item] of items.entries()) {
              if (pauses[i]) await setImmediate();
              await queue.push(item);
              assert.ok(queue.size <= capacity);
            }
            queue.close();
          })();
          const pulled: number[] = [];
          for await (const item of queue) {
            if (pauses[pulled.length + 1]) await setImmediate();
            pulled.push(item);
          }
          await pushing;
          assert.deepEqual(pulled, items);
        },
      ),
    ));

  it('lets several pushers in as there is room, each item once', async () => {
    const queue = new BoundedQueue<number>(2);
    const pushers = Promise.all(Array.from({ length: 20 }, (_, i) => queue.push(i)));
    void pushers.then(() => queue.close());
    assert.deepEqual(
      (await collect(queue)).sort((a, b) => a - b),
      Array.from({ length: 20 }, (_, i) => i),
    );
  });

  it('makes a pusher wait while it is full, and a puller while it is empty', async () => {
    const queue = new BoundedQueue<string>(1);
    const log: string[] = [];
    const pulling = queue.pull().then(item => log.push(`pulled ${item}`));
    await setImmediate();
    assert.equal(log.length, 0);
    await queue.push('a');
    await pulling;
    await queue.push('b');
    const pushing = queue.push('c').then(() => log.push('pushed c'));
    await setImmediate();
    assert.deepEqual(log, ['pulled a']);
    assert.equal(await queue.pull(), 'b');
    await pushing;
    assert.deepEqual(log, ['pulled a', 'pushed c']);
  });

  it('once closed gives what is left, then ends, and takes nothing', async () => {
    const queue = new BoundedQueue<string>(3);
    await queue.push('a');
    queue.close();
    await assert.rejects(queue.push('b'), /closed/);
    assert.deepEqual(await collect(queue), ['a']);
    assert.equal(await queue.pull(), undefined);
  });

  it('once failed gives its error to both sides, those that wait included', async () => {
    const fault = new Error('the disk is full');
    const full = new BoundedQueue<string>(1);
    await full.push('a');
    const pushing = full.push('b');
    const empty = new BoundedQueue<string>(1);
    const pulling = empty.pull();
    full.fail(fault);
    empty.fail(fault);
    await assert.rejects(pushing, fault);
    await assert.rejects(pulling, fault);
    await assert.rejects(full.pull(), fault);
    await assert.rejects(full.push('c'), fault);
    full.fail(new Error('a later one'));
    await assert.rejects(full.pull(), fault);
  });

  it('has room for one at least', () => {
    for (const capacity of [0, -1, 1.5, Number.NaN]) assert.throws(() => new BoundedQueue(capacity), RangeError);
  });
});
