import { execFileSync } from 'node:child_process';
import { it } from 'node:test';
import { fromRoot } from '../helpers/root.js';

it('the resampling kernel in the repository is what its source compiles to', () => {
  execFileSync(process.execPath, [fromRoot('scripts/build-resampling-kernel.mjs'), '--check'], { stdio: 'pipe' });
});
