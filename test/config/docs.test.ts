import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { REPOSITORY } from '../helpers/repository.js';

describe('docs/settings.md', () => {
  it('says what the table of settings says (npm run docs)', () => {
    const printed = execFileSync(process.execPath, ['scripts/print-settings.mjs'], {
      cwd: REPOSITORY,
      encoding: 'utf8',
    });
    assert.equal(readFileSync(join(REPOSITORY, 'docs/settings.md'), 'utf8'), printed);
  });
});
