/** `deflector search` on a network and on images that take no time: what it finds on real ones, docs/results/search shows. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { SearchReport } from '../../src/evaluation/search/search-report.js';
import { deflector } from '../helpers/cli.js';
import { temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { writeTinyImages } from '../helpers/tiny-images.js';
import { writeTinyModel } from '../helpers/tiny-model.js';

checkLeaks();

describe('deflector search', () => {
  it("reports what it found, writes it into the model's folder, and does nothing twice", async t => {
    const folder = await temporaryFolder(t);
    const [model, images, out] = [join(folder, 'tiny'), join(folder, 'images'), join(folder, 'out')];
    await writeTinyModel(model, 1, 32);
    await writeTinyImages(images, 60);
    const command = [
      ...['search', '--data', images, '--labels', 'own', '--model', model, '--out', out, '--threads', '2'],
      ...['--candidates', '4', '--images', '3', '--test-images', '4', '--max-clean-loss', '1'],
    ];
    const first = await deflector([...command, '--write']);
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /On the test split +clean kept +set right, mean\n +What was found/);
    const report = JSON.parse(await readFile(join(out, 'search.json'), 'utf8')) as SearchReport;
    assert.deepEqual(
      report.test.slice(0, 2).map(({ standing, recipe }) => [standing.clean.n, recipe]),
      [
        [4, report.winner.recipe],
        [4, report.test[1]!.recipe],
      ],
    );
    assert.match(await readFile(join(out, 'search.md'), 'utf8'), /^# Recipe search: tiny\n/);

    // A run uses what the folder recommends now, and says so.
    const run = await deflector(['run', images, '--model', model, '--out', join(folder, 'run'), '--seed', '1']);
    assert.equal(run.code, 0, run.stderr);
    const { settings } = JSON.parse(await readFile(join(folder, 'run/run.json'), 'utf8'));
    assert.equal(settings.recipe, report.written);
    for (const [name, value] of Object.entries(report.winner.recipe)) assert.deepEqual(settings[name], value, name);

    const again = await deflector([...command, '--json']);
    assert.equal(again.code, 0, again.stderr);
    const repeated = JSON.parse(again.stdout) as SearchReport;
    assert.deepEqual([repeated.test, repeated.entries], [report.test, report.entries]);
    assert.equal(repeated.written, undefined);
  });

  it('refuses a cap that is no share', async () => {
    const { code, stderr } = await deflector(['search', '--data', '.', '--max-clean-loss', '8']);
    assert.equal(code, 2);
    assert.match(stderr, /Expected a number from 0 to 1 for --max-clean-loss but received "?8/);
  });
});
