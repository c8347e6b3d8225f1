import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { printSettings, resolveSettings } from '../../src/config/settings.js';
import { readSettingsFile } from '../../src/config/settings-file.js';

const folder = mkdtempSync(join(tmpdir(), 'deflector-settings-'));
after(() => rmSync(folder, { recursive: true }));

function file(content: string): string {
  const path = join(folder, 'deflector.yaml');
  writeFileSync(path, content);
  return path;
}

describe('a settings file', () => {
  it('means what the same text means as flags: a seed keeps its zeros, a long one its digits', async () => {
    const path = file('seed: 007\nruns: 1_0\n');
    assert.deepEqual((await readSettingsFile(path))?.content, { seed: '007', runs: '1_0' });
    const long = '340282366920938463463374607431768211455';
    const { defence } = resolveSettings({ file: await readSettingsFile(file(`seed: ${long}`)) });
    assert.equal(defence.seed, long);
  });

  it('takes lists, comments and the JSON that settings are printed as', async () => {
    const listed = resolveSettings({
      file: await readSettingsFile(file('# mine\norder:\n  - denoise\n  - deflect\n')),
    });
    assert.deepEqual(listed.defence.order, ['denoise', 'deflect']);
    const printed = file(JSON.stringify(printSettings(listed)));
    assert.deepEqual(resolveSettings({ file: await readSettingsFile(printed) }), listed);
  });

  it('may be empty', async () => {
    assert.equal(resolveSettings({ file: await readSettingsFile(file('')) }).recipe, 'paper');
  });

  it('is refused where it is not YAML, with the place', async () => {
    await assert.rejects(readSettingsFile(file('runs: [1')), { code: 'SETTINGS_INVALID', message: /line 1, column 9/ });
  });

  it('must be there where it was named, and need not where it was not', async () => {
    await assert.rejects(readSettingsFile(join(folder, 'none.yaml')), { code: 'SETTINGS_INVALID', message: /ENOENT/ });
    const home = process.cwd();
    process.chdir(folder);
    rmSync(join(folder, 'deflector.yaml'));
    try {
      assert.equal(await readSettingsFile(undefined), undefined);
    } finally {
      process.chdir(home);
    }
  });
});
