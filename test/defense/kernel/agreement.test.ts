/** The kernel computes what the plain defender specifies. Expected values: src/defense/plain, in double precision. */

import { test } from 'node:test';
import fc from 'fast-check';
import { comparatorSteps } from '../../../src/comparators/order.js';
import { type Defender, PLAIN_RGB } from '../../../src/defense/defender.js';
import { createKernelDefender } from '../../../src/defense/kernel/kernel-defender.js';
import { createPlainDefender } from '../../../src/defense/plain/plain.js';
import { runRandom } from '../../../src/defense/random.js';
import { type DefenceSettings, PAPER_SETTINGS } from '../../../src/defense/settings.js';
import type { ActivationMap, RgbImage } from '../../../src/types.js';
import { assertSameImage } from '../../helpers/compare.js';
import {
  anyImage,
  estimatingSettings,
  haarSettings,
  otherSettings,
  randomMap,
  rivalSettings,
  texturedImage,
} from '../../helpers/kernel-settings.js';

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

/** Asserts that some runs of any image are those of the plain defender, to single precision. */
async function assertAgreement(
  anySettings: fc.Arbitrary<DefenceSettings>,
  numRuns: number,
  mayJump: (settings: DefenceSettings, values: number) => number = () => 0,
): Promise<void> {
  const find = comparatorSteps();
  const kernel = await createKernelDefender(find);
  const oracle = createPlainDefender(find);
  fc.assert(
    fc.property(anyImage, anySettings, fc.boolean(), (image, settings, hasMap) => {
      const map = hasMap ? randomMap(image.width, image.height, 7) : undefined;
      const expected = defendRuns(oracle, image, map, settings);
      const actual = defendRuns(kernel, image, map, settings);
      for (const [i, run] of expected.entries()) {
        try {
          assertSameImage(actual[i]!, run, `run ${i}`, mayJump(settings, image.data.length));
        } catch (error) {
          const nudged = (factor: number) => defendRuns(oracle, image, map, withSigma(settings, factor))[i]!;
          const explained =
            settings.shrink === 'sure'
              ? isChoiceOfEqualRisks(actual[i]!, nudged)
              : settings.shrink === 'bayes' && isRounding(actual[i]!, run, nudged);
          if (!explained) throw error;
        }
      }
    }),
    { numRuns },
  );
}

/** The settings with all noise, given or estimated, taken to be so many times as strong. */
function withSigma(settings: DefenceSettings, factor: number): DefenceSettings {
  const [least, most] = settings.strength;
  return { ...settings, strength: [least * factor, most * factor] };
}

/**
 * SureShrink takes the threshold of least risk. Where two risks are equal but for roundings, either threshold is right: the
 * oracle itself takes the other one when sigma moves by as little as single precision rounds over a sub-band.
 */
function isChoiceOfEqualRisks(actual: Float32Array, nudged: (factor: number) => Float32Array): boolean {
  return [1e-6, 3e-6, 1e-5, 3e-5]
    .flatMap(nudge => [1 - nudge, 1 + nudge])
    .some(factor => nudged(factor).every((value, p) => Math.abs(value - actual[p]!) <= 1e-5));
}

/**
 * BayesShrink divides by the root of what the energy of a sub-band has more than the noise. Where that is next to nothing it
 * magnifies roundings: the oracle itself moves as far when sigma moves by as little as single precision rounds over a
 * sub-band.
 */
function isRounding(actual: Float32Array, expected: Float32Array, nudged: (factor: number) => Float32Array): boolean {
  const others = [1 - 1e-6, 1 + 1e-6].map(nudged);
  return actual.every((value, p) => {
    const reach = Math.max(...others.map(other => Math.abs(other[p]! - expected[p]!)));
    return Math.abs(value - expected[p]!) <= 1e-5 + reach;
  });
}

test('every run of any image under any setting of the fast path is that of the plain defender', () =>
  // Where a coefficient lies at a hard threshold one rounding decides, and a block of pixels moves with it.
  assertAgreement(haarSettings, 300, ({ threshold }, values) => (threshold === 'hard' ? values / 20 : 0)));

test('every run of any image under any other setting is that of the plain defender', () =>
  assertAgreement(otherSettings, 300));

test('every run of any image with estimated noise is that of the plain defender', () =>
  assertAgreement(estimatingSettings, 200));

test('greys whose Cb and Cr differ in the last bit of a double give the estimate of the plain defender', async () => {
  const kernel = await createKernelDefender();
  for (let seed = 0; seed < 40; seed++) {
    const image = texturedImage(29, 2 + (seed % 3), 'grey', seed);
    // One channel of one pixel is all the colour that the image has.
    const settings: DefenceSettings = {
      ...PAPER_SETTINGS,
      seed: 'test',
      sigma: null,
      wavelet: seed % 2 === 0 ? 'sym4' : 'db1',
      deflection: 'official',
      deflections: 1,
    };
    const expected = defendRuns(createPlainDefender(), image, undefined, settings);
    const actual = defendRuns(kernel, image, undefined, settings);
    for (const [i, run] of expected.entries()) assertSameImage(actual[i]!, run, `image ${seed}, run ${i}`);
  }
});

test('every run of any image under any order of own and rival steps is that of the plain defender', () =>
  assertAgreement(rivalSettings, 200));
