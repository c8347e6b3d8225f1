import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Planes } from '../../../src/defense/grid.js';
import { bayesThreshold } from '../../../src/defense/plain/bayes-shrink.js';
import { type DenoiseSettings, denoise, denoisePlane } from '../../../src/defense/plain/denoise.js';
import { estimateSigma } from '../../../src/defense/plain/noise-estimate.js';
import { planesOf } from '../../../src/defense/plain/plain.js';
import { sureThreshold } from '../../../src/defense/plain/sure-shrink.js';
import { hardThreshold, softThreshold } from '../../../src/defense/plain/threshold.js';
import { decompose } from '../../../src/defense/plain/wavelet-transform.js';
import { rgbToYcbcr, ycbcrToRgb } from '../../../src/defense/plain/ycbcr.js';
import { runRandom } from '../../../src/defense/random.js';
import { WAVELET_NAMES, waveletFilters } from '../../../src/defense/wavelet-filters.js';
import { assertClose } from '../../helpers/goldens.js';
import { anyImage, greyImage } from '../../helpers/images.js';

const PAPER: DenoiseSettings = {
  sigma: 0.04,
  wavelet: 'db1',
  levels: null,
  shrink: 'bayes',
  threshold: 'soft',
  variant: 'legacy',
};

const anySettings: fc.Arbitrary<DenoiseSettings> = fc.record({
  sigma: fc.constantFrom(0.01, 0.04, 0.3, null),
  wavelet: fc.constantFrom(...WAVELET_NAMES),
  levels: fc.constantFrom(null, 1, 2, 5),
  shrink: fc.constantFrom('bayes', 'visu', 'sure', 'none'),
  threshold: fc.constantFrom('soft', 'hard'),
  variant: fc.constantFrom('legacy', 'modern'),
});

function assertPlanesClose(actual: Planes, expected: Planes, tolerance: number): void {
  for (const c of [0, 1, 2] as const) assertClose(actual[c].data, expected[c].data, tolerance);
}

describe('denoise', () => {
  it('with threshold zero is the identity, whatever the wavelet, levels, shrinkage and variant', () => {
    fc.assert(
      fc.property(anyImage(), anySettings, (image, settings) => {
        const planes = planesOf(image);
        assertPlanesClose(denoise(planes, { ...settings, sigma: 0 }), planes, 1e-8);
      }),
    );
  });

  it('with shrink none gives back the very planes', () => {
    const planes = planesOf(greyImage(2, 1, [3, 200]));
    assert.equal(denoise(planes, { ...PAPER, shrink: 'none' }), planes);
  });

  it('gives finite values for any image, in [0,1] where the variant is legacy', () => {
    fc.assert(
      fc.property(anyImage(), anySettings, (image, settings) => {
        for (const { data } of denoise(planesOf(image), settings)) {
          assert.ok(data.every(Number.isFinite));
          if (settings.variant === 'legacy') assert.ok(data.every(value => value >= 0 && value <= 1));
        }
      }),
    );
  });

  it('keeps a grey image grey: constant Cb and Cr stay as they are', () => {
    fc.assert(
      fc.property(anyImage(), anySettings, ({ width, height, data }, settings) => {
        const [r, g, b] = denoise(planesOf(greyImage(width, height, data)), settings);
        assertClose(r.data, g.data, 1e-9);
        assertClose(b.data, g.data, 1e-9);
      }),
    );
  });

  it('keeps an image of one colour, one pixel included', () => {
    fc.assert(
      fc.property(anyImage(), anySettings, (image, settings) => {
        const planes = planesOf({ ...image, data: image.data.map((_, i) => image.data[i % 3]!) });
        assertPlanesClose(denoise(planes, settings), planes, 1e-12);
      }),
    );
  });

  it('brings a noisy ramp nearer to the clean one, in both variants', () => {
    const clean = greyImage(
      64,
      64,
      Float64Array.from({ length: 4096 }, (_, p) => 60 + 2 * (p % 64)),
    );
    const noise = runRandom('noise', '0'.repeat(64), 0);
    const noisy = { ...clean, data: clean.data.map(value => value + Math.round(30 * (noise.uniform() - 0.5))) };
    const target = planesOf(clean);
    const error = (planes: Planes) =>
      planes.reduce((sum, { data }, c) => sum + data.reduce((s, v, p) => s + (v - target[c]!.data[p]!) ** 2, 0), 0);
    const before = error(planesOf(noisy));
    for (const variant of ['legacy', 'modern'] as const) {
      const after = error(denoise(planesOf(noisy), { ...PAPER, variant, sigma: 30 / 255 / Math.sqrt(12) }));
      assert.ok(after < 0.9 * before, `${variant}: ${after} of ${before}`);
    }
  });

  it('clips under legacy and only there', () => {
    const image = greyImage(
      16,
      16,
      Float64Array.from({ length: 256 }, (_, p) => (p % 5 === 0 ? 255 : 0)),
    );
    const outside = (planes: Planes) => planes.some(({ data }) => data.some(value => value < 0 || value > 1));
    const settings: DenoiseSettings = { ...PAPER, shrink: 'visu', sigma: 0.2, wavelet: 'db3' };
    assert.equal(outside(denoise(planesOf(image), settings)), false);
    assert.equal(outside(denoise(planesOf(image), { ...settings, variant: 'modern' })), true);
  });

  it('refuses an unknown wavelet', () => {
    assert.throws(() => denoise(planesOf(greyImage(2, 1, [1, 2])), { ...PAPER, wavelet: 'meyer' }), {
      code: 'SETTINGS_INVALID',
    });
  });
});

