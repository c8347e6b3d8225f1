import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type InputOptions, openInputs } from '../../src/storage/inputs.js';
import { parseS3Address } from '../../src/storage/s3-address.js';
import { withCode } from '../conformance/object-store.js';
import { collect } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { type S3Server, startS3Server } from '../helpers/s3-server.js';

let server: S3Server;
before(async () => {
  server = await startS3Server();
});
after(() => server.stop());
checkLeaks();

/** A bucket with objects that hold their own names. */
async function bucket(...names: string[]): Promise<string> {
  const { name, folder } = await server.bucket();
  for (const key of names) {
    await mkdir(dirname(join(folder, key)), { recursive: true });
    await writeFile(join(folder, key), key);
  }
  return `s3://${name}`;
}

function open(inputs: string[], options: InputOptions = {}) {
  return openInputs(inputs, { s3: server.connect(), ...options });
}

async function keys(inputs: string[], options: InputOptions = {}): Promise<string[]> {
  const opened = await open(inputs, options);
  const items = await collect(opened.items());
  assert.equal(await opened.count(), items.length);
  return items.map(({ key, error }) => (error === undefined ? key : `${key} ${error.code}`));
}

describe('An input in S3', () => {
  it('is what lies below a prefix, by the rules of a folder, with or without a slash', async () => {
    const root = await bucket('p/a.jpg', 'p/b/c d+ü.png', 'p/notes.txt', 'p/.h/x.jpg', 'p/.y.jpg', 'pq/z.jpg', 'r.jpg');
    const passed: string[] = [];
    const opened = await open([`${root}/p`]);
    assert.deepEqual(
      (await collect(opened.items(key => passed.push(key)))).map(({ key }) => key),
      ['a.jpg', 'b/c d+ü.png'],
    );
    assert.deepEqual(passed, ['.y.jpg', 'notes.txt']);
    assert.deepEqual(await keys([`${root}/p/`]), ['a.jpg', 'b/c d+ü.png']);
    assert.deepEqual(await keys([root]), ['p/a.jpg', 'p/b/c d+ü.png', 'pq/z.jpg', 'r.jpg']);
    assert.deepEqual(await keys([root], { exclude: [`${root}/p`] }), ['pq/z.jpg', 'r.jpg']);
  });

  it('is an object of any name', async () => {
    const root = await bucket('p/a.dat', 'p/x[1].jpg', 'p/x1.jpg');
    assert.deepEqual(await keys([`${root}/p/a.dat`]), ['a.dat']);
    assert.deepEqual(await keys([`${root}/p/x[1].jpg`]), ['x[1].jpg']);
  });

  it('is a glob over keys', async () => {
    const root = await bucket('p/a.jpg', 'p/a.png', 'p/q/b.jpg', 'p/q/r/c.jpg', 'p/q/.d/e.jpg', 'f.jpg');
    assert.deepEqual(await keys([`${root}/p/*.jpg`]), ['a.jpg']);
    assert.deepEqual(await keys([`${root}/p/*/*.jpg`]), ['q/b.jpg']);
    assert.deepEqual(await keys([`${root}/p/**/*.jpg`]), ['a.jpg', 'q/b.jpg', 'q/r/c.jpg']);
    assert.deepEqual(await keys([`${root}/*.jpg`]), ['f.jpg']);
    await assert.rejects(keys([`${root}/p/*.gif`]), withCode('INPUT_NOT_FOUND'));
  });

  it('is a manifest, with keys beside it', async () => {
    const { name, folder } = await server.bucket();
    await mkdir(join(folder, 'd'));
    await writeFile(join(folder, 'd', 'list.csv'), 'label,key\n1,b.jpg\n2,../x.jpg\n3,"a,1.jpg"\n');
    await writeFile(join(folder, 'd', 'b.jpg'), 'content');
    const opened = await open([`s3://${name}/d/list.csv`]);
    const items = await collect(opened.items());
    assert.deepEqual(
      items.map(({ key, error }) => [key, error?.code]),
      [
        ['b.jpg', undefined],
        ['../x.jpg', 'KEY_INVALID'],
        ['a,1.jpg', undefined],
      ],
    );
    assert.equal(Buffer.from(await opened.stores[0]!.read('b.jpg', 100)).toString(), 'content');
    await writeFile(join(folder, 'd', 'bad.csv'), 'label\n1\n');
    await assert.rejects(open([`s3://${name}/d/bad.csv`]), withCode('SETTINGS_INVALID'));
  });

  it('may be one of several, with keys below what they have in common, and gives no image twice', async () => {
    const root = await bucket('d/train/a.jpg', 'd/val/a.jpg', 'e.jpg');
    const other = await bucket('f.jpg');
    assert.deepEqual(await keys([`${root}/d/val`, `${root}/d/train`]), ['val/a.jpg', 'train/a.jpg']);
    assert.deepEqual(await keys([`${root}/d`, `${root}/d/val`, `${root}/e.jpg`]), [
      'd/train/a.jpg',
      'd/val/a.jpg',
      'e.jpg',
    ]);
    assert.deepEqual(await keys([other, `${root}/e.jpg`]), [`${other.slice(5)}/f.jpg`, `${root.slice(5)}/e.jpg`]);
    const opened = await open([other, `${root}/d/val`]);
    for await (const { key, store } of opened.items()) {
      const content = Buffer.from(await opened.stores[store]!.read(key, 100)).toString();
      assert.equal(key.slice(key.indexOf('/') + 1), content);
    }
  });

  it('is refused before any work where it is nothing', async () => {
    const root = await bucket('a.jpg');
    for (const [inputs, code] of [
      [[`${root}/missing`], 'INPUT_NOT_FOUND'],
      [['s3://no-such-bucket-here'], 'STORE_NOT_FOUND'],
      [['s3://'], 'SETTINGS_INVALID'],
      [['s3:///a'], 'SETTINGS_INVALID'],
      [[`${root}/a/../b`], 'SETTINGS_INVALID'],
      [[`${root}/a//b`], 'SETTINGS_INVALID'],
      [[root, '.'], 'SETTINGS_INVALID'],
      [['gs://bucket/a'], 'SETTINGS_INVALID'],
    ] as const) {
      await assert.rejects(open([...inputs]), withCode(code), inputs.join());
    }
  });
});

describe('An address in S3', () => {
  it('is taken apart as written', () => {
    assert.deepEqual(parseS3Address('s3://b.c-1/a b+c%20ü'), { bucket: 'b.c-1', key: 'a b+c%20ü' });
    assert.deepEqual(parseS3Address('S3://bkt'), { bucket: 'bkt', key: '' });
    assert.deepEqual(parseS3Address('s3://bkt/'), { bucket: 'bkt', key: '' });
    for (const bad of ['s3://', 's3://a b/c', 's3://-b/c', 's3://user:secret@host/c', 'bkt/c']) {
      assert.equal(parseS3Address(bad), undefined, bad);
    }
  });
});
