import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { type InputOptions, openInputs } from '../../src/storage/inputs.js';
import { withCode } from '../conformance/object-store.js';
import { asPlainUser, collect, temporaryFolder } from '../helpers/files.js';

async function make(folder: string, ...names: string[]): Promise<string> {
  for (const name of names) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), name);
  }
  return folder;
}

/** Opens inputs relative to a folder and gives their keys; those with an error as `key CODE`. */
async function keys(cwd: string, inputs: string[], options: InputOptions = {}): Promise<string[]> {
  const opened = await openInputs(inputs, { cwd, ...options });
  const items = await collect(opened.items());
  assert.deepEqual(
    items.map(({ index }) => index),
    [...items.keys()],
    'indices count from 0',
  );
  assert.equal(await opened.count(), items.length);
  return items.map(({ key, error }) => (error === undefined ? key : `${key} ${error.code}`));
}

describe('A folder as input', () => {
  it('gives what has an image extension, in any case, or none at all, and tells what it passes over', async t => {
    const folder = await make(
      await temporaryFolder(t),
      ...['a.jpg', 'b.JPEG', 'c.Png', 'd.webp', 'e.avif', 'f.tiff', 'g.gif', 'h.tif', 'i.jpe', 'j.jfif', 'k'],
      ...['README', 'LICENSE', 'labels.csv', 'z.txt', '.hidden.jpg', '.git/a.jpg'],
    );
    const opened = await openInputs(['.'], { cwd: folder });
    const passed: string[] = [];
    const items = await collect(opened.items(key => passed.push(key)));
    const names = ['a.jpg', 'b.JPEG', 'c.Png', 'd.webp', 'e.avif', 'f.tiff', 'g.gif', 'h.tif', 'i.jpe', 'j.jfif', 'k'];
    assert.deepEqual(
      items.map(({ key }) => key),
      names,
    );
    assert.deepEqual(passed, ['.hidden.jpg', 'LICENSE', 'README', 'labels.csv', 'z.txt']);
  });

  it('is not entered where results go', async t => {
    const folder = await make(await temporaryFolder(t), 'a.jpg', 'out/defended/a.jpg.png', 'outer/b.jpg');
    assert.deepEqual(await keys(folder, ['.'], { exclude: ['out'] }), ['a.jpg', 'outer/b.jpg']);
    assert.deepEqual(await keys(folder, ['**/*'], { exclude: ['out'] }), ['a.jpg', 'outer/b.jpg']);
  });

  it('gives an item with an error for a folder inside that may not be listed', async t => {
    const folder = await make(await temporaryFolder(t), 'a.jpg', 'closed/b.jpg', 'd.jpg');
    await chmod(join(folder, 'closed'), 0o000);
    await asPlainUser(async () => {
      assert.deepEqual(await keys(folder, ['.']), ['a.jpg', 'closed/ IMAGE_PERMISSION', 'd.jpg']);
      await assert.rejects(openInputs(['closed'], { cwd: folder }), withCode('INPUT_NOT_FOUND'));
    });
  });

  it('may be empty', async t => {
    assert.deepEqual(await keys(await temporaryFolder(t), ['.']), []);
  });
});

describe('A file as input', () => {
  it('has any name, and may be a link to anywhere', async t => {
    const folder = await make(await temporaryFolder(t), '-a', '.b', 'c.dat');
    const elsewhere = await make(await temporaryFolder(t), 'd.jpg');
    await symlink(join(elsewhere, 'd.jpg'), join(folder, 'link.jpg'));
    assert.deepEqual(await keys(folder, ['c.dat', '.b', '-a']), ['c.dat', '.b', '-a']);
    const opened = await openInputs(['link.jpg'], { cwd: folder });
    assert.equal(Buffer.from(await opened.stores[0]!.read('link.jpg', 100)).toString(), 'd.jpg');
  });

  it('may be one of thousands, as a shell names them, which share one store', async t => {
    const folder = await temporaryFolder(t);
    const names = Array.from({ length: 3000 }, (_, i) => `${String(i).padStart(4, '0')}.jpg`);
    await make(folder, ...names);
    const opened = await openInputs(names, { cwd: folder });
    assert.equal(opened.stores.length, 1);
    assert.deepEqual(
      (await collect(opened.items())).map(({ key }) => key),
      names,
    );
  });
});

