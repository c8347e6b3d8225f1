/** The reference values of test/goldens (see its README): made with Python libraries, one case a line of index.json. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Grid, Planes } from '../../src/defense/grid.js';
import { type NpyArray, readNpy } from './npy.js';
import { fromRoot } from './root.js';

const FOLDER = fromRoot('test/goldens');

/** Parameters of a case: those that its operation has. */
export interface GoldenParameters {
  readonly pre: string;
  readonly wavelet: string;
  readonly level: number;
  readonly channel: number | null;
  readonly detail_scale: number;
  readonly plane: 'Y' | 'Cb' | 'Cr' | 'R' | 'G' | 'B' | null;
  readonly sigma: number | null;
  readonly threshold: number;
  readonly mode: string;
  readonly method: 'BayesShrink' | 'VisuShrink' | 'SureShrink';
  readonly convert2ycbcr: boolean;
  readonly classes: readonly number[];
  readonly size: readonly [height: number, width: number];
  readonly resize: 'half_pixel' | 'align_corners' | 'asymmetric';
  readonly normalise: string;
  readonly rule: string;
  readonly border: string;
  readonly window: number;
  readonly map: string;
  readonly deflections: number | readonly number[];
}

export interface GoldenCase {
  readonly name: string;
  readonly group: string;
  readonly operation: string;
  readonly parameters: GoldenParameters;
  readonly input: string | readonly string[] | null;
  readonly output: string | null;
  readonly dtype: string | null;
  readonly shape: readonly number[] | null;
  readonly tolerance: Readonly<Record<string, number>> & { readonly variance_ratio?: readonly [number, number] };
  /** Plain numbers in place of an output file; their form depends on the operation. */
  readonly expected?: unknown;
  readonly output_step?: number;
  readonly subbands?: readonly Subband[];
  readonly max_level?: number;
  readonly uniforms?: string;
  readonly steps?: string;
  readonly uniforms_used?: number;
  readonly steps_taken?: number;
  readonly steps_deflected?: number;
  readonly pixels_changed?: readonly number[];
}

/** Where a sub-band lies in a file of joined sub-bands. */
export interface Subband {
  readonly level: number;
  readonly band: 'A' | 'H' | 'V' | 'D';
  readonly shape: readonly [height: number, width: number];
  readonly offset: number;
}

export interface GoldenIndex {
  /** Cases in each group. */
  readonly counts: Readonly<Record<string, number>>;
  readonly cases: readonly GoldenCase[];
}

export const GOLDENS: GoldenIndex = JSON.parse(readFileSync(join(FOLDER, 'index.json'), 'utf8'));

/** An array by its path in the index. */
export function goldenArray(path: string): NpyArray {
  return readNpy(join(FOLDER, path));
}

/** An array as the cases mean it: bytes stand for value / 255. */
export function goldenValues(path: string): { readonly shape: readonly number[]; readonly data: Float64Array } {
  const { dtype, shape, data } = goldenArray(path);
  return { shape, data: Float64Array.from(data, value => (dtype === 'uint8' ? value / 255 : value)) };
}

/** One channel of [H,W,C], or all of [H,W]. */
export function goldenPlane(path: string, channel: number | null): Grid {
  const { shape, data } = goldenValues(path);
  const [height, width, channels = 1] = shape as [number, number, number?];
  assert.equal(channel === null, shape.length === 2);
  return { width, height, data: data.filter((_, i) => i % channels === (channel ?? 0)) };
}

export function goldenPlanes(path: string): Planes {
  return [goldenPlane(path, 0), goldenPlane(path, 1), goldenPlane(path, 2)];
}

/** [H,W,3], every `step`-th row and column. */
export function interleave(planes: Planes, step = 1): Float64Array {
  const { width, height } = planes[0];
  const values: number[] = [];
  for (let y = 0; y < height; y += step) {
    for (let x = 0; x < width; x += step) for (const plane of planes) values.push(plane.data[y * width + x]!);
  }
  return Float64Array.from(values);
}

/** Asserts that the largest absolute difference is at most `tolerance`. */
export function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  assert.equal(actual.length, expected.length);
  let worst = 0;
  let place = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    if (!(difference <= worst)) [worst, place] = [difference, i];
  }
  assert.ok(worst <= tolerance, `differs by ${worst} at ${place}: ${actual[place]} for ${expected[place]}`);
}

/** Asserts |actual - expected| <= tolerance * |expected|. */
export function assertRelative(actual: number, expected: number, tolerance: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= tolerance * Math.abs(expected), `${what}: ${actual} for ${expected}`);
}
