/**
 * Non-local means on RGB. Buades, Coll, Morel, 'A Non-Local Algorithm for Image Denoising', CVPR 2005: each pixel becomes
 * the mean of the pixels of its search window, weighed by exp(-d), d the mean squared difference of the patches around
 * the two pixels, over patch and channels, divided by h^2.
 *
 * `formula` and `formulagauss` are that, with uniform and with Gaussian patch weights (deviation (patch - 1) / 4). The others
 * repeat scikit-image, whose approximations move the result by up to 0.3: `skimage` is its fast mode (patches of
 * side patch - 1, divided as if they had side patch; distances above 5 dropped; search into the mirrored border),
 * `skimage015` the fast mode of releases up to 0.15 (a pixel counts twice for itself), `skimageslow` its slow mode
 * (Gaussian weights; dropped where the distance without the patch's last row is above 5). All three take the
 * exponential by the shortcut of Schraudolph, 'A Fast, Compact Approximation of the Exponential Function', 1999.
 */
import { averageByPatches, type PatchAverage, tabulate } from './patch-average.js';
import { plane } from './planes.js';
import { choice, decimal, defineStep, integer } from './step.js';

export type PatchVariant = 'formula' | 'formulagauss' | 'skimage' | 'skimage015' | 'skimageslow';

export interface NonLocalMeansParameters {
  /** Side of the patches in pixels, odd. */
  readonly patch: number;
  /** Largest distance of the search in pixels along each axis. */
  readonly distance: number;
  /** Filter strength on the [0,1] scale. */
  readonly h: number;
  readonly variant: PatchVariant;
}

/**
 * Filters in place.
 *
 * @param planes float32, planar [3, height, width]
 */
export function nonLocalMeans(
  planes: Float32Array,
  width: number,
  height: number,
  parameters: NonLocalMeansParameters,
): void {
  const channels = [0, 1, 2].map(c => plane(planes, c, width, height));
  averageByPatches(channels, width, height, averageOf(parameters));
}

/** Where exp(-d) no longer matters in double precision sums of some hundred weights. */
const NEGLIGIBLE = 30;

function averageOf({ patch, distance, h, variant }: NonLocalMeansParameters): PatchAverage {
  const half = patch >> 1;
  const common = { reach: distance, furthestBeforeLastRow: Number.POSITIVE_INFINITY, own: 1 } as const;
  if (variant === 'skimage' || variant === 'skimage015') {
    const own = approximateExponential(0);
    return {
      ...common,
      before: half - 1,
      after: half,
      profile: undefined,
      search: 'mirrored',
      scale: 1 / (3 * h * h * patch * patch),
      table: tabulate(approximateExponential, 5),
      furthest: 5,
      own: variant === 'skimage' ? own : 2 * own,
    };
  }
  const exact = variant === 'formula' || variant === 'formulagauss';
  const profile = variant === 'formula' ? undefined : gaussian(patch);
  const total = profile === undefined ? patch * patch : profile.reduce((sum, weight) => sum + weight, 0) ** 2;
  return {
    ...common,
    before: half,
    after: half,
    profile,
    search: 'inside',
    scale: 1 / (3 * h * h * total),
    table: tabulate(exact ? d => Math.exp(-d) : approximateExponential, NEGLIGIBLE),
    furthest: NEGLIGIBLE,
    ...(exact ? {} : { furthestBeforeLastRow: 5, own: approximateExponential(0) }),
  };
}

function gaussian(patch: number): Float64Array {
  const half = patch >> 1;
  const deviation = (patch - 1) / 4;
  return Float64Array.from({ length: patch }, (_, i) => Math.exp(-((i - half) ** 2) / (2 * deviation * deviation)));
}

/** exp(-distance) with the exponent's bits of a double as a linear function (Schraudolph 1999, least RMS error). */
function approximateExponential(distance: number): number {
  const high = Math.trunc(-distance * (1048576 / Math.LN2)) + 1023 * 1048576 - 60801;
  const exponent = Math.floor(high / 1048576);
  return 2 ** (exponent - 1023) * (high / 1048576 - exponent + 1);
}

export const nonLocalMeansRgb = defineStep({
  name: 'nlmrgb',
  parameters: {
    radius: integer(3, 1, 15),
    distance: integer(11, 1, 50),
    h: decimal(0.1, 0.0001, 10),
    variant: choice('formula', 'formulagauss', 'skimage', 'skimage015', 'skimageslow'),
  },
  apply(planes, width, height, { radius, distance, h, variant }) {
    nonLocalMeans(planes, width, height, { patch: 2 * radius + 1, distance, h, variant });
  },
});