describe('A glob as input', () => {
  it('gives the files that match, with keys below its base', async t => {
    const folder = await make(
      await temporaryFolder(t),
      ...['p/a.jpg', 'p/a.png', 'p/q/b.jpg', 'p/q/r/c.jpg', 'p/q/.d/e.jpg', 'f.jpg', 'p/q/notes.txt'],
    );
    assert.deepEqual(await keys(folder, ['p/*.jpg']), ['a.jpg']);
    assert.deepEqual(await keys(folder, ['p/*/*.jpg']), ['q/b.jpg']);
    assert.deepEqual(await keys(folder, ['p/**/*.jpg']), ['a.jpg', 'q/b.jpg', 'q/r/c.jpg']);
    assert.deepEqual(await keys(folder, ['p/{a.png,q/b.jpg}']), ['a.png', 'q/b.jpg']);
    assert.deepEqual(await keys(folder, ['p/**/.d/*']), ['q/.d/e.jpg']);
    assert.deepEqual(await keys(folder, ['**/*.txt']), ['p/q/notes.txt']);
    assert.deepEqual(await keys('/', [`${folder}/p/?.png`]), ['a.png']);
  });

  it('is no glob where a file has that very name', async t => {
    const folder = await make(await temporaryFolder(t), 'a[1].jpg', 'a1.jpg');
    assert.deepEqual(await keys(folder, ['a[1].jpg']), ['a[1].jpg']);
  });

  it('must match something', async t => {
    const folder = await make(await temporaryFolder(t), 'a.jpg');
    await assert.rejects(openInputs(['*.png'], { cwd: folder }), withCode('INPUT_NOT_FOUND'));
    await assert.rejects(openInputs(['none/*.png'], { cwd: folder }), withCode('INPUT_NOT_FOUND'));
  });
});

describe('A manifest as input', () => {
  async function manifest(
    t: Parameters<typeof temporaryFolder>[0],
    name: string,
    text: string | Buffer,
  ): Promise<string[]> {
    const folder = await temporaryFolder(t);
    await writeFile(join(folder, name), text);
    return keys(folder, [name]);
  }

  it('.txt holds a key a line, as find writes them, too', async t => {
    const text = '\uFEFFb.jpg\r\n\r\n./sub/a.jpg\n a space.jpg\n#1.jpg\n\u{1F431}.jpg';
    assert.deepEqual(await manifest(t, 'list.txt', text), [
      'b.jpg',
      'sub/a.jpg',
      ' a space.jpg',
      '#1.jpg',
      '\u{1F431}.jpg',
    ]);
  });

  it('.jsonl holds the key by one of four names', async t => {
    const lines = [
      { image: 'a.jpg', label: 1 },
      { path: 'b.jpg' },
      { file_name: 'c.jpg', path: 'x' },
      { key: 'd\ne.jpg' },
    ];
    const text = lines.map(line => JSON.stringify(line)).join('\n');
    assert.deepEqual(await manifest(t, 'list.jsonl', text), ['a.jpg', 'b.jpg', 'c.jpg', 'd\ne.jpg']);
  });

  it('.csv follows RFC 4180: quotes, doubled quotes, commas and line ends in fields', async t => {
    const text = 'label,file_name\r\n1,a.jpg\r\n"x, y","b ""c"".jpg"\r\n2,"d\ne.jpg"\r\n3,f.jpg';
    assert.deepEqual(await manifest(t, 'list.csv', text), ['a.jpg', 'b "c".jpg', 'd\ne.jpg', 'f.jpg']);
  });

  it('turns bad lines into items with an error and goes on', async t => {
    const long = 'x'.repeat(70_000);
    assert.deepEqual(
      await manifest(
        t,
        'list.jsonl',
        `{"key":"a.jpg"}\n{"key":\n[1]\n{"name":"b.jpg"}\n{"key":7}\n"${long}"\n{"key":"c.jpg"}\n`,
      ),
      ['a.jpg', ...[2, 3, 4, 5, 6].map(line => `list.jsonl:${line} MANIFEST_LINE_INVALID`), 'c.jpg'],
    );
    assert.deepEqual(
      await manifest(t, 'list.csv', `key,label\n"a.jpg,1\nb"b.jpg,2\nc.jpg\nd.jpg,1,2\n${long},1\ne.jpg,1\n"f.jpg,1`),
      ['a.jpg,1\nb', 'list.csv:3', 'list.csv:4', 'list.csv:5', 'list.csv:6', 'e.jpg', 'list.csv:8'].flatMap(
        (key, i) => {
          if (i === 0) return ['list.csv:2 MANIFEST_LINE_INVALID'];
          return [key.startsWith('list') ? `${key} MANIFEST_LINE_INVALID` : key];
        },
      ),
    );
  });

  it('does not lead out of its folder', async t => {
    assert.deepEqual(await manifest(t, 'list.txt', '../a.jpg\n/etc/passwd\nb/../../c.jpg\nd\0.jpg\n./\ne.jpg\n'), [
      '../a.jpg KEY_INVALID',
      '/etc/passwd KEY_INVALID',
      'b/../../c.jpg KEY_INVALID',
      'd\0.jpg KEY_INVALID',
      'list.txt:5 KEY_INVALID',
      'e.jpg',
    ]);
  });

  it('needs a header with a column of keys when it is a table', async t => {
    await assert.rejects(manifest(t, 'list.csv', 'name,label\na.jpg,1\n'), withCode('SETTINGS_INVALID'));
  });

  it('is read line by line, however long it is', async t => {
    const folder = await temporaryFolder(t);
    const line = `{"key":"${'k'.repeat(90)}.jpg"}\n`;
    await writeFile(join(folder, 'list.jsonl'), line.repeat(200_000));
    const script = `
      import { openInputs } from ${JSON.stringify(new URL('../../src/storage/inputs.js', import.meta.url).href)};
      const inputs = await openInputs([${JSON.stringify(join(folder, 'list.jsonl'))}]);
      gc();
      const before = process.memoryUsage().heapUsed;
      let peak = 0, count = 0;
      for await (const _ of inputs.items()) {
        if (++count % 40_000 === 1) { gc(); peak = Math.max(peak, process.memoryUsage().heapUsed - before); }
      }
      console.log(JSON.stringify({ count, peak }));
    `;
    const output = execFileSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', script]).toString();
    const { count, peak } = JSON.parse(output) as { count: number; peak: number };
    assert.equal(count, 200_000);
    // All keys held at once would be over 18 MB.
    assert.ok(peak < 4e6, `${peak} bytes of heap`);
  });
});

