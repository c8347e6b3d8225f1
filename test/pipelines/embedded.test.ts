import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { type EmbeddedLimits, type EmbeddedPorts, embeddedLimits, runEmbedded } from '../../pipelines/embedded.js';
import { DeflectorError } from '../../src/errors.js';
import type { DefendOutcome } from '../../src/stages/defend.js';
import type { JobItem } from '../../src/types.js';
import { checkLeaks } from '../helpers/leaks.js';
import { MemoryStore, manualClock } from '../helpers/ports.js';
import { okVerdict } from '../helpers/verdicts.js';

checkLeaks();

const LIMITS: EmbeddedLimits = {
  ...{ maxBytes: 100, fetching: 2, defending: 3, window: 5, chunk: 4, tries: 3, backoff: 1 },
};
const NEVER = new AbortController().signal;

/** A job of `count` images, and what was seen of it. */
function job(count: number, changes: Partial<EmbeddedPorts> = {}, faults: Readonly<Record<string, Error>> = {}) {
  const seen = { listed: 0, fetching: 0, defending: 0, published: [] as DefendOutcome[], chunks: [] as number[] };
  const most = { ahead: 0, fetching: 0, defending: 0 };
  const keys = Array.from({ length: count }, (_, i) => String(i));
  async function* items(): AsyncGenerator<JobItem> {
    for (const [index, key] of keys.entries()) {
      seen.listed++;
      most.ahead = Math.max(most.ahead, seen.listed - seen.published.length);
      yield { index, key, store: 0 };
    }
  }
  const ports: EmbeddedPorts = {
    stores: [new MemoryStore({ ...Object.fromEntries(keys.map(key => [key, key])), ...faults })],
    clock: manualClock(),
    decode: async () => {
      most.fetching = Math.max(most.fetching, ++seen.fetching);
      await setImmediate();
      seen.fetching--;
      return { width: 1, height: 1, data: new Uint8Array(3) };
    },
    defend: async ({ key }) => {
      most.defending = Math.max(most.defending, ++seen.defending);
      // Later images overtake earlier ones.
      for (let turn = Number(key) % 4; turn < 4; turn++) await setImmediate();
      seen.defending--;
      return { verdict: okVerdict(key), passes: 1 };
    },
    publish: async outcomes => {
      seen.chunks.push(outcomes.length);
      await setImmediate();
      seen.published.push(...outcomes);
    },
    ...changes,
  };
  const published = () => seen.published.map(({ verdict }) => verdict.key);
  return { items, ports, keys, seen, most, published };
}

