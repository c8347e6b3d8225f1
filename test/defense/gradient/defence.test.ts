/** The way back through the defence, held to central differences of the plain one in double precision. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { comparatorSteps } from '../../../src/comparators/order.js';
import { PLAIN_RGB } from '../../../src/defense/defender.js';
import { drawDeflections } from '../../../src/defense/deflection.js';
import { traceMap } from '../../../src/defense/gradient/activation-map.js';
import { traceRun } from '../../../src/defense/gradient/defence.js';
import { traceDenoising } from '../../../src/defense/gradient/denoise.js';
import { WaveletTransform } from '../../../src/defense/gradient/wavelet-transform.js';
import type { Grid, Planes } from '../../../src/defense/grid.js';
import { stepsOf } from '../../../src/defense/order.js';
import { denoise } from '../../../src/defense/plain/denoise.js';
import { createPlainDefender, planesOf } from '../../../src/defense/plain/plain.js';
import { decompose, reconstruct } from '../../../src/defense/plain/wavelet-transform.js';
import { runRandom } from '../../../src/defense/random.js';
import { type DefenceSettings, PAPER_SETTINGS } from '../../../src/defense/settings.js';
import { waveletFilters } from '../../../src/defense/wavelet-filters.js';
import type { ActivationMap, ClassifierHead, FeatureMaps, RgbImage } from '../../../src/types.js';

const random = (seed: number) => runRandom(`gradient ${seed}`, '0'.repeat(64), 0);

function noise(length: number, seed: number): Float64Array {
  const source = random(seed);
  return Float64Array.from({ length }, () => 2 * source.uniform() - 1);
}

/** Smooth shapes under noise, so that some coefficients pass every threshold and some do not. */
function photo(width: number, height: number, seed: number): RgbImage {
  const grain = noise(3 * width * height, seed);
  const data = Uint8Array.from(grain, (value, i) => {
    const [x, y, c] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3];
    return 128 + 80 * Math.sin(0.3 * x + c + seed) * Math.cos(0.2 * y - c) + 25 * value;
  });
  return { width, height, data };
}

function planesFrom(width: number, height: number, seed: number): Planes {
  const plane = (c: number): Grid => ({ width, height, data: noise(width * height, 10 * seed + c) });
  return [plane(0), plane(1), plane(2)];
}

function plus(planes: Planes, direction: Planes, h: number): Planes {
  return planes.map((plane, c) => ({
    ...plane,
    data: plane.data.map((value, p) => value + h * direction[c]!.data[p]!),
  })) as unknown as Planes;
}

function dot(a: Planes, b: Planes): number {
  return a.reduce((sum, { data }, c) => sum + data.reduce((part, value, p) => part + value * b[c]!.data[p]!, 0), 0);
}

/** Asserts that <J v, u>, J v by central differences, is <v, J^T u> for some v and u. */
function assertTransposed(
  at: Planes,
  value: (x: Planes) => Planes,
  back: (cotangent: Planes) => Planes,
  what: string,
  h = 1e-7,
  tolerance = 1e-5,
): void {
  const [{ width, height }] = at;
  for (let seed = 1; seed <= 3; seed++) {
    const [v, u] = [planesFrom(width, height, seed), planesFrom(width, height, seed + 100)];
    const ahead = dot(value(plus(at, v, h)), u);
    const behind = dot(value(plus(at, v, -h)), u);
    const slope = (ahead - behind) / (2 * h);
    const expected = dot(v, back(u));
    // Both are sums of random signs: their size is that of their parts.
    const size = Math.sqrt(dot(back(u), back(u)));
    assert.ok(Math.abs(slope - expected) <= tolerance * size, `${what}: ${slope} for ${expected}, of size ${size}`);
  }
}

