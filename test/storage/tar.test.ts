import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DeflectorError } from '../../src/errors.js';
import { openInputs } from '../../src/storage/inputs.js';
import { readTar } from '../../src/storage/tar.js';
import { withCode } from '../conformance/object-store.js';
import { collect, temporaryFolder } from '../helpers/files.js';

const rangesOf = (bytes: Buffer) => async (start: number, end: number) => bytes.subarray(start, end);

/** Names and contents that GNU tar packs in this order. */
async function pack(folder: string, format: string, files: Readonly<Record<string, Buffer>>): Promise<Buffer> {
  for (const [name, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(folder, 'in', name)), { recursive: true });
    await writeFile(join(folder, 'in', name), bytes);
  }
  const path = join(folder, `${format}.tar`);
  execFileSync('tar', [`--format=${format}`, '-cf', path, '-C', join(folder, 'in'), ...Object.keys(files)]);
  return readFile(path);
}

describe('readTar', () => {
  for (const format of ['ustar', 'gnu', 'pax', 'v7', 'oldgnu']) {
    it(`finds every file where tar put it: ${format}`, async t => {
      const long = format === 'v7' ? 'short' : `${'d'.repeat(90)}/${'e'.repeat(90)}`;
      const files = {
        'a.jpg': Buffer.from('first'),
        'empty.png': Buffer.alloc(0),
        [`${long}/ü b.jpg`]: Buffer.alloc(513, 1),
        'large.bin': Buffer.alloc(3_000_000, 2),
        'z.jpg': Buffer.from('last'),
        ...(format === 'gnu' || format === 'pax' ? { [`${'x'.repeat(200)}/y.jpg`]: Buffer.from('long') } : {}),
      };
      const archive = await pack(await temporaryFolder(t), format, files);
      const members = await collect(readTar(rangesOf(archive)));
      assert.deepEqual(
        members.map(({ name, offset, size }) => [name, archive.subarray(offset, offset + size).toString('base64')]),
        Object.entries(files).map(([name, bytes]) => [name, bytes.toString('base64')]),
      );
    });
  }

  it('reads little more than the headers where members are large', async t => {
    const files = Object.fromEntries(Array.from({ length: 5 }, (_, i) => [`${i}.bin`, Buffer.alloc(20_000_000)]));
    const archive = await pack(await temporaryFolder(t), 'gnu', files);
    let read = 0;
    const members = await collect(
      readTar(async (start, end) => {
        const bytes = archive.subarray(start, end);
        read += bytes.length;
        return bytes;
      }),
    );
    assert.equal(members.length, 5);
    assert.ok(read <= 7 * 2 ** 20, `${read} bytes`);
  });

  it('gives what stands before a cut, and says that it is cut off', async t => {
    const archive = await pack(await temporaryFolder(t), 'gnu', { a: Buffer.alloc(700), b: Buffer.alloc(700) });
    for (const [length, whole] of [
      [100, 0],
      [1000, 0],
      [1800, 1],
      [2500, 1],
    ] as const) {
      const seen: string[] = [];
      const reading = (async () => {
        for await (const { name } of readTar(rangesOf(archive.subarray(0, length)))) seen.push(name);
      })();
      await assert.rejects(reading, withCode('SHARD_INVALID'));
      assert.equal(seen.length, whole, `${length} bytes`);
    }
    // Without the padding of the last member and the blocks that end an archive, as some writers leave it.
    assert.equal((await collect(readTar(rangesOf(archive.subarray(0, 1536 + 512 + 700))))).length, 2);
  });

  it('takes any bytes whatever without a fault of its own', async t => {
    const archive = await pack(await temporaryFolder(t), 'pax', {
      ä: Buffer.alloc(10),
      ['b'.repeat(120)]: Buffer.alloc(5),
    });
    const change = fc.tuple(fc.nat(archive.length - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async changes => {
        const damaged = Buffer.from(archive);
        for (const [place, byte] of changes) damaged[place] = byte;
        await collect(readTar(rangesOf(damaged))).catch(error => assert.ok(error instanceof DeflectorError));
      }),
      { numRuns: 500 },
    );
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async bytes => {
        await collect(readTar(rangesOf(Buffer.from(bytes)))).catch(error => assert.ok(error instanceof DeflectorError));
      }),
    );
  });
});

