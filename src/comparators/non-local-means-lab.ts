/**
 * Non-local means as Table 4 writes it, (11-3-2) and (13-3-4): search window, patch, strength. Xu, Evans, Qi, 'Feature
 * Squeezing', NDSS 2018, use OpenCV's fastNlMeansDenoisingColored with these three numbers; its algorithm is Buades,
 * Coll, Morel, 'Non-Local Means Denoising', IPOL 2011: 8-bit CIE Lab, L by itself and a, b together; weights
 * exp(-d / (channels h^2)), d the mean squared distance of the patches; those below 0.001 dropped; the search runs into
 * the mirrored border.
 */
import { averageByPatches, tabulate } from './patch-average.js';
import { plane } from './planes.js';
import { decimal, defineStep, integer } from './step.js';

export interface LabMeansParameters {
  /** Side of the search window in pixels, odd. */
  readonly search: number;
  /** Side of the patches in pixels, odd. */
  readonly patch: number;
  /** Filter strength in 8-bit steps of Lab, the same for L and for a, b. */
  readonly h: number;
}

const LEAST_WEIGHT = 0.001;

/**
 * Filters in place; the result has 8 bits a channel, as the input is taken to have.
 *
 * @param planes float32, planar [3, height, width], in [0, 1]
 */
export function nonLocalMeansLab(
  planes: Float32Array,
  width: number,
  height: number,
  { search, patch, h }: LabMeansParameters,
): void {
  const [l, a, b] = [0, 1, 2].map(c => plane(planes, c, width, height)) as [Float32Array, Float32Array, Float32Array];
  toLab(l, a, b);
  const half = patch >> 1;
  const furthest = -Math.log(LEAST_WEIGHT);
  const common = {
    before: half,
    after: half,
    profile: undefined,
    reach: search >> 1,
    search: 'mirrored',
    table: tabulate(distance => Math.exp(-distance), furthest),
    furthest,
    furthestBeforeLastRow: Number.POSITIVE_INFINITY,
    own: 1,
  } as const;
  const scale = 1 / (patch * patch * h * h);
  averageByPatches([l], width, height, { ...common, scale });
  averageByPatches([a, b], width, height, { ...common, scale: scale / 2 });
  fromLab(l, a, b);
}

// CIE 1931 XYZ of the sRGB primaries under D65 (IEC 61966-2-1), and its white point.
const WHITE_X = 0.950456;
const WHITE_Z = 1.088754;

/**
 * RGB in [0,1], taken as linear, to 8-bit Lab (L scaled by 255/100, a and b moved by 128), in place. The rounding of
 * intermediate values is OpenCV's, for a step of a or b is up to two steps of RGB: XYZ to 1/8 of a level, the factor of L
 * (295.8) to 296.
 */
function toLab(red: Float32Array, green: Float32Array, blue: Float32Array): void {
  const root = Float64Array.from({ length: 255 * 8 * 2 }, (_, i) => lightness(i / (255 * 8)));
  for (let i = 0; i < red.length; i++) {
    const r = 8 * Math.round(red[i]! * 255);
    const g = 8 * Math.round(green[i]! * 255);
    const b = 8 * Math.round(blue[i]! * 255);
    const x = root[Math.round((0.412453 * r + 0.35758 * g + 0.180423 * b) / WHITE_X)]!;
    const y = root[Math.round(0.212671 * r + 0.71516 * g + 0.072169 * b)]!;
    const z = root[Math.round((0.019334 * r + 0.119193 * g + 0.950227 * b) / WHITE_Z)]!;
    red[i] = Math.min(255, Math.max(0, Math.round(296 * y - 40.8)));
    green[i] = Math.round(500 * (x - y) + 128);
    blue[i] = Math.round(200 * (y - z) + 128);
  }
}

/** The way back, in place; the Lab values are rounded to 8 bits before and the RGB values cut to 8 bits after. */
function fromLab(first: Float32Array, second: Float32Array, third: Float32Array): void {
  for (let i = 0; i < first.length; i++) {
    const y = (Math.round(first[i]!) / 2.55 + 16) / 116;
    const x = unlightness(y + (Math.round(second[i]!) - 128) / 500) * WHITE_X;
    const z = unlightness(y - (Math.round(third[i]!) - 128) / 200) * WHITE_Z;
    const luminance = unlightness(y);
    first[i] = toByte(3.240479 * x - 1.53715 * luminance - 0.498535 * z);
    second[i] = toByte(-0.969256 * x + 1.875991 * luminance + 0.041556 * z);
    third[i] = toByte(0.055648 * x - 0.204043 * luminance + 1.057311 * z);
  }
}

/** CIE 15: the cube root, with a straight line near black. */
function lightness(t: number): number {
  return t > 216 / 24389 ? Math.cbrt(t) : (24389 / 27 / 116) * t + 16 / 116;
}

function unlightness(f: number): number {
  return f > 6 / 29 ? f ** 3 : (f - 16 / 116) / (24389 / 27 / 116);
}

/** OpenCV rounds linear values to 12 bits and cuts them, not rounds, to 8. */
function toByte(value: number): number {
  const fine = Math.min(4095, Math.max(0, Math.round(value * 4096)));
  return Math.floor((255 * fine) / 4095) / 255;
}

export const nonLocalMeansTable4 = defineStep({
  name: 'nlm',
  shown: 3,
  parameters: { search: integer(11, 1, 51), patch: integer(3, 1, 21), h: decimal(2, 0.01, 255) },
  apply(planes, width, height, parameters) {
    nonLocalMeansLab(planes, width, height, parameters);
  },
});
