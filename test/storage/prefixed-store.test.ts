import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FileSystemStore } from '../../src/storage/filesystem-store.js';
import { PrefixedStore } from '../../src/storage/prefixed-store.js';
import { withCode } from '../conformance/object-store.js';
import { collect, temporaryFolder } from '../helpers/files.js';

describe('PrefixedStore', () => {
  it('gives the keys of another store under a prefix, and none besides', async t => {
    const inner = new FileSystemStore(await temporaryFolder(t));
    const store = new PrefixedStore(inner, 'set/train/');
    await store.write('set/train/a/b.jpg', new Uint8Array([7]));
    assert.deepEqual([...(await inner.read('a/b.jpg', 10))], [7]);
    const keys = async (prefix?: string) => (await collect(store.list(prefix))).map(({ key }) => key);
    for (const prefix of [undefined, 'set', 'set/train/', 'set/train/a']) {
      assert.deepEqual(await keys(prefix), ['set/train/a/b.jpg']);
    }
    for (const prefix of ['a', 'set/val', 'set/train/b']) assert.deepEqual(await keys(prefix), []);
    await assert.rejects(store.read('a/b.jpg', 10), withCode('KEY_INVALID'));
    await assert.rejects(store.read('set/train/../../a', 10), withCode('KEY_INVALID'));
    await store.delete('set/train/a/b.jpg');
    assert.deepEqual(await keys(), []);
  });
});
