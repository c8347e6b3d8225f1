import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { REPOSITORY } from '../helpers/repository.js';

/** What each example prints first on the bundled samples; seed and model are fixed. */
const FIRST_LINES: Readonly<Record<string, RegExp>> = {
  'defend-folder': /^astronaut\.jpg: .+, \d+ % of the runs/,
  'defend-pixels': /^samples\/coffee\.jpg, run 0: 224 x 224, mean 0\.\d{4}\n/,
  'own-classifier': /^samples\/rocket\.jpg: mostly blue\n/,
};

describe('the examples', () => {
  for (const file of readdirSync(join(REPOSITORY, 'examples'))) {
    const name = file.replace('.ts', '');
    it(`${name} runs`, () => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [`dist/examples/${name}.js`], {
        cwd: REPOSITORY,
        encoding: 'utf8',
      });
      assert.deepEqual([status, stderr], [0, '']);
      assert.match(stdout, FIRST_LINES[name] ?? /^$/);
    });
  }
});