describe('A shard as input', () => {
  const items = async (cwd: string, ...inputs: string[]) => {
    const opened = await openInputs(inputs, { cwd });
    return { opened, items: await collect(opened.items()) };
  };

  it("gives its images in the archive's order, without the path's dots, and passes over the rest", async t => {
    const folder = await temporaryFolder(t);
    await pack(folder, 'gnu', {
      './b.jpg': Buffer.from('b'),
      './b.json': Buffer.from('{}'),
      './a.png': Buffer.from('a'),
    });
    const { opened, items: listed } = await items(folder, 'gnu.tar');
    assert.deepEqual(
      listed.map(({ key }) => key),
      ['b.jpg', 'a.png'],
    );
    const [store] = opened.stores;
    assert.equal(Buffer.from(await store!.read('a.png', 10)).toString(), 'a');
    assert.deepEqual(
      (await collect(store!.list())).map(({ key }) => key),
      ['a.png', 'b.jpg', 'b.json'],
    );
    await assert.rejects(store!.read('a.png', 0), withCode('IMAGE_TOO_MANY_BYTES'));
    await assert.rejects(store!.read('c.png', 10), withCode('IMAGE_NOT_FOUND'));
    await assert.rejects(store!.write('c.png', Buffer.from('c')), withCode('STORE_DENIED'));
    await assert.rejects(store!.delete('a.png'), withCode('STORE_DENIED'));
  });

  it('may be one of many, whose keys begin with their names', async t => {
    const folder = await temporaryFolder(t);
    const archive = await pack(folder, 'gnu', { 'a.jpg': Buffer.from('a') });
    const names = Array.from({ length: 12 }, (_, i) => `${String(i).padStart(2, '0')}.tar`);
    for (const name of names) await writeFile(join(folder, name), archive);
    const { opened, items: listed } = await items(folder, ...names);
    assert.deepEqual(
      listed.map(({ key }) => key),
      names.map(name => `${name}/a.jpg`),
    );
    for (const { key, store } of listed) assert.equal((await opened.stores[store]!.read(key, 10)).length, 1);
  });

  it('does not lead out of the archive, and says where it is damaged', async t => {
    const folder = await temporaryFolder(t);
    await pack(folder, 'gnu', { 'a.jpg': Buffer.from('a') });
    await writeFile(join(folder, 'out.jpg'), 'out');
    execFileSync('tar', ['-cPf', 'up.tar', '-C', 'in', 'a.jpg', '../out.jpg'], { cwd: folder });
    assert.deepEqual(
      (await items(folder, 'up.tar')).items.map(({ key, error }) => [key, error?.code]),
      [
        ['a.jpg', undefined],
        ['../out.jpg', 'KEY_INVALID'],
      ],
    );
    const whole = await readFile(join(folder, 'up.tar'));
    await writeFile(join(folder, 'cut.tar'), whole.subarray(0, 1300));
    const { items: cut } = await items(folder, 'cut.tar');
    assert.deepEqual(
      cut.map(({ key, error }) => [key, error?.code]),
      [
        ['a.jpg', undefined],
        ['cut.tar:1', 'SHARD_INVALID'],
      ],
    );
    for (const [name, content] of [
      ['text.tar', 'no archive at all'],
      ['packed.tar.gz', 'x'],
      ['packed.tgz', 'x'],
    ] as const) {
      await writeFile(join(folder, name), content);
      await assert.rejects(items(folder, name), withCode('SETTINGS_INVALID'), name);
    }
  });
});