describe('the embedded pipeline', () => {
  it('publishes every image once, in the order of input, within its limits', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 40 }),
        fc.record({
          fetching: fc.integer({ min: 1, max: 4 }),
          defending: fc.integer({ min: 1, max: 4 }),
          window: fc.integer({ min: 1, max: 8 }),
          chunk: fc.integer({ min: 1, max: 6 }),
        }),
        async (count, some) => {
          const { items, ports, keys, published, most, seen } = job(count);
          const limits = { ...LIMITS, ...some };
          assert.equal(await runEmbedded(items(), ports, limits, {}, NEVER), true);
          assert.deepEqual(published(), keys);
          assert.ok(most.fetching <= limits.fetching && most.defending <= limits.defending);
          assert.ok(seen.chunks.every(size => size >= 1 && size <= limits.chunk));
          // In the window, one that waits to enter it, one that left it and a chunk that is being published.
          assert.ok(most.ahead <= limits.window + limits.chunk + 2, `${most.ahead} listed ahead`);
        },
      ),
      { numRuns: 40 },
    ));

  it('lists no further while publishing stands still', async () => {
    let release: () => void = () => undefined;
    const blocked = new Promise<void>(resolve => {
      release = resolve;
    });
    const { items, ports, seen, published, keys } = job(100);
    const publish = ports.publish;
    const running = runEmbedded(
      items(),
      { ...ports, publish: outcomes => blocked.then(() => publish(outcomes)) },
      LIMITS,
      {},
      NEVER,
    );
    for (let turn = 0; turn < 200; turn++) await setImmediate();
    assert.ok(seen.listed <= LIMITS.window + LIMITS.chunk + 2, `${seen.listed} listed`);
    release();
    await running;
    assert.deepEqual(published(), keys);
  });

  it('gives an image that cannot be read its error verdict, and goes on', async () => {
    const faults = { 3: new DeflectorError('IMAGE_PERMISSION', 'no'), 4: new TypeError('a defect') };
    const { items, ports, seen, published, keys } = job(8, {}, faults);
    await runEmbedded(items(), ports, LIMITS, {}, NEVER);
    assert.deepEqual(published(), keys);
    const codes = seen.published.map(({ verdict }) => (verdict.status === 'error' ? verdict.error.code : 'ok'));
    assert.deepEqual(codes, ['ok', 'ok', 'ok', 'IMAGE_PERMISSION', 'INTERNAL', 'ok', 'ok', 'ok']);
  });

  it('tries a store that fails again, as often as it is told to', async () => {
    const down = new DeflectorError('STORE_UNAVAILABLE', 'down');
    for (const [failures, code, tries] of [
      [2, 'ok', 3],
      [9, 'STORE_UNAVAILABLE', 3],
    ] as const) {
      const { items, ports, seen } = job(1);
      const [store] = ports.stores as [MemoryStore];
      const read = store.read.bind(store);
      let reads = 0;
      store.read = (key, maxBytes) => (reads++ < failures ? Promise.reject(down) : read(key, maxBytes));
      await runEmbedded(items(), ports, LIMITS, {}, NEVER);
      const [{ verdict }] = seen.published as [DefendOutcome];
      assert.equal(verdict.status === 'error' ? verdict.error.code : 'ok', code);
      assert.equal(reads, tries);
    }
  });

  it('ends where no image could be read: a store that is out of reach or lets nobody in', async () => {
    for (const [code, tries] of [
      ['STORE_UNREACHABLE', 3],
      ['STORE_DENIED', 1],
      ['STORE_NOT_FOUND', 1],
    ] as const) {
      const { items, ports } = job(1);
      const [store] = ports.stores as [MemoryStore];
      let reads = 0;
      store.read = () => {
        reads++;
        return Promise.reject(new DeflectorError(code, 'down'));
      };
      await assert.rejects(runEmbedded(items(), ports, LIMITS, {}, NEVER), { code });
      assert.equal(reads, tries);
    }
  });

  it('asked to stop, finishes what is on its way and lists nothing more', async () => {
    const stop = new AbortController();
    const { items, ports, seen, published, keys } = job(100);
    const publish = ports.publish;
    const finished = await runEmbedded(
      items(),
      {
        ...ports,
        publish: async outcomes => {
          await publish(outcomes);
          if (seen.published.length >= 10) stop.abort();
        },
      },
      LIMITS,
      {},
      stop.signal,
    );
    assert.equal(finished, false);
    assert.ok(seen.published.length < 30);
    assert.deepEqual(published(), keys.slice(0, seen.published.length));
    assert.ok(seen.listed - seen.published.length <= 1, 'at most the item at which it stopped is left');
  });

  it('calls a job finished when it was asked to stop after its last image was listed', async () => {
    const stop = new AbortController();
    const { items, ports, published, keys } = job(3);
    const defend: EmbeddedPorts['defend'] = async (...args) => {
      await setImmediate();
      stop.abort();
      return ports.defend(...args);
    };
    assert.equal(await runEmbedded(items(), { ...ports, defend }, LIMITS, {}, stop.signal), true);
    assert.deepEqual(published(), keys);
  });

  it('ends with the fault of publishing, and hands nothing more to the threads', async () => {
    const full = new DeflectorError('STORE_FULL', 'full');
    let defended = 0;
    const { items, ports, seen } = job(100);
    const running = runEmbedded(
      items(),
      {
        ...ports,
        defend: (...args) => {
          defended++;
          return ports.defend(...args);
        },
        publish: () => Promise.reject(full),
      },
      LIMITS,
      {},
      NEVER,
    );
    await assert.rejects(running, full);
    const then = defended;
    for (let turn = 0; turn < 50; turn++) await setImmediate();
    assert.equal(defended, then);
    assert.ok(seen.listed <= LIMITS.window + LIMITS.chunk + 2);
  });

  it('ends with the fault of the threads', async () => {
    const lost = new DeflectorError('WORKER_LOST', 'gone');
    const { items, ports, published } = job(20);
    const defend: EmbeddedPorts['defend'] = (image, wanted) =>
      image.key === '7' ? Promise.reject(lost) : ports.defend(image, wanted);
    await assert.rejects(runEmbedded(items(), { ...ports, defend }, LIMITS, {}, NEVER), lost);
    assert.ok(published().length <= 7);
  });

  it('ends with the fault of the listing, though publishing takes its time', async () => {
    const down = new DeflectorError('STORE_UNAVAILABLE', 'down');
    const { items, ports } = job(3);
    async function* broken(): AsyncGenerator<JobItem> {
      yield* items();
      throw down;
    }
    const publish: EmbeddedPorts['publish'] = async () => {
      for (let turn = 0; turn < 20; turn++) await setImmediate();
    };
    await assert.rejects(runEmbedded(broken(), { ...ports, publish }, LIMITS, {}, NEVER), down);
  });

  it('keeps few images on their way where they have their own size', () => {
    const small = embeddedLimits(4, 1, false);
    const large = embeddedLimits(4, 1, true);
    assert.ok(large.window < small.window && large.chunk < small.chunk);
    for (const limits of [small, large]) assert.ok(limits.window > limits.defending);
  });
});