describe('the wavelet transform and its transposes', () => {
  const sizes = { width: fc.integer({ min: 1, max: 33 }), height: fc.integer({ min: 1, max: 33 }) };
  const cases = fc.record({
    ...sizes,
    wavelet: fc.constantFrom('haar', 'db2', 'db3', 'sym4', 'coif1'),
    levels: fc.integer({ min: 1, max: 4 }),
    seed: fc.integer({ min: 0, max: 1000 }),
  });

  it('has the values of the plain one', () => {
    fc.assert(
      fc.property(cases, ({ width, height, wavelet, levels, seed }) => {
        const filters = waveletFilters(wavelet);
        const plane = { width, height, data: noise(width * height, seed) };
        const expected = decompose(plane, filters, levels);
        const transform = new WaveletTransform(width, height, filters, levels);
        const bands = transform.decompose(plane.data);
        assertNear(bands.approximation.data, expected.approximation.data);
        for (const [l, level] of expected.details.entries()) {
          assertNear(bands.details[l]!.horizontal.data, level.horizontal.data);
          assertNear(bands.details[l]!.vertical.data, level.vertical.data);
          assertNear(bands.details[l]!.diagonal.data, level.diagonal.data);
        }
        assertNear(transform.reconstruct(bands), reconstruct(expected, filters).data);
      }),
      { numRuns: 60 },
    );
  });

  it('are transposes: <A x, y> = <x, A^T y>', () => {
    fc.assert(
      fc.property(cases, ({ width, height, wavelet, levels, seed }) => {
        const transform = new WaveletTransform(width, height, waveletFilters(wavelet), levels);
        const x = noise(width * height, seed);
        const bands = transform.decompose(noise(width * height, seed + 1));
        const flat = ({ approximation, details }: typeof bands) =>
          [approximation, ...details.flatMap(level => [level.horizontal, level.vertical, level.diagonal])].flatMap(
            ({ data }) => [...data],
          );
        const inner = (a: ArrayLike<number>, b: ArrayLike<number>) =>
          Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0);
        const scale = 1e-10 * (1 + width * height);
        const forward = inner(flat(transform.decompose(x)), flat(bands)) - inner(x, transform.decomposeBack(bands));
        assert.ok(Math.abs(forward) <= scale);
        const back = inner(transform.reconstruct(bands), x) - inner(flat(bands), flat(transform.reconstructBack(x)));
        assert.ok(Math.abs(back) <= scale);
      }),
      { numRuns: 60 },
    );
  });
});

describe('denoising with its transposed Jacobian', () => {
  for (const variant of ['legacy', 'modern'] as const) {
    for (const shrink of ['bayes', 'visu', 'sure'] as const) {
      for (const threshold of ['soft', 'hard'] as const) {
        for (const [sigma, wavelet] of [
          [0.04, 'haar'],
          [null, 'haar'],
          [0.08, 'db2'],
        ] as const) {
          // Stein's threshold is the magnitude of a coefficient, and a hard one jumps there: no derivative anywhere.
          if (shrink === 'sure' && threshold === 'hard') continue;
          const settings = { ...PAPER_SETTINGS, variant, shrink, threshold, sigma, wavelet, levels: 2 };
          it(`${variant} ${shrink} ${threshold} ${wavelet}, sigma ${sigma ?? 'estimated'}: is the slope of the plain one`, () => {
            const at = planesOf(photo(22, 17, 3));
            const traced = traceDenoising(at, settings, { strength: 1 });
            const expected = denoise(at, settings);
            for (const [c, { data }] of traced.value.entries()) assertNear(data, expected[c]!.data, 1e-9);
            assertTransposed(at, x => denoise(x, settings), traced.back, 'denoise');
          });
        }
      }
    }
  }

  it('leaves an image without colour its grey: a constant plane stays as it is', () => {
    const grey = photo(16, 16, 5);
    const data = grey.data.map((_, i) => grey.data[i - (i % 3)]!);
    const at = planesOf({ ...grey, data });
    const traced = traceDenoising(at, PAPER_SETTINGS, { strength: 1 });
    const expected = denoise(at, PAPER_SETTINGS);
    for (const [c, plane] of traced.value.entries()) assertNear(plane.data, expected[c]!.data, 1e-9);
    assert.ok(traced.back(planesFrom(16, 16, 1)).every(plane => plane.data.every(Number.isFinite)));
  });
});

