/** Images and settings for tests of the kernel, drawn by fast-check. */
import fc from 'fast-check';
import { type DefenceSettings, PAPER_SETTINGS } from '../../src/defense/settings.js';
import type { ActivationMap, RgbImage } from '../../src/types.js';

/** A small deterministic generator for pixels: fast-check shrinks sizes and seeds, not bytes. */
function* bytes(seed: number): Generator<number> {
  let state = seed >>> 0;
  for (;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state >>> 24;
  }
}

export type Texture = 'smooth' | 'noise' | 'flat' | 'saturated' | 'grey';

/** An image of one of five kinds: what photographs have, and what breaks scales and ranges. */
export function texturedImage(width: number, height: number, texture: Texture, seed: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  const next = bytes(seed);
  const random = () => next.next().value as number;
  const base = [random(), random(), random()];
  for (let p = 0; p < width * height; p++) {
    const [x, y] = [p % width, Math.floor(p / width)];
    for (let c = 0; c < 3; c++) {
      const wave = 128 + 70 * Math.sin(x / (7 + c) + base[c]!) + 40 * Math.cos(y / (5 + c)) + (random() % 20) - 10;
      data[p * 3 + c] = {
        smooth: Math.round(Math.min(255, Math.max(0, wave))),
        noise: random(),
        flat: base[c]!,
        saturated: random() < 128 ? 0 : 255,
        grey: c === 0 ? Math.round(Math.min(255, Math.max(0, wave))) : data[p * 3]!,
      }[texture];
    }
  }
  return { width, height, data };
}

export function randomMap(width: number, height: number, seed: number): ActivationMap {
  const next = bytes(seed);
  return {
    width,
    height,
    data: Float32Array.from({ length: width * height }, () => (next.next().value as number) / 255),
  };
}

/** Sizes from one pixel to some groups of sixteen, with lines of one pixel. */
const anySize = fc.oneof(
  fc.record({ width: fc.integer({ min: 1, max: 70 }), height: fc.integer({ min: 1, max: 70 }) }),
  fc.record({ width: fc.constant(1), height: fc.integer({ min: 1, max: 200 }) }),
  fc.record({ width: fc.integer({ min: 1, max: 200 }), height: fc.constant(1) }),
);

export const anyImage = fc
  .tuple(
    anySize,
    fc.constantFrom<Texture>('smooth', 'smooth', 'noise', 'flat', 'saturated', 'grey'),
    fc.integer({ min: 0, max: 0xffff_ffff }),
  )
  .map(([{ width, height }, texture, seed]) => texturedImage(width, height, texture, seed));

/** Settings of the paper with some of them drawn. */
function settingsWith(
  draws: Partial<{ [K in keyof DefenceSettings]: fc.Arbitrary<DefenceSettings[K]> }>,
): fc.Arbitrary<DefenceSettings> {
  return fc.record(draws as Record<string, fc.Arbitrary<unknown>>).map(some => ({
    ...PAPER_SETTINGS,
    seed: 'test',
    ...some,
    // The threshold of SureShrink is one of the magnitudes: at some strengths two risks are equal but for a rounding.
    ...(some.shrink === 'sure' ? { strength: PAPER_SETTINGS.strength } : {}),
  })) as fc.Arbitrary<DefenceSettings>;
}

/** What makes runs of `denoise` differ, and where the map spares details. */
const denoising = {
  strength: fc.constantFrom<DefenceSettings['strength']>([1, 1], [1, 1], [0.5, 2], [1.5, 1.5]),
  spin: fc.constantFrom(0, 0, 0, 1, 3),
  spare: fc.constantFrom(0, 0, 0.6, 1),
};

/** Settings that every path reads. */
const deflecting = {
  deflections: fc.oneof(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 3000 })),
  window: fc.integer({ min: 1, max: 40 }),
  variant: fc.constantFrom('legacy', 'modern'),
  deflection: fc.constantFrom('paper', 'paper', 'official', 'none'),
  sampling: fc.constantFrom('uniform', 'gaussian'),
} as const;

/** What the fast path computes, with a given noise. */
export const haarSettings = settingsWith({
  ...deflecting,
  ...denoising,
  sigma: fc.constantFrom(0.04, 0.04, 0.01, 0.1, 0.5, 0),
  levels: fc.constantFrom(null, null, 1, 2, 3, 6, 11),
  shrink: fc.constantFrom('bayes', 'bayes', 'visu', 'none'),
  threshold: fc.constantFrom('soft', 'soft', 'hard'),
  replace: fc.constantFrom('random', 'random', 'min', 'max'),
});

/** Everything else: other wavelets, SureShrink, other orders of steps, the mean of a window. */
export const otherSettings = settingsWith({
  ...deflecting,
  ...denoising,
  sigma: fc.constantFrom(0.04, 0.04, 0.1, 0),
  wavelet: fc.constantFrom('db1', 'db1', 'db2', 'db3', 'db8', 'db10', 'sym4', 'coif1', 'coif3'),
  levels: fc.constantFrom(null, null, 1, 2, 3),
  shrink: fc.constantFrom('bayes', 'visu', 'sure', 'none'),
  replace: fc.constantFrom('random', 'min', 'max', 'mean'),
  order: fc.constantFrom<DefenceSettings['order']>(
    ['deflect', 'denoise'],
    ['denoise', 'deflect'],
    ['deflect'],
    ['denoise'],
    [],
    ['deflect', 'denoise', 'deflect', 'denoise'],
    ['deflect', 'deflect'],
  ),
});

/** Rival steps that are continuous: one rounding of what they are given moves what they give by no more than that. */
const CONTINUOUS = [
  'none',
  'median',
  'median:3',
  'tv:0.1-5',
  'wiener',
  'anisotropic:3',
  'crop',
  'crop:0.7',
  'crop:0.8-0.95',
  'flip',
  'rescale',
  'resizepad',
];
/** Rival steps that round to levels: here only where what they are given is exact. */
const ROUNDING = ['jpeg', 'jpeg:20-444', 'bits:3', 'bits:8'];

const steps = (names: readonly string[], maxLength: number) => fc.array(fc.constantFrom(...names), { maxLength });

/** The defence's own steps and its rivals, in any order and number. */
export const rivalSettings = settingsWith({
  ...deflecting,
  ...denoising,
  sigma: fc.constantFrom(0.04, 0.1),
  wavelet: fc.constantFrom('db1', 'db1', 'db1', 'db2', 'coif1'),
  shrink: fc.constantFrom('bayes', 'visu', 'none'),
  replace: fc.constantFrom('random', 'min', 'mean'),
  order: fc
    .tuple(
      steps([...ROUNDING, 'none', 'median:3'], 2),
      fc.oneof(fc.constant(['deflect', 'denoise']), steps(['deflect', 'denoise', ...CONTINUOUS], 4)),
    )
    .map(([exact, rest]) => [...exact, ...rest]),
});

/** The noise is estimated from the image. */
export const estimatingSettings = settingsWith({
  ...deflecting,
  ...denoising,
  sigma: fc.constant(null),
  wavelet: fc.constantFrom('db1', 'db1', 'db2', 'sym4'),
  shrink: fc.constantFrom('bayes', 'visu', 'sure'),
});
