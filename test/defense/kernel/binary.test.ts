import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fromRoot } from '../../helpers/root.js';

test('each committed kernel is, byte for byte, what its source compiles to', () => {
  const { status, stderr } = spawnSync(process.execPath, [fromRoot('scripts/build-kernel.mjs'), '--check'], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
});