describe('a whole run with its transposed Jacobian', () => {
  const [width, height] = [24, 20];
  const map: ActivationMap = {
    width,
    height,
    data: Float32Array.from({ length: width * height }, (_, p) => (p % width) / width),
  };
  const RUNS: readonly (readonly [string, Partial<DefenceSettings>])[] = [
    ["the paper's", {}],
    ["the authors' deflection", { deflection: 'official', deflections: 300 }],
    ['minimum of the window', { replace: 'min' }],
    ["maximum of the window, the authors' rule", { replace: 'max', deflection: 'official' }],
    ['mean of the window', { replace: 'mean', map: 'uniform' }],
    ["mean of the window, the authors' rule", { replace: 'mean', deflection: 'official' }],
    ['dense deflection, modern shrinkage', { deflections: 2000, window: 3, variant: 'modern' }],
    ['spinning on shifted grids, strength drawn', { spin: 3, strength: [0.5, 2] }],
    ['spared by the map', { spare: 0.7, threshold: 'soft', wavelet: 'db2' }],
    ['spared by the map on shifted grids', { spare: 0.5, spin: 2, variant: 'modern' }],
    ['deflection twice', { order: ['deflect', 'denoise', 'deflect'] }],
  ];
  for (const [name, given] of RUNS) {
    it(`${name}: the plain run, and its slope with the draws fixed`, () => {
      const settings: DefenceSettings = { ...PAPER_SETTINGS, seed: '', window: 4, levels: 2, ...given };
      const image = photo(width, height, 7);
      const steps = stepsOf(settings, comparatorSteps());
      const run = (rgb: Planes) => traceRun(rgb, map, settings, steps, random(11));
      const at = planesOf(image);
      const traced = run(at);
      const out = new Float32Array(3 * width * height);
      createPlainDefender(comparatorSteps()).prepare(image, map, settings).run(random(11), out, 0, PLAIN_RGB);
      const values = traced.value.flatMap(({ data }) => [...data]);
      assertNear(values, out, 1e-6);
      // Off the 8-bit grid: equal values share an extreme, and there is no derivative.
      const apart = plus(at, planesFrom(width, height, 9), 1e-3);
      assertTransposed(
        apart,
        x => run(x).value,
        cotangent => run(apart).back(cotangent).image,
        name,
      );
    });
  }

  // Foreign steps compute in single precision, so the differences are taken wide: these are linear, or the median of
  // values that stand further apart than the step.
  for (const step of [
    'none',
    'crop:0.8',
    'crop:0.5-0.9',
    'flip',
    'rescale:0.5-0.8',
    'resizepad',
    'median:2',
    'median:3',
  ]) {
    it(`${step}: its slope with the draws fixed`, () => {
      const settings: DefenceSettings = { ...PAPER_SETTINGS, seed: '', order: [step] };
      const steps = stepsOf(settings, comparatorSteps());
      const places = random(5);
      const order = Array.from({ length: width * height }, (_, p) => ({ p, u: places.uniform() })).sort(
        (a, b) => a.u - b.u,
      );
      const data = new Float64Array(width * height);
      for (const [rank, { p }] of order.entries()) data[p] = 0.1 + (0.8 * rank) / order.length;
      const plane: Grid = { width, height, data };
      const at: Planes = [plane, plane, plane];
      const run = (rgb: Planes) => traceRun(rgb, undefined, settings, steps, random(11));
      assertTransposed(
        at,
        x => run(x).value,
        cotangent => run(at).back(cotangent).image,
        step,
        4e-4,
        2e-3,
      );
    });
  }

  it('takes a step that has no way back for no change there', () => {
    const settings: DefenceSettings = { ...PAPER_SETTINGS, seed: '', order: ['jpeg:75'] };
    const traced = traceRun(
      planesOf(photo(16, 16, 1)),
      undefined,
      settings,
      stepsOf(settings, comparatorSteps()),
      random(1),
    );
    const cotangent = planesFrom(16, 16, 2);
    for (const [c, { data }] of traced.back(cotangent).image.entries()) assertNear(data, cotangent[c]!.data, 1e-7);
  });
});

