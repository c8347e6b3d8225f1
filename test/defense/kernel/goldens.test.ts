/** The kernel against the reference values of scikit-image, PyWavelets and the plain formulas (test/goldens). */
import { test } from 'node:test';
import { PLAIN_RGB } from '../../../src/defense/defender.js';
import { createKernelDefender } from '../../../src/defense/kernel/kernel-defender.js';
import { runRandom } from '../../../src/defense/random.js';
import { type DefenceSettings, PAPER_SETTINGS } from '../../../src/defense/settings.js';
import { assertSameImage } from '../../helpers/compare.js';
import { GOLDENS, type GoldenCase, goldenArray, goldenValues } from '../../helpers/goldens.js';

const kernel = await createKernelDefender();

const SHRINK = { BayesShrink: 'bayes', VisuShrink: 'visu', SureShrink: 'sure' } as const;

function settingsOf({ operation, parameters }: GoldenCase): DefenceSettings {
  return {
    ...PAPER_SETTINGS,
    seed: 'golden',
    order: ['denoise'],
    variant: operation.endsWith('legacy') ? 'legacy' : 'modern',
    shrink: SHRINK[parameters.method],
    threshold: parameters.mode as 'soft' | 'hard',
    wavelet: parameters.wavelet,
    sigma: parameters.sigma,
  };
}

/** Every `step`-th row and column of [H,W,3]. */
function thin(values: Float32Array, height: number, width: number, step: number): Float64Array {
  const kept: number[] = [];
  for (let y = 0; y < height; y += step) {
    for (let x = 0; x < width; x += step) kept.push(...values.subarray((y * width + x) * 3, (y * width + x) * 3 + 3));
  }
  return Float64Array.from(kept);
}

for (const golden of GOLDENS.cases.filter(({ group }) => group === 'wavelet')) {
  const input = goldenArray(golden.input as string);
  // A Defender takes 8-bit RGB and denoises in YCbCr.
  if (input.dtype !== 'uint8' || !golden.parameters.convert2ycbcr) continue;
  test(`${golden.name} to single precision`, () => {
    const [height, width] = input.shape as [number, number, number];
    const prepared = kernel.prepare({ width, height, data: input.data as Uint8Array }, undefined, settingsOf(golden));
    const out = new Float32Array(width * height * 3);
    prepared.run(runRandom('golden', '0'.repeat(64), 0), out, 0, { ...PLAIN_RGB, layout: 'nhwc' });
    prepared.release();
    const expected = goldenValues(golden.output!).data;
    // SureShrink's threshold is itself a coefficient: whether that one stays hangs on the last bit of a double.
    const isOnThreshold = golden.parameters.method === 'SureShrink' && golden.parameters.mode === 'hard';
    const mayJump = isOnThreshold ? expected.length / 50 : 0;
    assertSameImage(thin(out, height, width, golden.output_step ?? 1), expected, golden.name, mayJump);
  });
}
