/** The kernel computes what the plain defender specifies. Expected values: src/defense/plain, in double precision. */

import { test } from 'node:test';
import fc from 'fast-check';
import { type Defender, PLAIN_RGB } from '../../../src/defense/defender.js';
import { createKernelDefender } from '../../../src/defense/kernel/kernel-defender.js';
import { plainDefender } from '../../../src/defense/plain/plain.js';
import { runRandom } from '../../../src/defense/random.js';
import type { DefenceSettings } from '../../../src/defense/settings.js';
import type { ActivationMap, RgbImage } from '../../../src/types.js';
import { assertSameImage } from '../../helpers/compare.js';
import { anyImage, haarSettings, randomMap } from '../../helpers/kernel-settings.js';

const SHA256 = '5e'.repeat(32);
const RUNS = 3;

function defendRuns(
  defender: Defender,
  image: RgbImage,
  map: ActivationMap | undefined,
  settings: DefenceSettings,
): Float32Array[] {
  const prepared = defender.prepare(image, map, settings);
  const runs = Array.from({ length: RUNS }, (_, run) => {
    const out = new Float32Array(image.data.length);
    prepared.run(runRandom(settings.seed, SHA256, run), out, 0, PLAIN_RGB);
    return out;
  });
  prepared.release();
  return runs;
}

test('every run of any image under any setting of the fast path is that of the plain defender', async () => {
  const kernel = await createKernelDefender();
  fc.assert(
    fc.property(anyImage, haarSettings, fc.boolean(), (image, settings, hasMap) => {
      const map = hasMap ? randomMap(image.width, image.height, 7) : undefined;
      const expected = defendRuns(plainDefender, image, map, settings);
      const actual = defendRuns(kernel, image, map, settings);
      // A block of 2^level pixels square moves with one coefficient.
      const mayJump = settings.threshold === 'hard' ? image.data.length / 20 : 0;
      for (const [i, run] of expected.entries()) assertSameImage(actual[i]!, run, `run ${i}`, mayJump);
    }),
    { numRuns: 300 },
  );
});