describe('the map with the way back', () => {
  const features: FeatureMaps = {
    channels: 6,
    width: 4,
    height: 3,
    data: Float32Array.from(noise(72, 21), value => value + 0.4),
  };
  const head: ClassifierHead = { classes: 7, channels: 6, weights: Float32Array.from(noise(42, 22)) };
  const scores = Float32Array.from(noise(7, 23));

  for (const map of ['rcam', 'cam'] as const) {
    it(`${map}: is the slope of the map in the features`, () => {
      const settings = { map, mapClasses: 5 };
      const [width, height] = [21, 17];
      const cotangent = noise(width * height, 24);
      const gradient = traceMap(settings, features, head, scores, width, height).back(cotangent);
      for (let seed = 1; seed <= 3; seed++) {
        const direction = noise(72, 30 + seed);
        const value = (h: number) => {
          const data = features.data.map((feature, i) => feature + h * direction[i]!);
          const made = traceMap(settings, { ...features, data }, head, scores, width, height).value!;
          return made.data.reduce((sum, part, p) => sum + part * cotangent[p]!, 0);
        };
        const slope = (value(1e-3) - value(-1e-3)) / 2e-3;
        const expected = gradient.reduce((sum, part, i) => sum + part * direction[i]!, 0);
        assert.ok(Math.abs(slope - expected) < 2e-2 * Math.hypot(...gradient), `${slope} for ${expected}`);
      }
    });
  }

  it('by way of deflection: the slope of the mean over draws', () => {
    // A few deflections of one image, averaged over many draws, at two maps that differ a little.
    const [width, height] = [12, 10];
    const settings: DefenceSettings = { ...PAPER_SETTINGS, seed: '', deflections: 2, window: 3, order: ['deflect'] };
    const at = planesOf(photo(width, height, 4));
    const cotangent = planesFrom(width, height, 6);
    const steps = stepsOf(settings, comparatorSteps());
    const direction = noise(width * height, 8).map(Math.abs);
    const map = (h: number): ActivationMap => ({
      width,
      height,
      data: Float32Array.from(direction, value => 0.4 + h * value),
    });
    const { map: slopes } = traceRun(at, map(0), settings, steps, random(1)).back(cotangent);
    const expected = slopes.reduce((sum, slope, p) => sum + slope * direction[p]!, 0);
    const RUNS = 20_000;
    // The same draws for both maps: their difference is in the pixels that one deflects and the other does not.
    const mean = (h: number) => {
      let sum = 0;
      for (let run = 0; run < RUNS; run++) {
        const list = drawDeflections(width, height, map(h), settings, random(1000 + run));
        for (let i = 0; i < list.count; i++) {
          const [target, source] = [list.targets[i]!, list.sources[i]!];
          for (const [c, { data }] of at.entries())
            sum += cotangent[c]!.data[target]! * (data[source]! - data[target]!);
        }
      }
      return sum / RUNS;
    };
    const slope = (mean(0.4) - mean(-0.4)) / 0.8;
    assert.ok(Math.abs(slope - expected) < 0.15 * Math.abs(expected) + 5e-3, `${slope} for ${expected}`);
  });
});

function assertNear(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-12): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    assert.ok(difference <= tolerance, `differs by ${difference} at ${i}`);
  }
}