describe('Several inputs', () => {
  it('have keys below the folder that all have in common, in the order of the inputs', async t => {
    const folder = await make(await temporaryFolder(t), 'd/train/a.jpg', 'd/val/a.jpg', 'e/b.jpg', 'e/b-c/a.jpg');
    assert.deepEqual(await keys(folder, ['d/val', 'd/train']), ['val/a.jpg', 'train/a.jpg']);
    assert.deepEqual(await keys(folder, ['e/b.jpg', 'd/train']), ['e/b.jpg', 'd/train/a.jpg']);
    assert.deepEqual(await keys(folder, ['d/val', 'd']), ['val/a.jpg', 'train/a.jpg']);
    assert.deepEqual(await keys(folder, ['e/b-c', 'e/b.jpg']), ['b-c/a.jpg', 'b.jpg']);
  });

  it('are read through the store that an item names', async t => {
    const folder = await make(await temporaryFolder(t), 'd/train/a.jpg', 'd/val/a.jpg');
    const { stores, items } = await openInputs(['d/train', 'd/val'], { cwd: folder }).then(opened => ({
      stores: opened.stores,
      items: () => opened.items(),
    }));
    for await (const { key, store } of items()) {
      assert.equal(Buffer.from(await stores[store]!.read(key, 100)).toString(), `d/${key}`);
    }
  });

  it('give no image twice, however they overlap', async t => {
    const folder = await make(await temporaryFolder(t), 'a.jpg', 'b.jpg', 'sub/c.jpg', 'sub/notes.dat', '.h/d.jpg');
    assert.deepEqual(await keys(folder, ['.', 'sub', 'a.jpg', '.']), ['a.jpg', 'b.jpg', 'sub/c.jpg']);
    assert.deepEqual(await keys(folder, ['b.jpg', 'b.jpg', '*.jpg', '.']), ['b.jpg', 'a.jpg', 'sub/c.jpg']);
    // What a folder passes over it does not give, and neither does a glob.
    assert.deepEqual(await keys(folder, ['.', 'sub/notes.dat', '.h']), [
      'a.jpg',
      'b.jpg',
      'sub/c.jpg',
      'sub/notes.dat',
      '.h/d.jpg',
    ]);
    assert.deepEqual(await keys(folder, ['*.jpg', 'sub']), ['a.jpg', 'b.jpg', 'sub/c.jpg']);
  });
});

describe('What is no input', () => {
  it('is refused before any work', async t => {
    const folder = await make(await temporaryFolder(t), 'a.jpg', 'shard.tar');
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    for (const [inputs, code] of [
      [[], 'SETTINGS_INVALID'],
      [[''], 'SETTINGS_INVALID'],
      [['a\0.jpg'], 'SETTINGS_INVALID'],
      [['s3://bucket/prefix'], 'SETTINGS_INVALID'],
      [['https://example.org/a.jpg'], 'SETTINGS_INVALID'],
      [['shard.tar'], 'SETTINGS_INVALID'],
      [['a.jpg', 'missing'], 'INPUT_NOT_FOUND'],
      [['a.jpg/b'], 'INPUT_NOT_FOUND'],
      [['x'.repeat(300)], 'INPUT_NOT_FOUND'],
      [['pipe'], 'INPUT_NOT_FOUND'],
    ] as const) {
      await assert.rejects(openInputs(inputs, { cwd: folder }), withCode(code), JSON.stringify(inputs));
    }
  });
});
