import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { DeflectorError } from '../../src/errors.js';
import { fetchImage, isFetched } from '../../src/stages/fetch.js';
import type { JobItem } from '../../src/types.js';
import { MemoryStore, manualClock } from '../helpers/ports.js';

const PIXELS = { width: 1, height: 1, data: Uint8Array.of(1, 2, 3) };
const LIMITS = { maxBytes: 100 };
const item = (key: string): JobItem => ({ index: 4, key, store: 0 });

describe('the fetch stage', () => {
  it('gives pixels with the digest of the bytes they came from, and the time that both steps took', async () => {
    const clock = manualClock();
    const store = new MemoryStore({ 'a.png': 'bytes' });
    const read = store.read.bind(store);
    store.read = async (key, maxBytes) => {
      clock.time += 5;
      return read(key, maxBytes);
    };
    const decode = async (bytes: Uint8Array) => {
      assert.equal(Buffer.from(bytes).toString(), 'bytes');
      clock.time += 7;
      return PIXELS;
    };
    assert.deepEqual(await fetchImage(item('a.png'), { stores: [store], decode, clock }, LIMITS), {
      index: 4,
      key: 'a.png',
      sha256: createHash('sha256').update('bytes').digest('hex'),
      pixels: PIXELS,
      ms: { fetch: 5, decode: 7 },
    });
  });

  it('reads from the store that the item names, under the limit on bytes', async () => {
    const limits: number[] = [];
    const store = new MemoryStore({ 'a.png': 'bytes' });
    const read = store.read.bind(store);
    store.read = (key, maxBytes) => {
      limits.push(maxBytes);
      return read(key, maxBytes);
    };
    const ports = { stores: [new MemoryStore({}), store], decode: async () => PIXELS, clock: manualClock() };
    assert.ok(isFetched(await fetchImage({ ...item('a.png'), store: 1 }, ports, LIMITS)));
    assert.deepEqual(limits, [LIMITS.maxBytes]);
  });

  it('takes what the image is to blame for as data', async () => {
    const ports = {
      stores: [new MemoryStore({ 'torn.png': 'torn' })],
      decode: () => Promise.reject(new DeflectorError('IMAGE_CORRUPT', 'torn')),
      clock: manualClock(),
    };
    const missing = await fetchImage(item('none.png'), ports, LIMITS);
    assert.ok(!isFetched(missing));
    assert.deepEqual(
      [missing.error.code, missing.error.retryable, missing.sha256],
      ['IMAGE_NOT_FOUND', false, undefined],
    );
    const torn = await fetchImage(item('torn.png'), ports, LIMITS);
    assert.ok(!isFetched(torn));
    assert.deepEqual(torn.error, { code: 'IMAGE_CORRUPT', message: 'torn', retryable: false });
    assert.equal(torn.sha256, createHash('sha256').update('torn').digest('hex'));
  });

  it('hands on what the listing knows, without a look at the store', async () => {
    const error = { code: 'MANIFEST_LINE_INVALID', message: 'line 3', retryable: false } as const;
    const ports = { stores: [], decode: async () => PIXELS, clock: manualClock() };
    assert.deepEqual(await fetchImage({ ...item('line 3'), error }, ports, LIMITS), {
      index: 4,
      key: 'line 3',
      error,
      ms: { fetch: 0, decode: 0 },
    });
  });

  it('throws what the store is to blame for, and what is a defect', async () => {
    const ports = (fault: Error) => ({
      stores: [new MemoryStore({ 'a.png': fault })],
      decode: async () => PIXELS,
      clock: manualClock(),
    });
    const down = new DeflectorError('STORE_UNAVAILABLE', 'down');
    await assert.rejects(fetchImage(item('a.png'), ports(down), LIMITS), down);
    const defect = new TypeError('x is not a function');
    await assert.rejects(fetchImage(item('a.png'), ports(defect), LIMITS), defect);
    await assert.rejects(fetchImage({ ...item('a.png'), store: 3 }, ports(down), LIMITS), { code: 'INTERNAL' });
  });
});
