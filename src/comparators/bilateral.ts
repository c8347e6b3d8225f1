/**
 * Bilateral filter. Tomasi and Manduchi, 'Bilateral Filtering for Gray and Color Images', ICCV 1998: the mean over a
 * window with weights exp(-|p - q|^2 / 2 s_spatial^2) exp(-|I(p) - I(q)|^2 / 2 s_colour^2), the colour distance taken in
 * RGB jointly. Table 9 of the Pixel Deflection paper.
 *
 * The paper's row was made with scikit-image, whose two tables are not what the formula says. Both readings are kept as
 * `tables`: `skimage` (0.16 and later) reads a spatial table of side window + 1, and `skimage015` one of side
 * 2 window + 1, both with row stride window, so that the weights are not centred; both divide the colour distance by
 * three. In 0.15 the colour table moreover ends at 1/bins of the range, so that colour hardly matters and the filter is
 * a fixed blur.
 */
import { blackOutside, clampToEdge, pad, plane } from './planes.js';
import { choice, decimal, decimalOr, defineStep, integer } from './step.js';

/** How a bilateral filter weighs. */
export interface BilateralParameters {
  /** Side of the square window in pixels, odd. */
  readonly window: number;
  /** Standard deviation of the colour weight on the [0,1] scale; `auto` takes that of all values of the image. */
  readonly colour: number | 'auto';
  /** Standard deviation of the spatial weight in pixels. */
  readonly spatial: number;
  /** Outside counts as black, or as the nearest edge pixel. */
  readonly border: 'black' | 'edge';
  readonly tables: 'gaussian' | 'skimage' | 'skimage015';
  /** Resolution of the colour table; the exact weights of `gaussian` take none. */
  readonly bins: number;
}

/**
 * Filters in place.
 *
 * @param planes float32, planar [3, height, width], in [0, 1]
 */
export function bilateralFilter(
  planes: Float32Array,
  width: number,
  height: number,
  { window, colour, spatial, border, tables, bins }: BilateralParameters,
): void {
  const { deviation, most } = spread(planes);
  if (deviation === 0) return;
  const sigma = colour === 'auto' ? deviation : colour;
  const radius = window >> 1;
  const stride = width + 2 * radius;
  const outside = border === 'black' ? blackOutside : clampToEdge;
  const [red, green, blue] = [0, 1, 2].map(c => pad(plane(planes, c, width, height), width, height, radius, outside));
  const near = spatialTable(window, spatial, tables);
  const table = tables === 'gaussian' ? undefined : colourTable(tables, sigma, most, bins);
  // scikit-image divides the number of bins by the channels as integers.
  const binsPerUnit = Math.floor(bins / 3) / most;
  const exponent = -0.5 / sigma ** 2;
  const area = width * height;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const centre = (y + radius) * stride + x + radius;
      const r0 = red![centre]!;
      const g0 = green![centre]!;
      const b0 = blue![centre]!;
      let [r, g, b, total] = [0, 0, 0, 0];
      for (let row = 0, k = 0; row < window; row++) {
        for (let column = 0, at = (y + row) * stride + x; column < window; column++, k++, at++) {
          const r1 = red![at]!;
          const g1 = green![at]!;
          const b1 = blue![at]!;
          const square = (r1 - r0) ** 2 + (g1 - g0) ** 2 + (b1 - b0) ** 2;
          const alike =
            table === undefined
              ? Math.exp(square * exponent)
              : table[Math.min(Math.floor(Math.sqrt(square) * binsPerUnit), bins - 1)]!;
          const weight = near[k]! * alike;
          r += weight * r1;
          g += weight * g1;
          b += weight * b1;
          total += weight;
        }
      }
      const at = y * width + x;
      planes[at] = r / total;
      planes[at + area] = g / total;
      planes[at + 2 * area] = b / total;
    }
  }
}

function spatialTable(window: number, sigma: number, tables: BilateralParameters['tables']): Float64Array {
  const half = (window - 1) / 2;
  const [side, first] =
    tables === 'gaussian'
      ? [window, -half]
      : tables === 'skimage'
        ? [window + 1, -half - 1]
        : [2 * window + 1, -window];
  return Float64Array.from({ length: window * window }, (_, k) => {
    const row = first + Math.floor(k / side);
    const column = first + (k % side);
    return Math.exp((-0.5 * (row * row + column * column)) / sigma ** 2);
  });
}

function colourTable(tables: 'skimage' | 'skimage015', sigma: number, most: number, bins: number): Float64Array {
  const end = tables === 'skimage' ? most : most / bins;
  return Float64Array.from({ length: bins }, (_, bin) => Math.exp(-0.5 * ((bin * end) / bins / sigma) ** 2));
}

function spread(values: Float32Array): { deviation: number; most: number } {
  let most = 0;
  let sum = 0;
  for (const value of values) {
    sum += value;
    if (value > most) most = value;
  }
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  // A constant image gives a rounding residue rather than 0.
  const deviation = Math.sqrt(squares / values.length);
  return { deviation: deviation > 1e-9 ? deviation : 0, most };
}

export const bilateral = defineStep({
  name: 'bilateral',
  parameters: {
    radius: integer(3, 1, 15),
    spatial: decimal(1, 0.01, 100),
    colour: decimalOr('auto', 0.001, 10),
    border: choice('edge', 'black'),
    tables: choice('gaussian', 'skimage', 'skimage015'),
  },
  apply(planes, width, height, { radius, spatial, colour, border, tables }) {
    bilateralFilter(planes, width, height, { window: 2 * radius + 1, spatial, colour, border, tables, bins: 1000 });
  },
});
