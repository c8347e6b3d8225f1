/** What every StreamingStore does beside what an ObjectStore does; the tests of each adapter call this. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import type { StreamingStore } from '../../src/types.js';
import { collect } from '../helpers/files.js';
import { withCode } from './object-store.js';

async function* pieces(...list: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* list;
}

/** @param open makes an empty store */
export function streamingStoreConformance(name: string, open: (t: TestContext) => Promise<StreamingStore>): void {
  describe(`${name} is a streaming store`, () => {
    it('gives back in pieces what was written in pieces, of any size', async t => {
      const store = await open(t);
      // One byte around the limits at which a store may cut an object into parts.
      for (const size of [0, 1, 1000, 8 * 2 ** 20 - 1, 8 * 2 ** 20, 8 * 2 ** 20 + 1, 20_000_000]) {
        const bytes = randomBytes(size);
        await store.writeStream(
          'a',
          pieces(bytes.subarray(0, 10), bytes.subarray(10, 500_000), bytes.subarray(500_000)),
        );
        assert.ok(bytes.equals(Buffer.concat(await collect(store.stream('a')))), `${size} bytes`);
      }
    });

    it('reads ranges, cut where the object ends', async t => {
      const store = await open(t);
      await store.write('a', Buffer.from('0123456789'));
      const range = async (start: number, end: number) =>
        Buffer.from(await store.readRange('a', start, end)).toString();
      assert.equal(await range(0, 10), '0123456789');
      assert.equal(await range(3, 5), '34');
      assert.equal(await range(8, 100), '89');
      assert.equal(await range(10, 12), '');
      assert.equal(await range(50, 60), '');
      assert.equal(await range(5, 5), '');
    });

    it('leaves the old object where writing the new one fails, and nothing else', async t => {
      const store = await open(t);
      await store.write('a', Buffer.from('old'));
      const failing = (async function* () {
        yield Buffer.from('new');
        throw new Error('gone');
      })();
      await assert.rejects(store.writeStream('a', failing), /gone/);
      assert.equal(Buffer.from(await store.read('a', 10)).toString(), 'old');
      assert.deepEqual(
        (await collect(store.list())).map(({ key }) => key),
        ['a'],
      );
    });

    it('says what cannot be read or named', async t => {
      const store = await open(t);
      await assert.rejects(collect(store.stream('missing')), withCode('IMAGE_NOT_FOUND'));
      await assert.rejects(store.readRange('missing', 0, 1), withCode('IMAGE_NOT_FOUND'));
      for (const key of ['../a', '', 'a//b']) {
        await assert.rejects(collect(store.stream(key)), withCode('KEY_INVALID'));
        await assert.rejects(store.readRange(key, 0, 1), withCode('KEY_INVALID'));
        await assert.rejects(store.writeStream(key, pieces()), withCode('KEY_INVALID'));
      }
    });
  });
}
