/** What every ObjectStore does; the tests of each adapter call this. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { DeflectorError, type ErrorCode } from '../../src/errors.js';
import type { ObjectStore } from '../../src/types.js';
import { collect } from '../helpers/files.js';

const LIMIT = 1 << 20;

/** The order that the port promises, told by the bytes themselves. */
export function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

export function withCode(code: ErrorCode) {
  return (error: unknown) => {
    assert.ok(error instanceof DeflectorError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  };
}

/** Segments that tell byte order from the order of UTF-16, of folders and of locales. */
const segment = fc.oneof(
  fc.constantFrom(
    'a',
    'a-b',
    'a.jpg',
    'A',
    'ä',
    'a b',
    '-a',
    'a\nb',
    '\u{1F600}',
    '\uFF5E',
    'a+',
    'a0',
    '.a',
    'a\\b',
    '%2e',
  ),
  fc.string({ minLength: 1, maxLength: 4, unit: fc.constantFrom('a', '-', '.', '0', '!', 'é', '\uFFFD', '\u{10000}') }),
);
const key = fc
  .array(segment, { minLength: 1, maxLength: 4 })
  .filter(segments => !segments.some(text => text === '.' || text === '..'))
  .map(segments => segments.join('/'));

/** Keys that can stand in one store together: none is a folder of another. */
export const keySets = fc.uniqueArray(key, { maxLength: 14 }).map(keys => {
  return keys.filter(one => !keys.some(other => other.startsWith(`${one}/`)));
});

/** @param open makes an empty store */
export function objectStoreConformance(name: string, open: (t: TestContext) => Promise<ObjectStore>): void {
  describe(`${name} is an object store`, () => {
    const bytes = (text: string) => new TextEncoder().encode(text);

    it('gives back what was written, also over an older object', async t => {
      const store = await open(t);
      await store.write('folder/a.bin', bytes('first'));
      await store.write('folder/a.bin', bytes('second'));
      assert.deepEqual(Buffer.from(await store.read('folder/a.bin', LIMIT)).toString(), 'second');
    });

    it('keeps an object of no bytes', async t => {
      const store = await open(t);
      await store.write('empty', new Uint8Array());
      assert.equal((await store.read('empty', LIMIT)).length, 0);
    });

    it('lists any set of keys in the order of their UTF-8 bytes, each once', async t => {
      await fc.assert(
        fc.asyncProperty(keySets, async keys => {
          const store = await open(t);
          for (const one of keys) await store.write(one, bytes(one));
          const listed = (await collect(store.list())).map(entry => entry.key);
          assert.deepEqual(listed, [...keys].sort(byBytes));
          for (const one of keys) {
            assert.equal(Buffer.from(await store.read(one, LIMIT)).toString(), one);
            await store.delete(one);
          }
          assert.deepEqual(await collect(store.list()), []);
        }),
        { numRuns: 15 },
      );
    });

    it('lists what begins with a prefix, which need not end at a slash', async t => {
      const store = await open(t);
      for (const one of ['a/b.jpg', 'a/bc/d.jpg', 'a/c.jpg', 'ab.jpg']) await store.write(one, bytes(one));
      const keys = async (prefix: string) => (await collect(store.list(prefix))).map(entry => entry.key);
      assert.deepEqual(await keys('a'), ['a/b.jpg', 'a/bc/d.jpg', 'a/c.jpg', 'ab.jpg']);
      assert.deepEqual(await keys('a/'), ['a/b.jpg', 'a/bc/d.jpg', 'a/c.jpg']);
      assert.deepEqual(await keys('a/b'), ['a/b.jpg', 'a/bc/d.jpg']);
      assert.deepEqual(await keys('a/bc/d.jpg'), ['a/bc/d.jpg']);
      assert.deepEqual(await keys('nothing/'), []);
    });

    it('lists lazily: whoever stops early may', async t => {
      const store = await open(t);
      for (const one of ['a', 'b', 'c']) await store.write(one, bytes(one));
      for await (const entry of store.list()) {
        assert.equal(entry.key, 'a');
        break;
      }
    });

    it('reads up to the limit and refuses one byte more', async t => {
      const store = await open(t);
      await store.write('ten', new Uint8Array(10));
      assert.equal((await store.read('ten', 10)).length, 10);
      await assert.rejects(store.read('ten', 9), withCode('IMAGE_TOO_MANY_BYTES'));
    });

    it('says of a key that is not there that it is not found', async t => {
      const store = await open(t);
      await store.write('a/b', bytes('b'));
      await assert.rejects(store.read('missing', LIMIT), withCode('IMAGE_NOT_FOUND'));
      await assert.rejects(store.read('missing/too', LIMIT), withCode('IMAGE_NOT_FOUND'));
    });

    it('deletes, also what is not there', async t => {
      const store = await open(t);
      await store.write('a', bytes('a'));
      await store.delete('a');
      await store.delete('a');
      await store.delete('x/y');
      await assert.rejects(store.read('a', LIMIT), withCode('IMAGE_NOT_FOUND'));
    });

    for (const bad of [
      '',
      '/a',
      '..',
      '../a',
      'a/../../b',
      'a/..',
      './a',
      'a//b',
      'a/',
      'a\0b',
      '\uD800',
      'x'.repeat(5000),
    ]) {
      it(`refuses the key ${JSON.stringify(bad.slice(0, 12))}`, async t => {
        const store = await open(t);
        await assert.rejects(store.read(bad, LIMIT), withCode('KEY_INVALID'));
        await assert.rejects(store.write(bad, new Uint8Array(1)), withCode('KEY_INVALID'));
        await assert.rejects(store.delete(bad), withCode('KEY_INVALID'));
      });
    }

    it('never shows half of an object to a reader', async t => {
      const store = await open(t);
      const versions = ['a', 'b'].map(fill => new Uint8Array(300_000).fill(fill.charCodeAt(0)));
      await store.write('object', versions[0]!);
      let done = false;
      const writing = (async () => {
        for (let i = 0; i < 20; i++) await store.write('object', versions[i % 2]!);
        done = true;
      })();
      while (!done) {
        const seen = await store.read('object', LIMIT);
        assert.equal(seen.length, 300_000);
        assert.ok(seen.every(byte => byte === seen[0]));
        assert.deepEqual(
          (await collect(store.list())).map(entry => entry.key),
          ['object'],
        );
      }
      await writing;
    });
  });
}
