import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parse as parseYaml } from 'yaml';
import {
  type DatasetPlaces,
  DefendedDataset,
  type DefendedImage,
  defendedName,
  writeShards,
} from '../../src/sinks/defended-dataset.js';
import { FolderDestination } from '../../src/sinks/destination.js';
import { FileSystemStore } from '../../src/storage/filesystem-store.js';
import type { Verdict } from '../../src/types.js';
import { withCode } from '../conformance/object-store.js';
import { collect, temporaryFolder } from '../helpers/files.js';
import { digestsBelow } from '../helpers/results.js';
import { errorVerdict, okVerdict } from '../helpers/verdicts.js';

function image(key: string, position = 0): DefendedImage {
  return { verdict: okVerdict(key), position, png: new TextEncoder().encode(`PNG of ${key}`) };
}

const FILES = { kind: 'files' } as const;

function placesOf(folder: string): DatasetPlaces {
  return { dataset: new FolderDestination(folder), parts: new FolderDestination(`${folder}.parts`) };
}

async function rows(folder: string): Promise<{ file_name: string; key: string }[]> {
  const text = await readFile(join(folder, 'metadata.jsonl'), 'utf8');
  return text
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line));
}

async function files(folder: string): Promise<string[]> {
  return (await collect(new FileSystemStore(folder).list())).map(({ key }) => key);
}

describe('DefendedDataset', () => {
  it('mirrors the folders of the input, with a row an image in the order of input', async t => {
    const folder = join(await temporaryFolder(t), 'defended');
    const dataset = await DefendedDataset.open(placesOf(folder), FILES, { existing: 'refuse' });
    await dataset.write(['dogs/2.png', 'cats/1.jpg', 'plain'].map(key => image(key)));
    await dataset.close();
    assert.deepEqual(await files(folder), [
      'README.md',
      'cats/1.jpg.png',
      'dogs/2.png',
      'metadata.jsonl',
      'plain.image.png',
    ]);
    assert.equal(await readFile(join(folder, 'cats/1.jpg.png'), 'utf8'), 'PNG of cats/1.jpg');
    const [first, second] = await rows(folder);
    assert.deepEqual(first, {
      file_name: 'dogs/2.png',
      key: 'dogs/2.png',
      sha256: 'ab'.repeat(32),
      label: 281,
      label_id: 'n02123045',
      label_name: 'tabby',
      agreement: 0.9,
      probability: 0.83,
      undefended_label: 282,
      undefended_label_name: 'tiger cat',
      undefended_probability: 0.41,
      suspicious: true,
    });
    assert.equal(second?.file_name, 'cats/1.jpg.png');
  });

  it('goes on behind the rows that the job acknowledges and gives the same dataset as without a break', async t => {
    const images = ['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg'].map(image);
    const folder = await temporaryFolder(t);
    const first = await DefendedDataset.open(placesOf(folder), FILES, { existing: 'refuse' });
    await first.write(images.slice(0, 3));
    await first.close();
    await writeFile(join(folder, 'metadata.jsonl'), '{"file_name":"to', { flag: 'a' });
    const second = await DefendedDataset.open(placesOf(folder), FILES, { existing: 'resume', rows: 2 });
    await second.write(images.slice(2));
    await second.close();
    assert.deepEqual(
      (await rows(folder)).map(({ key }) => key),
      ['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg'],
    );
    await assert.rejects(
      DefendedDataset.open(placesOf(folder), FILES, { existing: 'resume', rows: 5 }),
      withCode('RESUME_MISMATCH'),
    );
    const third = await DefendedDataset.open(placesOf(folder), FILES, { existing: 'resume', rows: 0 });
    await third.close();
    assert.deepEqual(await rows(folder), []);
  });

  it('starts over by removing the images it made, and nothing else', async t => {
    const folder = await temporaryFolder(t);
    const first = await DefendedDataset.open(placesOf(folder), FILES, { existing: 'refuse' });
    await first.write([image('a.jpg')]);
    await first.close();
    await writeFile(join(folder, 'mine.txt'), 'mine');
    await assert.rejects(
      DefendedDataset.open(placesOf(folder), FILES, { existing: 'refuse' }),
      withCode('OUTPUT_EXISTS'),
    );
    const second = await DefendedDataset.open(placesOf(folder), FILES, { existing: 'overwrite' });
    await second.write([image('b.jpg')]);
    await second.close();
    assert.deepEqual(await files(folder), ['README.md', 'b.jpg.png', 'metadata.jsonl', 'mine.txt']);
    assert.equal((await rows(folder)).length, 1);
  });

  it('has a card by which the loader finds metadata and images whatever the folders are called', async t => {
    const folder = await temporaryFolder(t);
    await (await DefendedDataset.open(placesOf(folder), FILES, { existing: 'refuse' })).close();
    const card = await readFile(join(folder, 'README.md'), 'utf8');
    // Seen with datasets 5.2.0: without `configs`, folders `train` and `test` become splits without metadata.
    const { configs } = parseYaml(card.split('---\n')[1]!);
    const path = ['metadata.jsonl', '**/*.png'];
    assert.deepEqual(configs, [{ config_name: 'default', data_files: [{ split: 'train', path }] }]);
    await writeFile(join(folder, 'README.md'), 'mine');
    await (await DefendedDataset.open(placesOf(folder), FILES, { existing: 'overwrite' })).close();
    assert.equal(await readFile(join(folder, 'README.md'), 'utf8'), 'mine');
  });

  it('gives its lock back when it cannot be opened', async t => {
    const folder = await temporaryFolder(t);
    await assert.rejects(
      DefendedDataset.open(placesOf(folder), FILES, { existing: 'resume', rows: 1 }),
      withCode('RESUME_MISMATCH'),
    );
    assert.ok(!existsSync(join(folder, 'metadata.jsonl.lock')));
  });
});

