/** Orders with rival defences, from the command line to the results, on the bundled samples and model. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { OkVerdict } from '../../src/types.js';
import { deflector } from '../helpers/cli.js';
import { temporaryFolder } from '../helpers/files.js';
import { REPOSITORY } from '../helpers/repository.js';
import { timelessLines } from '../helpers/results.js';

const SAMPLES = join(REPOSITORY, 'samples');

describe('an order of the command line', () => {
  it('is carried out, recorded and repeated by the command that run.json prints', async t => {
    const folder = await temporaryFolder(t);
    const run = async (out: string, ...flags: string[]) => {
      const path = join(folder, out);
      const { code, stderr } = await deflector(['run', SAMPLES, '--out', path, '--runs', '3', '--seed', '1', ...flags]);
      assert.equal(code, 0, stderr);
      return { stderr, lines: await timelessLines(join(path, 'results.jsonl')) };
    };
    const one = await run('one', '--order', 'jpeg,deflect,denoise', '--threads', '1');
    assert.match(one.stderr, /, order jpeg:75,deflect,denoise, 3 runs an image, /);
    assert.deepEqual(
      (await run('two', '--order=jpeg:75-420,deflect,denoise', '--threads', '2', '--batch', '3')).lines,
      one.lines,
    );
    for (const line of one.lines) {
      assert.deepEqual((JSON.parse(line) as OkVerdict).defence.order, ['jpeg:75', 'deflect', 'denoise']);
    }
    const report = await readFile(join(folder, 'one', 'report.html'), 'utf8');
    assert.match(report, /order jpeg:75,deflect,denoise/);
  });

  it('is drawn by explain', async t => {
    const out = join(await temporaryFolder(t), 'panel.png');
    const args = ['explain', join(SAMPLES, 'chelsea.png'), '--out', out, '--order', 'crop:0.8,deflect,tv', '--json'];
    const { code, stdout, stderr } = await deflector(args);
    assert.equal(code, 0, stderr);
    assert.deepEqual((JSON.parse(stdout) as OkVerdict).defence.order, ['crop:0.8', 'deflect', 'tv:0.1']);
  });

  it('that is none leaves every image to the model as it is', async t => {
    const folder = await temporaryFolder(t);
    const out = join(folder, 'out');
    const { code, stderr } = await deflector(['run', SAMPLES, '--out', out, '--order', 'none']);
    assert.equal(code, 0, stderr);
    for (const line of await timelessLines(join(out, 'results.jsonl'))) {
      const { label, undefended, suspicious, runsExecuted } = JSON.parse(line) as OkVerdict;
      assert.deepEqual([label.index, suspicious, runsExecuted], [undefended.index, false, 1]);
    }
  });

  it('is refused before any work where it names what is no step', async t => {
    const out = join(await temporaryFolder(t), 'out');
    const { code, stderr } = await deflector(['run', SAMPLES, '--out', out, '--order', 'jpeg:75,denoize']);
    assert.equal(code, 2);
    assert.match(
      stderr,
      /^error SETTINGS_INVALID: Expected steps among .+ \(did you mean denoise\?\) for --order but /,
    );
  });
});
