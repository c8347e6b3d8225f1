import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { REPOSITORY } from '../helpers/repository.js';

describe('what npm run docs makes', () => {
  for (const [file, script] of [
    ['docs/settings.md', 'scripts/print-settings.mjs'],
    ['docs/metrics.md', 'scripts/print-metrics.mjs'],
  ] as const) {
    it(`${file} says what its table says`, () => {
      const printed = execFileSync(process.execPath, [script], { cwd: REPOSITORY, encoding: 'utf8' });
      assert.equal(readFileSync(join(REPOSITORY, file), 'utf8'), printed);
    });
  }
});