describe('a dataset in shards', () => {
  const SIZE = 3;
  const SHARDS = { kind: 'shards', size: SIZE } as const;
  const verdicts: Verdict[] = [
    okVerdict('a.jpg'),
    errorVerdict('b.jpg'),
    okVerdict('c.jpg'),
    errorVerdict('d.jpg'),
    errorVerdict('e.jpg'),
    errorVerdict('f.jpg'),
    okVerdict('g.jpg'),
  ];
  const images = verdicts.flatMap((verdict, position) =>
    verdict.status === 'ok' ? [image(verdict.key, position)] : [],
  );

  async function* all(): AsyncGenerator<Verdict> {
    yield* verdicts;
  }

  async function written(folder: string): Promise<void> {
    const dataset = await DefendedDataset.open(placesOf(folder), SHARDS, { existing: 'overwrite' });
    await dataset.write(images);
    await dataset.seal();
    await dataset.close();
  }

  it('holds the images of so many places of the input, each with its row, as other programs read archives', async t => {
    const folder = join(await temporaryFolder(t), 'defended');
    await written(folder);
    await writeShards(placesOf(folder), SIZE, all());
    assert.deepEqual(await files(folder), ['README.md', 'metadata.jsonl', 'shard-000000.tar', 'shard-000002.tar']);
    assert.ok(!existsSync(`${folder}.parts`));
    const listed = execFileSync('tar', ['tf', join(folder, 'shard-000000.tar')], { encoding: 'utf8' });
    assert.deepEqual(listed.trim().split('\n'), ['000000000.png', '000000000.json', '000000002.png', '000000002.json']);
    const out = (name: string) =>
      execFileSync('tar', ['xOf', join(folder, 'shard-000000.tar'), name], { encoding: 'utf8' });
    assert.equal(out('000000002.png'), 'PNG of c.jpg');
    const { file_name: file, shard, key } = JSON.parse(out('000000002.json'));
    assert.deepEqual([file, shard, key], ['000000002.png', 'shard-000000.tar', 'c.jpg']);
    assert.deepEqual((await rows(folder))[1], JSON.parse(out('000000002.json')));
  });

  it('is the same however often the making of it is broken off', async t => {
    const folder = join(await temporaryFolder(t), 'defended');
    await written(folder);
    await writeShards(placesOf(folder), SIZE, all());
    const whole = await digestsBelow(folder);
    for (let broken = 1; broken < 9; broken++) {
      await written(folder);
      let steps = 0;
      const places = placesOf(folder);
      // Each step is one change of what lies in the folders.
      for (const { store } of [places.dataset, places.parts]) {
        for (const method of ['writeStream', 'delete'] as const) {
          const change = store[method].bind(store) as (...args: unknown[]) => Promise<void>;
          Object.assign(store, {
            [method]: async (...args: unknown[]) => {
              if (++steps === broken) throw new Error('broken off');
              return change(...args);
            },
          });
        }
      }
      await writeShards(places, SIZE, all()).catch(() => undefined);
      await writeShards(placesOf(folder), SIZE, all());
      assert.deepEqual(await digestsBelow(folder), whole, `broken off at step ${broken}`);
      assert.ok(!existsSync(`${folder}.parts`));
    }
  });

  it('starts over by removing its shards', async t => {
    const folder = join(await temporaryFolder(t), 'defended');
    await written(folder);
    await writeShards(placesOf(folder), SIZE, all());
    await writeFile(join(folder, 'mine.tar'), 'mine');
    const files1 = await DefendedDataset.open(placesOf(folder), FILES, { existing: 'overwrite' });
    await files1.close();
    assert.deepEqual(await files(folder), ['README.md', 'metadata.jsonl', 'mine.tar']);
    assert.match(await readFile(join(folder, 'README.md'), 'utf8'), /\*\*\/\*\.png/);
  });

  it('is not made where an image is missing', async t => {
    const folder = join(await temporaryFolder(t), 'defended');
    await assert.rejects(writeShards(placesOf(folder), SIZE, all()), withCode('RESULTS_INVALID'));
  });
});

describe('defendedName', () => {
  it('gives no two keys the same name', () => {
    const part = fc.constantFrom('a', '.jpg', '.png', '.PNG', '.image', '.image.png', '.webp', '.txt');
    const key = fc.array(part, { minLength: 1, maxLength: 5 }).map(parts => parts.join(''));
    fc.assert(
      fc.property(key, key, (one, other) => {
        if (one !== other) assert.notEqual(defendedName(one), defendedName(other));
      }),
      { numRuns: 5000 },
    );
  });

  it('stays within 255 bytes a segment, whole characters and all keys apart', () => {
    const names = ['ä', 'b', '\u{1F431}']
      .map(text => `f/${text.repeat(127)}.jpg`)
      .concat(`f/${'b'.repeat(300)}.jpg`)
      .map(defendedName);
    for (const name of names) {
      assert.ok(Buffer.byteLength(name.slice(2)) <= 255, name);
      assert.ok(name.startsWith('f/') && name.endsWith('.png') && !name.includes('\uFFFD'));
    }
    assert.equal(new Set(names).size, 4);
    assert.notEqual(defendedName(`${'b'.repeat(300)}1.jpg`), defendedName(`${'b'.repeat(300)}2.jpg`));
  });
});
