import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, linkSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { chmod, mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { FileSystemStore } from '../../src/storage/filesystem-store.js';
import { byBytes, keySets, objectStoreConformance, withCode } from '../conformance/object-store.js';
import { streamingStoreConformance } from '../conformance/streaming-store.js';
import { asPlainUser, collect, temporaryFolder } from '../helpers/files.js';

const LIMIT = 1 << 20;

objectStoreConformance('FileSystemStore', async t => new FileSystemStore(await temporaryFolder(t)));
streamingStoreConformance('FileSystemStore', async t => new FileSystemStore(await temporaryFolder(t)));
objectStoreConformance('FileSystemStore that sorts on the disk', async t => {
  return new FileSystemStore(await temporaryFolder(t), { namesInMemory: 2 });
});

async function keys(store: FileSystemStore): Promise<string[]> {
  return (await collect(store.list())).map(entry => entry.key);
}

describe('FileSystemStore reads', () => {
  it('says what hinders it: a folder, a dangling link, a pipe, a socket, a device', async t => {
    const folder = await temporaryFolder(t);
    await mkdir(join(folder, 'folder.jpg'));
    await symlink('nowhere', join(folder, 'dangling.jpg'));
    await symlink('round.jpg', join(folder, 'round.jpg'));
    await symlink('folder.jpg', join(folder, 'link.jpg'));
    await symlink('/dev/zero', join(folder, 'zero.jpg'));
    execFileSync('mkfifo', [join(folder, 'pipe.jpg')]);
    const server = createServer().listen(join(folder, 'socket.jpg'));
    t.after(() => server.close());
    const store = new FileSystemStore(folder, { links: 'anywhere' });
    for (const name of ['folder', 'dangling', 'round', 'link', 'zero', 'pipe', 'socket']) {
      await assert.rejects(store.read(`${name}.jpg`, LIMIT), withCode('IMAGE_NOT_A_FILE'), name);
    }
  });

  it('says that a file went away after it was listed', async t => {
    const folder = await temporaryFolder(t);
    await writeFile(join(folder, 'a.jpg'), 'a');
    const store = new FileSystemStore(folder);
    assert.deepEqual(await keys(store), ['a.jpg']);
    await rm(join(folder, 'a.jpg'));
    await assert.rejects(store.read('a.jpg', LIMIT), withCode('IMAGE_NOT_FOUND'));
  });

  it('says that it may not read a file or list a folder, and lists the rest', async t => {
    const folder = await temporaryFolder(t);
    await writeFile(join(folder, 'a.jpg'), 'a', { mode: 0o000 });
    await mkdir(join(folder, 'closed'));
    await chmod(join(folder, 'closed'), 0o000);
    await writeFile(join(folder, 'closed.jpg'), 'c');
    const store = new FileSystemStore(folder);
    await asPlainUser(async () => {
      await assert.rejects(store.read('a.jpg', LIMIT), withCode('IMAGE_PERMISSION'));
      const listed = await collect(store.list());
      assert.deepEqual(
        listed.map(({ key, error }) => [key, error?.code]),
        [
          ['a.jpg', undefined],
          ['closed.jpg', undefined],
          ['closed/', 'IMAGE_PERMISSION'],
        ],
      );
    });
  });

  it('follows links that stay inside, and others only when told', async t => {
    const folder = await temporaryFolder(t);
    const outside = await temporaryFolder(t);
    await mkdir(join(folder, 'in'));
    await writeFile(join(folder, 'in', 'a.jpg'), 'inside');
    await writeFile(join(outside, 'b.jpg'), 'outside');
    await symlink('in/a.jpg', join(folder, 'near.jpg'));
    await symlink(join(outside, 'b.jpg'), join(folder, 'far.jpg'));
    await symlink(outside, join(folder, 'way'));
    const store = new FileSystemStore(folder);
    assert.equal(Buffer.from(await store.read('near.jpg', LIMIT)).toString(), 'inside');
    await assert.rejects(store.read('far.jpg', LIMIT), withCode('IMAGE_LINK_OUTSIDE'));
    await assert.rejects(store.read('way/b.jpg', LIMIT), withCode('IMAGE_LINK_OUTSIDE'));
    await assert.rejects(store.write('way/c.jpg', new Uint8Array(1)), withCode('KEY_INVALID'));
    await assert.rejects(store.write('way/new/c.jpg', new Uint8Array(1)), withCode('KEY_INVALID'));
    await assert.rejects(store.delete('way/b.jpg'), withCode('KEY_INVALID'));
    assert.deepEqual(await readdir(outside), ['b.jpg']);
    const trusting = new FileSystemStore(folder, { links: 'anywhere' });
    assert.equal(Buffer.from(await trusting.read('far.jpg', LIMIT)).toString(), 'outside');
  });

  it('reads a folder that is itself reached by a link', async t => {
    const folder = await temporaryFolder(t);
    await mkdir(join(folder, 'real'));
    await writeFile(join(folder, 'real', 'a.jpg'), 'a');
    await symlink('real', join(folder, 'alias'));
    const store = new FileSystemStore(join(folder, 'alias'));
    assert.deepEqual(await keys(store), ['a.jpg']);
    assert.equal(Buffer.from(await store.read('a.jpg', LIMIT)).toString(), 'a');
  });

  it('reads files whose size the system does not tell, under the same limit', async () => {
    // proc(5): files in /proc have size 0 and yet give bytes.
    const store = new FileSystemStore('/proc/self');
    const status = await store.read('status', LIMIT);
    assert.match(Buffer.from(status).toString(), /^Name:/);
    await assert.rejects(store.read('status', 10), withCode('IMAGE_TOO_MANY_BYTES'));
  });

  it('waits for file descriptors when there are none, instead of failing the image', async t => {
    const folder = await temporaryFolder(t);
    await writeFile(join(folder, 'a.jpg'), 'a');
    const script = `
      import { closeSync, openSync } from 'node:fs';
      import { FileSystemStore } from ${JSON.stringify(new URL('../../src/storage/filesystem-store.js', import.meta.url).href)};
      const store = new FileSystemStore(${JSON.stringify(folder)});
      await store.read('a.jpg', 10);
      const taken = [];
      try { for (;;) taken.push(openSync('/dev/null')); } catch (error) { if (error.code !== 'EMFILE') throw error; }
      setTimeout(() => taken.forEach(fd => closeSync(fd)), 100);
      process.stdout.write(Buffer.from(await store.read('a.jpg', 10)));
    `;
    const command = 'ulimit -n 64 && exec "$0" --input-type=module -e "$1"';
    assert.equal(execFileSync('bash', ['-c', command, process.execPath, script]).toString(), 'a');
  });
});

describe('FileSystemStore lists', () => {
  it('in the order of an S3 listing: whole keys by bytes, so that a-b and a.jpg frame the folder a', async t => {
    const store = new FileSystemStore(await temporaryFolder(t));
    const ordered = ['a-b/1', 'a.jpg', 'a/1', 'a/2', 'a0', 'b'];
    for (const key of [...ordered].reverse()) await store.write(key, new Uint8Array(1));
    assert.deepEqual(await keys(store), ordered);
  });

  it('does not enter links to folders, so that it cannot go round', async t => {
    const folder = await temporaryFolder(t);
    await mkdir(join(folder, 'a'));
    await symlink('..', join(folder, 'a', 'up'));
    await writeFile(join(folder, 'a', 'b.jpg'), 'b');
    const store = new FileSystemStore(folder);
    assert.deepEqual(await keys(store), ['a/b.jpg', 'a/up']);
    assert.deepEqual(await collect(store.list('a/up/')), []);
  });

  it('shows a name that is not UTF-8 by its bytes, with an error', async t => {
    const folder = await temporaryFolder(t);
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/a`), Buffer.from([0xff]), Buffer.from('é.jpg')]), 'x');
    const [entry] = await collect(new FileSystemStore(folder).list());
    assert.equal(entry?.key, 'a\\xFFé.jpg');
    assert.equal(entry?.error?.code, 'KEY_INVALID');
  });

  it('takes names as they are: newline, emoji, leading dash, percent, backslash', async t => {
    const folder = await temporaryFolder(t);
    const names = ['-rf.jpg', 'a\nb.jpg', 'c%2e%2e.jpg', 'd\\..\\e.jpg', '\u{1F431}.jpg'];
    for (const name of names) await writeFile(join(folder, name), name);
    const store = new FileSystemStore(folder);
    assert.deepEqual(await keys(store), names);
    for (const name of names) assert.equal(Buffer.from(await store.read(name, LIMIT)).toString(), name);
  });

  it('fails as a store when its root is not there', async t => {
    const store = new FileSystemStore(join(await temporaryFolder(t), 'missing'));
    await assert.rejects(collect(store.list()), withCode('STORE_UNAVAILABLE'));
  });

  it('goes on when a folder goes away under it', async t => {
    const folder = await temporaryFolder(t);
    for (const name of ['a', 'b', 'c']) {
      await mkdir(join(folder, name));
      await writeFile(join(folder, name, '1.jpg'), name);
    }
    const seen: string[] = [];
    for await (const { key } of new FileSystemStore(folder).list()) {
      seen.push(key);
      if (key === 'a/1.jpg') await rename(join(folder, 'b'), join(folder, 'gone'));
    }
    assert.deepEqual(seen, ['a/1.jpg', 'c/1.jpg']);
  });

  it('leaves no temporary file behind, read to its end or not', async t => {
    const mine = () => readdirSync(tmpdir()).filter(name => name.startsWith(`deflector-names-${process.pid}-`));
    const store = new FileSystemStore(await temporaryFolder(t), { namesInMemory: 2 });
    for (const key of ['a', 'b', 'c', 'd', 'e']) await store.write(key, new Uint8Array(1));
    await keys(store);
    for await (const _ of store.list()) break;
    assert.deepEqual(mine(), []);
  });

  it('lists 120,000 names of one folder in order while holding few of them', async t => {
    const folder = await temporaryFolder(t);
    const count = 120_000;
    const origin = await temporaryFolder(t);
    // Numbered by a full-period linear congruence, so that the folder's own order is not that of the names.
    for (let i = 0, n = 1; i < count; i++, n = (n * 3_121 + 7) % 0x1000000) {
      // Links to few files are made sooner than files; ext4 allows 65,000 to one (ext4(5)).
      const file = join(origin, String(Math.floor(i / 50_000)));
      if (i % 50_000 === 0) writeFileSync(file, '');
      linkSync(file, join(folder, `${String(n).padStart(8, '0')}-${String(i).padStart(60, '0')}.jpg`));
    }
    const script = `
      import { FileSystemStore } from ${JSON.stringify(new URL('../../src/storage/filesystem-store.js', import.meta.url).href)};
      let count = 0, previous = '', ordered = true;
      const store = new FileSystemStore(${JSON.stringify(folder)}, { namesInMemory: 5000 });
      gc();
      const before = process.memoryUsage().heapUsed;
      let peak = 0;
      for await (const { key } of store.list()) {
        ordered &&= previous < key;
        previous = key;
        if (++count % 20_000 === 1) { gc(); peak = Math.max(peak, process.memoryUsage().heapUsed - before); }
      }
      console.log(JSON.stringify({ count, ordered, peak }));
    `;
    const output = execFileSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', script]).toString();
    const { count: listed, ordered, peak } = JSON.parse(output) as { count: number; ordered: boolean; peak: number };
    assert.equal(listed, count);
    assert.ok(ordered);
    // All names held at once would be 120,000 strings of 73 characters: over 9 MB.
    assert.ok(peak < 4e6, `${peak} bytes of heap`);
  });

  it('agrees with a sorted oracle for any bound on the names in memory', async t => {
    const root = await temporaryFolder(t);
    let run = 0;
    await fc.assert(
      fc.asyncProperty(keySets, fc.integer({ min: 1, max: 5 }), async (set, namesInMemory) => {
        const folder = join(root, String(run++));
        mkdirSync(folder);
        for (const key of set) {
          mkdirSync(join(folder, key, '..'), { recursive: true });
          writeFileSync(join(folder, key), '');
        }
        assert.deepEqual(await keys(new FileSystemStore(folder, { namesInMemory })), [...set].sort(byBytes));
      }),
      { numRuns: 60 },
    );
  });
});

describe('FileSystemStore writes', () => {
  it('says that the store is full, and leaves nothing of what it began', async t => {
    const folder = await temporaryFolder(t);
    const script = `
      import { FileSystemStore } from ${JSON.stringify(new URL('../../src/storage/filesystem-store.js', import.meta.url).href)};
      const store = new FileSystemStore(${JSON.stringify(folder)});
      await store.write('small', new Uint8Array(10));
      await store.write('large', new Uint8Array(100_000)).catch(error => console.log(error.code));
    `;
    // A limit on the size of files stands in for a full disk: both refuse the rest of a write.
    const command = 'ulimit -f 8 && exec "$0" --input-type=module -e "$1"';
    assert.equal(execFileSync('bash', ['-c', command, process.execPath, script]).toString(), 'STORE_FULL\n');
    assert.deepEqual(await readdir(folder), ['small']);
  });

  it('refuses a key whose folder is a file, or that names a folder', async t => {
    const store = new FileSystemStore(await temporaryFolder(t));
    await store.write('a', new Uint8Array(1));
    await store.write('b/c', new Uint8Array(1));
    await assert.rejects(store.write('a/b', new Uint8Array(1)), withCode('KEY_INVALID'));
    await assert.rejects(store.write('b', new Uint8Array(1)), withCode('KEY_INVALID'));
    assert.deepEqual(await keys(store), ['a', 'b/c']);
  });

  it('makes its root', async t => {
    const root = join(await temporaryFolder(t), 'new', 'root');
    await new FileSystemStore(root).write('a/b', new Uint8Array(1));
    assert.ok(existsSync(join(root, 'a', 'b')));
  });
});
