import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { Gate } from '../../src/queue/gate.js';

describe('a gate', () => {
  it('runs all tasks, in their order, never more than its limit at a time', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 20 }),
        async (limit, turns) => {
          const gate = new Gate(limit);
          const started: number[] = [];
          let running = 0;
          let most = 0;
          const task = async (id: number) => {
            started.push(id);
            most = Math.max(most, ++running);
            for (let turn = 0; turn < turns[id]!; turn++) await setImmediate();
            running--;
            return id;
          };
          const results = await Promise.all(turns.map((_, id) => gate.run(() => task(id))));
          const ids = turns.map((_, id) => id);
          assert.deepEqual(results, ids);
          assert.deepEqual(started, ids);
          assert.ok(most <= limit);
        },
      ),
    ));

  it('gives the place of a task that failed to the next', async () => {
    const gate = new Gate(1);
    const failing = gate.run(() => Promise.reject(new Error('no')));
    const following = gate.run(async () => 'done');
    await assert.rejects(failing, /no/);
    assert.equal(await following, 'done');
  });

  it('lets one in at least', () => {
    for (const limit of [0, -1, 0.5]) assert.throws(() => new Gate(limit), RangeError);
  });
});
