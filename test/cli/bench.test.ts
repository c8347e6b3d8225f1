import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { deflector } from '../helpers/cli.js';
import { temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { REPOSITORY } from '../helpers/repository.js';

checkLeaks();

const MEASURED = ['pipeline', 'early-stop', 'scale', 'startup'];

describe('deflector bench', () => {
  it('lists the benchmarks where none is named', async () => {
    const { code, stdout } = await deflector(['bench']);
    assert.equal(code, 0);
    for (const name of MEASURED) assert.match(stdout, new RegExp(`^  ${name} `, 'm'));
  });

  it('hands options on, --help included', async () => {
    for (const name of MEASURED) {
      const { code, stdout } = await deflector(['bench', name, '--help']);
      assert.equal(code, 0);
      assert.match(stdout, new RegExp(`^Usage: ${name} `));
      assert.match(stdout, /--json <file>/);
    }
  });

  it('names the benchmarks to who asks for another', async () => {
    const { code, stderr } = await deflector(['bench', 'speed']);
    assert.equal(code, 2);
    assert.match(stderr, /^error SETTINGS_INVALID: Expected .*pipeline.* for NAME but received "?speed/);
  });

  it('says which option is wrong, and fails', async () => {
    const { code, stderr } = await deflector(['bench', 'startup', '--rounds', 'many']);
    assert.equal(code, 1);
    assert.match(stderr, /--rounds/);
  });

  it('writes figures, settings and the machine as JSON', async t => {
    const file = join(await temporaryFolder(t), 'figures', 'startup.json');
    const { code, stdout } = await deflector(['bench', 'startup', '--rounds', '1', '--json', file]);
    assert.equal(code, 0);
    assert.match(stdout, /^node -e 0 .* 1\.00$/m);
    const result = JSON.parse(await readFile(file, 'utf8'));
    assert.equal(result.schema, 'deflector/bench@1');
    assert.equal(result.name, 'startup');
    assert.equal(result.settings.rounds, 1);
    assert.ok(result.machine.cores >= 1);
    assert.deepEqual(
      result.figures.map(({ name }: { name: string }) => name),
      ['node -e 0', 'deflector --version', 'deflector --help', 'deflector run, one image'],
    );
  });

  it('has its Python peers beside it', () => {
    for (const file of ['pipeline.py', 'pipeline.txt']) assert.ok(existsSync(join(REPOSITORY, 'bench/peers', file)));
  });
});
