/** The plain implementation against the reference values of test/goldens, every case at its stated tolerance. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import {
  divideByMax,
  halvingWeights,
  resizeBilinear,
  stretchToUnit,
  weightedClassMaps,
  weightedUnitMaps,
} from '../../src/defense/activation-map.js';
import { RGB_FROM_YCBCR, YCBCR_FROM_RGB } from '../../src/defense/colour.js';
import type { UniformSource } from '../../src/defense/defender.js';
import {
  applyDeflections,
  DeflectionList,
  type DeflectionSettings,
  drawDeflections,
} from '../../src/defense/deflection.js';
import type { Grid, Planes } from '../../src/defense/grid.js';
import { bayesThreshold } from '../../src/defense/plain/bayes-shrink.js';
import { denoise, denoisePlane, modernSigma, rangeOf } from '../../src/defense/plain/denoise.js';
import { estimateSigma } from '../../src/defense/plain/noise-estimate.js';
import { planesOf } from '../../src/defense/plain/plain.js';
import { sureThreshold } from '../../src/defense/plain/sure-shrink.js';
import { hardThreshold, softThreshold } from '../../src/defense/plain/threshold.js';
import { visuThreshold } from '../../src/defense/plain/visu-shrink.js';
import { decompose, reconstruct } from '../../src/defense/plain/wavelet-transform.js';
import { rgbToYcbcr, ycbcrToRgb } from '../../src/defense/plain/ycbcr.js';
import { runRandom } from '../../src/defense/random.js';
import { defaultLevels, waveletFilters } from '../../src/defense/wavelet-filters.js';
import type { ActivationMap } from '../../src/types.js';
import {
  applySteps,
  replayDraws,
  type Trace,
  type TraceBorder,
  type TraceRule,
  type TraceStep,
} from '../helpers/deflection-oracle.js';
import {
  assertClose,
  assertRelative,
  GOLDENS,
  type GoldenCase,
  goldenArray,
  goldenPlane,
  goldenPlanes,
  goldenValues,
  interleave,
} from '../helpers/goldens.js';

type Check = (golden: GoldenCase) => void;

/** What makes a case pass, by group and operation. */
const CHECKS: Readonly<Record<string, Readonly<Record<string, Check>>>> = {
  inputs: { input: loads },
  color: { input: loads, rgb2ycbcr, ycbcr2rgb, ycbcr_matrices: matrices },
  deflection: { input: loads, pixel_deflection: trace, pixel_deflection_statistics: statistics },
  dwt: { wavedec2: decomposition, waverec2: reconstruction, filter_bank: filterBank, default_levels: levels },
  rcam: { input: loads, cam: classMaps, rcam_raw: robustMap, rcam: normalisedMap, rcam_official: twoClassMap },
  threshold: {
    input: loads,
    thresholds,
    estimate_sigma: sigmas,
    modern_sigmas: modernSigmas,
    threshold_apply: thresholdApply,
  },
  wavelet: { denoise_wavelet_modern: denoised, denoise_wavelet_legacy: denoised },
};

for (const [group, operations] of Object.entries(CHECKS)) {
  describe(`reference values, group ${group}`, () => {
    const cases = GOLDENS.cases.filter(golden => golden.group === group);
    let executed = 0;
    for (const golden of cases) {
      it(golden.name, () => {
        executed++;
        const check = operations[golden.operation];
        assert.ok(check !== undefined, `no check for operation ${golden.operation}`);
        check(golden);
      });
    }
    after(() => assert.equal(executed, GOLDENS.counts[group]));
  });
}

describe('all reference values', () => {
  it('belong to a group that is checked, here or in comparators/goldens.test.ts and evaluation/statistics.test.ts', () => {
    const known = [...Object.keys(CHECKS), 'comparators', 'metrics', 'old_era'];
    assert.deepEqual(Object.keys(GOLDENS.counts).toSorted(), known.toSorted());
    assert.equal(
      GOLDENS.cases.length,
      Object.values(GOLDENS.counts).reduce((a, b) => a + b),
    );
  });
});

