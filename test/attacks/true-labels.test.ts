import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { trueLabels } from '../../src/attacks/true-labels.js';
import { temporaryFolder } from '../helpers/files.js';

const LABELS = [
  { index: 0, id: 'n01', name: 'tench' },
  { index: 1, id: 'n02', name: 'great white shark' },
  { index: 2, id: 'n03', name: 'crane' },
  { index: 3, id: 'n04', name: 'crane' },
];

describe('true labels', () => {
  it("are the model's own unless told otherwise", async () => {
    assert.equal((await trueLabels('own', LABELS))('any.jpg'), undefined);
  });

  it('come from the last folder: WordNet id, name or index', async () => {
    const of = await trueLabels('folder', LABELS);
    assert.equal(of('set/n02/a.jpg'), 1);
    assert.equal(of('Great_White_Shark/a.jpg'), 1);
    assert.equal(of('3/a.jpg'), 3);
  });

  it('are unknown where the model has no such class, or two of that name', async () => {
    const of = await trueLabels('folder', LABELS);
    for (const key of ['cat/a.jpg', 'crane/a.jpg', 'a.jpg']) assert.throws(() => of(key), { code: 'LABEL_UNKNOWN' });
  });

  it('come from a table, by key or by file name', async t => {
    const path = join(await temporaryFolder(t), 'labels.csv');
    await writeFile(path, 'file,wordnet_id,class_index,name\na.jpg,n02,1,shark\n');
    const of = await trueLabels(path, LABELS);
    assert.equal(of('a.jpg'), 1);
    assert.equal(of('below/a.jpg'), 1);
    assert.throws(() => of('b.jpg'), { code: 'LABEL_UNKNOWN' });
  });

  it('refuse a table without the columns', async t => {
    const path = join(await temporaryFolder(t), 'labels.csv');
    await writeFile(path, 'a,b\n1,2\n');
    await assert.rejects(trueLabels(path, LABELS), { code: 'SETTINGS_INVALID' });
    await assert.rejects(trueLabels(`${path}.missing`, LABELS), { code: 'SETTINGS_INVALID' });
  });
});