describe('denoisePlane', () => {
  it('estimates sigma from the finest diagonal sub-band where none is given', () => {
    const plane = { width: 32, height: 32, data: Float64Array.from({ length: 1024 }, (_, i) => Math.sin(i * i)) };
    const settings = { ...PAPER, shrink: 'bayes' as const };
    const { diagonal } = decompose(plane, waveletFilters('db1'), 1).details[0]!;
    assert.deepEqual(denoisePlane(plane, settings, null), denoisePlane(plane, settings, estimateSigma(diagonal.data)));
    const empty = { ...plane, data: new Float64Array(1024) };
    assertClose(denoisePlane(empty, settings, null).data, empty.data, 0);
  });
});

describe('thresholds', () => {
  it('bayes: sigma^2 over the deviation of the signal, 3^2 / sqrt(25 - 9)', () => {
    assertClose([bayesThreshold(Float64Array.of(5, -5, 5, -5), 3)], [9 / 4], 1e-15);
  });
  it('bayes: above every coefficient of a sub-band that is all noise', () => {
    assert.ok(bayesThreshold(Float64Array.of(0.01, -0.02), 0.04) > 0.02);
  });
  it('sure: the universal threshold for a sparse sub-band, and none at all without noise', () => {
    const sparse = new Float64Array(64);
    sparse[3] = 2;
    assertClose([sureThreshold(sparse, 1)], [Math.sqrt(2 * Math.log(64))], 1e-15);
    assert.equal(sureThreshold(sparse, 0), 0);
  });
  it('sure: the least of the risk over all candidates, for any dense sub-band', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -60, max: 60 }), { minLength: 16, maxLength: 64 }), values => {
        const y = Float64Array.from(values, value => value / 8);
        const d = y.length;
        const sparse = y.reduce((sum, v) => sum + v * v - 1, 0) / d <= Math.log2(d) ** 1.5 / Math.sqrt(d);
        fc.pre(!sparse);
        const risk = (t: number) =>
          d - 2 * y.filter(v => Math.abs(v) <= t).length + y.reduce((s, v) => s + Math.min(Math.abs(v), t) ** 2, 0);
        const candidates = [0, ...Array.from(y, Math.abs)].filter(t => t <= Math.sqrt(2 * Math.log(d)));
        const least = Math.min(...candidates.map(risk));
        assertClose([risk(sureThreshold(y, 1))], [least], 1e-9);
      }),
    );
  });
  it('soft moves every coefficient towards 0 by T, hard keeps those of at least T', () => {
    const soft = Float64Array.of(-3, -1, 0, 0.5, 1, 2);
    softThreshold(soft, 1);
    assert.deepEqual(
      Array.from(soft, value => value + 0),
      [-2, 0, 0, 0, 0, 1],
    );
    const hard = Float64Array.of(-3, -1, 0, 0.5, 1, 2);
    hardThreshold(hard, 1);
    assert.deepEqual([...hard], [-3, -1, 0, 0, 1, 2]);
  });
});

describe('estimateSigma', () => {
  it('is the median magnitude over 0.6745, exact zeros left out', () => {
    assertClose([estimateSigma(Float64Array.of(0, -2, 0, 1, 3, 0))], [2 / 0.6744897501960817], 1e-15);
    assertClose([estimateSigma(Float64Array.of(4, -2))], [3 / 0.6744897501960817], 1e-15);
    assert.equal(estimateSigma(new Float64Array(4)), 0);
  });
});

describe('YCbCr', () => {
  it('and back gives any image', () => {
    fc.assert(
      fc.property(anyImage(), image => {
        const planes = planesOf(image);
        assertPlanesClose(ycbcrToRgb(rgbToYcbcr(planes)), planes, 1e-12);
      }),
    );
  });
});

describe('what a run decides beside the settings', () => {
  const image = () => fc.sample(anyImage(), { numRuns: 20, seed: 5 }).map(planesOf);

  it('strength is a factor on sigma, given or estimated', () => {
    for (const planes of image()) {
      assertPlanesClose(denoise(planes, PAPER, { strength: 2 }), denoise(planes, { ...PAPER, sigma: 0.08 }), 1e-12);
      assertPlanesClose(denoise(planes, { ...PAPER, sigma: null }, { strength: 0 }), planes, 1e-8);
    }
  });

  it('a map of ones spares every detail at share 1, and the thresholds by half at 0.5', () => {
    for (const planes of image()) {
      const { width, height } = planes[0];
      const map = { width, height, data: new Float32Array(width * height).fill(1) };
      assertPlanesClose(denoise(planes, PAPER, { strength: 1, spare: { map, share: 1 } }), planes, 1e-8);
      // VisuShrink's threshold is proportional to sigma.
      const visu = { ...PAPER, shrink: 'visu' } as const;
      const half = denoise(planes, { ...visu, sigma: 0.02 });
      assertPlanesClose(denoise(planes, visu, { strength: 1, spare: { map, share: 0.5 } }), half, 1e-12);
    }
  });
});