/** The files of a case exist, have the stated form and finite values. */
function loads(golden: GoldenCase): void {
  for (const path of [golden.input ?? [], golden.output ?? []].flat()) {
    const { data, shape } = goldenArray(path);
    assert.equal(
      data.length,
      shape.reduce((a, b) => a * b, 1),
    );
    assert.ok(data.every(Number.isFinite));
  }
  if (golden.output === null) assert.ok(golden.expected !== undefined);
  else {
    assert.equal(goldenArray(golden.output).dtype, golden.dtype);
    assert.deepEqual(goldenArray(golden.output).shape, golden.shape);
  }
}

function inputOf(golden: GoldenCase): string {
  assert.equal(typeof golden.input, 'string');
  return golden.input as string;
}

function expectOutput(golden: GoldenCase, actual: ArrayLike<number>): void {
  assertClose(actual, goldenValues(golden.output!).data, golden.tolerance.abs!);
}

// --- colour ---------------------------------------------------------------------------------------------------------

function rgb2ycbcr(golden: GoldenCase): void {
  expectOutput(golden, interleave(rgbToYcbcr(goldenPlanes(inputOf(golden)))));
}

function ycbcr2rgb(golden: GoldenCase): void {
  const round = golden.parameters.pre === undefined ? (value: number) => value : roundHalfToEven;
  const planes = goldenPlanes(inputOf(golden)).map(plane => ({ ...plane, data: plane.data.map(round) }));
  expectOutput(golden, interleave(ycbcrToRgb(planes as unknown as Planes)));
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

function matrices(golden: GoldenCase): void {
  const expected = golden.expected as { ycbcr_from_rgb: number[][]; rgb_from_ycbcr: number[][] };
  assertClose(YCBCR_FROM_RGB.flat(), expected.ycbcr_from_rgb.flat(), golden.tolerance.abs!);
  assertClose(RGB_FROM_YCBCR.flat(), expected.rgb_from_ycbcr.flat(), golden.tolerance.abs!);
}

// --- deflection -----------------------------------------------------------------------------------------------------

const SKIPPED = 255;

/**
 * A trace is replayed twice: by the oracle from its stream of numbers, which proves the rule as recorded; and by
 * `drawDeflections` and `applyDeflections` from a stream that makes the same decisions, since Deflector draws a source
 * straight from the window inside the image where most traces draw and reject.
 */
function trace(golden: GoldenCase): void {
  const { rule, border, window, deflections } = golden.parameters;
  const marks = deflections as readonly number[];
  const image = goldenArray(inputOf(golden));
  const bytes = image.data as Uint8Array;
  const [height, width] = image.shape as [number, number];
  const map = goldenArray(golden.parameters.map).data as Float32Array;
  const uniforms = goldenArray(golden.uniforms!).data;
  const expected = goldenArray(golden.output!).data;
  const spec: Trace = {
    rule: rule as TraceRule,
    border: border as TraceBorder,
    window,
    deflections: rule === 'paper' || rule === 'inplace' ? 1000 : marks[0]!,
  };

  let used = 0;
  const steps = replayDraws(height, width, map, spec, () => uniforms[used++]!);
  assert.equal(used, uniforms.length);
  assert.equal(used, golden.uniforms_used);
  assert.deepEqual(stepRows(steps), [...goldenArray(golden.steps!).data]);
  assert.equal(steps.length, golden.steps_taken);
  assert.equal(steps.filter(step => step.source !== undefined).length, golden.steps_deflected);

  marks.forEach((mark, i) => {
    const taken = spec.rule === 'paper' || spec.rule === 'inplace' ? steps.slice(0, mark) : steps;
    const result = expected.subarray(i * bytes.length, (i + 1) * bytes.length);
    assert.deepEqual(applySteps(bytes, width, taken, spec.rule !== 'paper'), result);
    assert.equal(changedPixels(bytes, result), golden.pixels_changed![i]);
    if (spec.rule === 'paper' || spec.rule === 'methods') {
      assert.deepEqual(byDeflector(bytes, height, width, map, spec, taken, mark), result);
    }
  });
}

function stepRows(steps: readonly TraceStep[]): number[] {
  return steps.flatMap(({ target, source, channel }) => [
    ...target,
    ...(source ?? [SKIPPED, SKIPPED]),
    source === undefined && channel < 0 ? SKIPPED : channel < 0 ? SKIPPED : channel,
  ]);
}

function changedPixels(before: Uint8Array, after: ArrayLike<number>): number {
  let changed = 0;
  for (let i = 0; i < before.length; i += 3) {
    if (before[i] !== after[i] || before[i + 1] !== after[i + 1] || before[i + 2] !== after[i + 2]) changed++;
  }
  return changed;
}

const DRAWS: DeflectionSettings = {
  deflection: 'paper',
  deflections: 0,
  window: 10,
  sampling: 'uniform',
  replace: 'random',
};

function byDeflector(
  bytes: Uint8Array,
  height: number,
  width: number,
  map: Float32Array,
  spec: Trace,
  steps: readonly TraceStep[],
  deflections: number,
): Uint8Array {
  const settings: DeflectionSettings = {
    ...DRAWS,
    deflection: spec.rule === 'paper' ? 'paper' : 'official',
    deflections,
    window: spec.window,
  };
  const stream = streamFor(steps, height, width, map, settings);
  let used = 0;
  const source: UniformSource = { uniform: () => stream[used++]! };
  const list = drawDeflections(width, height, { width, height, data: map }, settings, source);
  assert.equal(used, stream.length);
  return applied(list, settings, { width, height, data: bytes });
}

/** Numbers that make `drawDeflections` take exactly these steps. */
function streamFor(
  steps: readonly TraceStep[],
  height: number,
  width: number,
  map: Float32Array,
  settings: DeflectionSettings,
): number[] {
  const lowest = settings.deflection === 'official' ? 1 : 0;
  const within = (source: number, centre: number, size: number) => {
    const first = Math.max(lowest, centre - settings.window);
    const last = Math.min(size - 1, centre + settings.window);
    return (source - first + 0.5) / (last - first + 1);
  };
  return steps.flatMap(({ target: [row, column], source }) => {
    const value = map[row * width + column]!;
    const u = source === undefined ? value / 2 : (value + 1) / 2;
    const draw = [(row + 0.5) / height, (column + 0.5) / width, u];
    return source === undefined ? draw : [...draw, within(source[0], row, height), within(source[1], column, width)];
  });
}

function applied(
  list: DeflectionList,
  settings: DeflectionSettings,
  image: { readonly width: number; readonly height: number; readonly data: Uint8Array },
): Uint8Array {
  const original = planesOf(image);
  const changed = planesOf(image);
  applyDeflections(list, settings, original, changed);
  return Uint8Array.from(interleave(changed), value => Math.round(value * 255));
}

interface Moments {
  readonly mean: number;
  readonly variance: number;
  readonly mean_exact?: number;
}

interface Statistics {
  readonly runs: number;
  readonly offset_probability_exact: readonly number[];
  readonly offset_chi2_dof: number;
  readonly changed_pixels: Moments;
  readonly distinct_pixels: Moments;
  readonly deflected_steps: Moments;
}

/** Distributions over 2,000 runs: pixels changed, distinct pixels, deflected steps, offsets of the sources. */
function statistics(golden: GoldenCase): void {
  const { border, window } = golden.parameters;
  const deflections = golden.parameters.deflections as number;
  const expected = golden.expected as Statistics;
  const { data, shape } = goldenArray(inputOf(golden));
  const [height, width] = shape as [number, number];
  const original = planesOf({ width, height, data: data as Uint8Array });
  const map: ActivationMap | undefined =
    golden.parameters.map === 'random'
      ? { width, height, data: goldenArray('data/deflection/stats_map.npy').data as Float32Array }
      : undefined;
  const samples = { changed_pixels: [] as number[], distinct_pixels: [] as number[], deflected_steps: [] as number[] };
  const offsets = [new Float64Array(2 * window + 1), new Float64Array(2 * window + 1)];
  const list = new DeflectionList();
  for (let run = 0; run < expected.runs; run++) {
    drawForStatistics(
      border,
      width,
      height,
      map,
      { ...DRAWS, deflections, window },
      runRandom('statistics', 'c'.repeat(64), run),
      list,
    );
    const targets = [...list.targets.subarray(0, list.count)];
    targets.forEach((target, i) => {
      const source = list.sources[i]!;
      offsets[0]![Math.floor(source / width) - Math.floor(target / width) + window]!++;
      offsets[1]![(source % width) - (target % width) + window]!++;
    });
    const changed = original.map(plane => ({ ...plane, data: plane.data.slice() })) as unknown as Planes;
    applyDeflections(list, DRAWS, original, changed);
    const distinct = new Set(targets);
    const differs = (target: number) => changed.some(({ data }, c) => data[target] !== original[c]!.data[target]);
    samples.changed_pixels.push([...distinct].filter(differs).length);
    samples.distinct_pixels.push(distinct.size);
    samples.deflected_steps.push(list.count);
  }
  for (const [name, values] of Object.entries(samples)) {
    expectMoments(name, values, expected[name as keyof typeof samples], expected.runs, golden);
  }
  for (const counts of offsets) {
    const total = counts.reduce((a, b) => a + b);
    const chiSquare = expected.offset_probability_exact.reduce(
      (sum, p, i) => sum + (counts[i]! - total * p) ** 2 / (total * p),
      0,
    );
    assert.ok(chiSquare <= golden.tolerance.offset_chi2_max!, `chi-square ${chiSquare}`);
  }
}

/** Draws whole-pixel deflections with the border of the case; `clamp`, which Deflector does not offer, by the oracle. */
function drawForStatistics(
  border: string,
  width: number,
  height: number,
  map: ActivationMap | undefined,
  settings: DeflectionSettings,
  source: UniformSource,
  list: DeflectionList,
): void {
  if (border === 'reject') {
    drawDeflections(width, height, map, settings, source, list);
  } else if (border === 'official_inside') {
    drawDeflections(width, height, map, { ...settings, deflection: 'official' }, source, list);
    list.perChannel = false;
    list.count = settings.deflections;
  } else {
    assert.equal(border, 'clamp');
    const spec: Trace = { rule: 'paper', border: 'clamp', window: settings.window, deflections: settings.deflections };
    const steps = replayDraws(height, width, new Float32Array(width * height).fill(-1), spec, () => source.uniform());
    list.reset(steps.length, false);
    list.count = steps.length;
    steps.forEach(({ target, source: from }, i) => {
      list.targets[i] = target[0] * width + target[1];
      list.sources[i] = from![0] * width + from![1];
    });
  }
}

function expectMoments(name: string, values: readonly number[], expected: Moments, runs: number, golden: GoldenCase) {
  const mean = values.reduce((a, b) => a + b) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  const standardError = Math.sqrt(expected.variance / runs + variance / values.length);
  const allowed = golden.tolerance.mean_within_standard_errors! * standardError;
  assert.ok(Math.abs(mean - expected.mean) <= allowed, `${name}: mean ${mean} for ${expected.mean}`);
  if (expected.mean_exact !== undefined) {
    const own = golden.tolerance.mean_within_standard_errors! * Math.sqrt(variance / values.length);
    assert.ok(Math.abs(mean - expected.mean_exact) <= own, `${name}: mean ${mean} for ${expected.mean_exact} exactly`);
  }
  if (expected.variance === 0) assert.equal(variance, 0);
  else {
    const [low, high] = golden.tolerance.variance_ratio!;
    const ratio = variance / expected.variance;
    assert.ok(ratio >= low && ratio <= high, `${name}: variance ratio ${ratio}`);
  }
}

// --- wavelet transform ----------------------------------------------------------------------------------------------

function decomposition(golden: GoldenCase): void {
  const { wavelet, level, channel } = golden.parameters;
  const plane = goldenPlane(inputOf(golden), channel);
  const filters = waveletFilters(wavelet);
  const result = decompose(plane, filters, level);
  const { data } = goldenValues(golden.output!);
  for (const { level: at, band, shape, offset } of golden.subbands!) {
    const details = result.details[at - 1]!;
    const { A, H, V, D } = {
      A: result.approximation,
      H: details.horizontal,
      V: details.vertical,
      D: details.diagonal,
    };
    const actual = { A, H, V, D }[band];
    assert.deepEqual([actual.height, actual.width], shape);
    assertClose(actual.data, data.subarray(offset, offset + shape[0] * shape[1]), golden.tolerance.abs!);
  }
  assertClose(reconstruct(result, filters).data, plane.data, 1e-11);
}

function reconstruction(golden: GoldenCase): void {
  const { wavelet, level, detail_scale: scale } = golden.parameters;
  const { data } = goldenValues(inputOf(golden));
  const band = (at: number, name: string): Grid => {
    const { shape, offset } = golden.subbands!.find(subband => subband.level === at && subband.band === name)!;
    const values = data.slice(offset, offset + shape[0] * shape[1]);
    return { width: shape[1], height: shape[0], data: name === 'A' ? values : values.map(value => value * scale) };
  };
  const details = Array.from({ length: level }, (_, i) => ({
    horizontal: band(i + 1, 'H'),
    vertical: band(i + 1, 'V'),
    diagonal: band(i + 1, 'D'),
  }));
  const [height, width] = golden.shape as [number, number];
  const plane = reconstruct({ width, height, approximation: band(level, 'A'), details }, waveletFilters(wavelet));
  expectOutput(golden, plane.data);
}

function filterBank(golden: GoldenCase): void {
  const expected = golden.expected as Record<string, Record<string, number[]>>;
  for (const [name, bank] of Object.entries(expected)) {
    const filters = waveletFilters(name);
    assertClose(filters.decLow, bank.dec_lo!, golden.tolerance.abs!);
    assertClose(filters.decHigh, bank.dec_hi!, golden.tolerance.abs!);
    assertClose(filters.recLow, bank.rec_lo!, golden.tolerance.abs!);
    assertClose(filters.recHigh, bank.rec_hi!, golden.tolerance.abs!);
  }
}

function levels(golden: GoldenCase): void {
  const rows = golden.expected as { wavelet: string; shape: [number, number]; skimage_levels: number }[];
  for (const { wavelet, shape, skimage_levels } of rows) {
    assert.equal(defaultLevels(shape[1], shape[0], waveletFilters(wavelet).length), skimage_levels);
  }
}

// --- activation maps ------------------------------------------------------------------------------------------------

function network(golden: GoldenCase) {
  const [featuresFile, weightsFile] = golden.input as readonly [string, string];
  const features = goldenValues(featuresFile);
  const weights = goldenValues(weightsFile);
  const [channels, height, width] = features.shape as [number, number, number];
  return {
    features: { channels, height, width, data: features.data },
    head: { classes: weights.shape[0]!, channels, weights: weights.data },
  };
}

function classMaps(golden: GoldenCase): void {
  const { features, head } = network(golden);
  const maps = golden.parameters.classes.flatMap(label => [...weightedClassMaps(features, head, [label], [1]).data]);
  expectOutput(golden, maps);
}

function robustMap(golden: GoldenCase): void {
  const { features, head } = network(golden);
  const { classes } = golden.parameters;
  expectOutput(golden, weightedClassMaps(features, head, classes, halvingWeights(classes.length)).data);
}

function normalisedMap(golden: GoldenCase): void {
  const { features, head } = network(golden);
  const { classes, size, resize, normalise } = golden.parameters;
  const [height, width] = size;
  const weights = halvingWeights(classes.length);
  const grid =
    normalise === 'divide_by_max'
      ? resizeBilinear(weightedClassMaps(features, head, classes, weights), width, height, resize)
      : weightedUnitMaps(features, head, classes, weights, width, height, resize);
  expectOutput(golden, divideByMax(grid)!.data);
}

/** The map of the authors' earlier code, of two classes, the heavier weight on the second. */
function twoClassMap(golden: GoldenCase): void {
  const { features, head } = network(golden);
  const { classes, size, resize } = golden.parameters;
  const [height, width] = size;
  const grid = weightedUnitMaps(features, head, classes, [1 / 3, 2 / 3], width, height, resize);
  expectOutput(golden, stretchToUnit(grid)!.data);
}

// --- thresholds -----------------------------------------------------------------------------------------------------

interface ExpectedThresholds {
  readonly sigma: number;
  readonly visu: number;
  readonly subbands: readonly {
    readonly level: number;
    readonly band: 'H' | 'V' | 'D';
    readonly shape: readonly number[];
    readonly bayes: number;
    readonly bayes_floor_used: boolean;
    readonly sure: number;
  }[];
}

function thresholds(golden: GoldenCase): void {
  const { wavelet, level, plane: name, sigma } = golden.parameters;
  const plane = planeNamed(inputOf(golden), name);
  const result = decompose(plane, waveletFilters(wavelet), level);
  const expected = golden.expected as ExpectedThresholds;
  const tolerance = golden.tolerance.rel!;
  const deviation = sigma ?? estimateSigma(result.details[0]!.diagonal.data);
  assertRelative(deviation, expected.sigma, tolerance, 'sigma');
  assertRelative(visuThreshold(deviation, plane.data.length), expected.visu, tolerance, 'visu');
  assert.equal(expected.subbands.length, 3 * level);
  for (const { level: at, band, shape, bayes, bayes_floor_used, sure } of expected.subbands) {
    const details = result.details[at - 1]!;
    const { height, width, data } = { H: details.horizontal, V: details.vertical, D: details.diagonal }[band];
    assert.deepEqual([height, width], shape);
    const what = `${band}${at}`;
    if (bayes_floor_used) {
      const greatest = data.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      assert.ok(bayesThreshold(data, deviation) > greatest, what);
    } else {
      assertRelative(bayesThreshold(data, deviation), bayes, tolerance, `bayes ${what}`);
    }
    assertRelative(sureThreshold(data, deviation), sure, tolerance, `sure ${what}`);
  }
}

function planeNamed(path: string, name: GoldenCase['parameters']['plane']): Grid {
  if (name === null) return goldenPlane(path, null);
  if (name === 'R' || name === 'G' || name === 'B') return goldenPlane(path, 'RGB'.indexOf(name));
  const plane = rgbToYcbcr(goldenPlanes(path))[['Y', 'Cb', 'Cr'].indexOf(name)]!;
  const { min, range } = rangeOf(plane);
  return { ...plane, data: plane.data.map(value => (value - min) / range) };
}

function sigmas(golden: GoldenCase): void {
  const { wavelet, level } = golden.parameters;
  const path = inputOf(golden);
  const planes = goldenArray(path).shape.length === 2 ? [goldenPlane(path, null)] : goldenPlanes(path);
  const expected = golden.expected as readonly number[];
  assert.equal(planes.length, expected.length);
  planes.forEach((plane, i) => {
    const { details } = decompose(plane, waveletFilters(wavelet), level);
    assertRelative(estimateSigma(details[0]!.diagonal.data), expected[i]!, golden.tolerance.rel!, `plane ${i}`);
  });
}

function modernSigmas(golden: GoldenCase): void {
  const expected = golden.expected as readonly number[];
  rgbToYcbcr(goldenPlanes(inputOf(golden))).forEach((plane, i) => {
    const actual = modernSigma(golden.parameters.sigma!, i as 0 | 1 | 2, rangeOf(plane).range);
    assertRelative(actual, expected[i]!, golden.tolerance.rel!, `plane ${i}`);
  });
}

function thresholdApply(golden: GoldenCase): void {
  const { data } = goldenValues(inputOf(golden));
  (golden.parameters.mode === 'soft' ? softThreshold : hardThreshold)(data, golden.parameters.threshold);
  expectOutput(golden, data);
}

// --- whole denoising ------------------------------------------------------------------------------------------------

function denoised(golden: GoldenCase): void {
  const { method, mode, wavelet, convert2ycbcr, sigma } = golden.parameters;
  const legacy = golden.operation === 'denoise_wavelet_legacy';
  const settings = {
    sigma,
    wavelet,
    levels: null,
    shrink: ({ BayesShrink: 'bayes', VisuShrink: 'visu', SureShrink: 'sure' } as const)[method],
    threshold: mode as 'soft' | 'hard',
    variant: legacy ? ('legacy' as const) : ('modern' as const),
  };
  const rgb = goldenPlanes(inputOf(golden));
  // Without conversion to YCbCr, which Deflector always makes, each channel is denoised as it is.
  const clip = (value: number) => (legacy ? Math.min(Math.max(value, 0), 1) : value);
  const result = convert2ycbcr
    ? denoise(rgb, settings)
    : (rgb.map(plane => {
        const grid = denoisePlane(plane, settings, sigma);
        return { ...grid, data: grid.data.map(clip) };
      }) as unknown as Planes);
  expectOutput(golden, interleave(result, golden.output_step));
}
