/**
 * Activation maps: how strongly each place of an image speaks for the classes the model sees (the paper, section 6.1).
 */
import type { ActivationMap, ClassifierHead, FeatureMaps } from '../types.js';
import type { Grid } from './grid.js';
import type { DefenceSettings } from './settings.js';

/** Feature maps or weights in single or double precision: networks give the one, reference values have the other. */
type Wide<T> = { readonly [K in keyof T]: T[K] extends Float32Array ? Float32Array | Float64Array : T[K] };

/**
 * How places of the large grid lie on the small one (names and formulas of ONNX Resize). Deflector uses `half_pixel`,
 * which aligns the outer edges; the authors' TensorFlow had `asymmetric`.
 */
export type Alignment = 'half_pixel' | 'align_corners' | 'asymmetric';

/** Weights of the classes in the authors' maps, the top class first. Their last is .075 where halving gives .03125. */
const OFFICIAL_WEIGHTS = [0.5, 0.25, 0.125, 0.0625, 0.075];

/**
 * Classes with the highest scores.
 *
 * @param scores one for each class, logits or probabilities
 * @returns at most `count` indices, the highest score first; the lower index where two are equal
 */
export function topClasses(scores: Float32Array | Float64Array, count: number): number[] {
  const top: number[] = [];
  for (let c = 0; c < scores.length; c++) {
    if (top.length === count && !(scores[c]! > scores[top[count - 1]!]!)) continue;
    let place = Math.min(top.length, count - 1);
    for (; place > 0 && scores[c]! > scores[top[place - 1]!]!; place--) top[place] = top[place - 1]!;
    top[place] = c;
  }
  return top;
}

/**
 * Equation 5 before normalisation: the weighted sum of the classes' maps M_c(x,y) = sum_k w[c,k] f_k(x,y) (equation 4).
 * The weights are summed first, so that the features are read once however many classes there are.
 *
 * @param classes indices into the head, the top class first
 * @param weights one for each class
 * @returns a grid of the features' size
 */
export function weightedClassMaps(
  features: Wide<FeatureMaps>,
  head: Wide<ClassifierHead>,
  classes: readonly number[],
  weights: readonly number[],
): Grid {
  const { channels, width, height } = features;
  const size = width * height;
  const data = new Float64Array(size);
  for (let k = 0; k < channels; k++) {
    let weight = 0;
    for (let i = 0; i < classes.length; i++) weight += weights[i]! * head.weights[classes[i]! * channels + k]!;
    const start = k * size;
    for (let p = 0; p < size; p++) data[p]! += weight * features.data[start + p]!;
  }
  return { width, height, data };
}

/** The weights of equation 5: 1/2, 1/4, ... for `count` classes. They add to 1 - 2^-count, which the division by the maximum cancels. */
export function halvingWeights(count: number): number[] {
  return Array.from({ length: count }, (_, i) => 0.5 ** (i + 1));
}

/**
 * Bilinear resizing; places beyond the outer samples take the nearest one.
 *
 * @param data receives the result's values, as many as it has places
 */
export function resizeBilinear(
  grid: Grid,
  width: number,
  height: number,
  alignment: Alignment,
  data: Float64Array = new Float64Array(width * height),
): Grid {
  const { low, high, fraction } = samples(grid.width, width, alignment);
  const rows = samples(grid.height, height, alignment);
  // The small columns are mixed once a row, not once a place that reads them.
  const mixed = new Float64Array(grid.width);
  for (let y = 0; y < height; y++) {
    const top = rows.low[y]! * grid.width;
    const bottom = rows.high[y]! * grid.width;
    const down = rows.fraction[y]!;
    for (let c = 0; c < mixed.length; c++) mixed[c] = grid.data[top + c]! * (1 - down) + grid.data[bottom + c]! * down;
    for (let x = 0; x < width; x++) {
      const over = fraction[x]!;
      data[y * width + x] = mixed[low[x]!]! * (1 - over) + mixed[high[x]!]! * over;
    }
  }
  return { width, height, data };
}

/** Where the places of one axis read: two samples and the share of the second. */
export function samples(from: number, to: number, alignment: Alignment) {
  const low = new Uint32Array(to);
  const high = new Uint32Array(to);
  const fraction = new Float64Array(to);
  for (let i = 0; i < to; i++) {
    const place = Math.min(Math.max(sourcePlace(i, from, to, alignment), 0), from - 1);
    low[i] = Math.floor(place);
    high[i] = Math.min(low[i]! + 1, from - 1);
    fraction[i] = place - low[i]!;
  }
  return { low, high, fraction };
}

function sourcePlace(i: number, from: number, to: number, alignment: Alignment): number {
  if (alignment === 'half_pixel') return ((i + 0.5) * from) / to - 0.5;
  if (alignment === 'align_corners') return to > 1 ? (i * (from - 1)) / (to - 1) : 0;
  return (i * from) / to;
}

/** The grid divided by its maximum; `undefined` where that is not positive and no place stands out. */
export function divideByMax(grid: Grid): Grid | undefined {
  const { max } = extremes(grid.data);
  return max > 0 && Number.isFinite(max) ? rescale(grid, 0, max) : undefined;
}

/** The grid stretched to [0,1]; `undefined` where it is constant. */
export function stretchToUnit(grid: Grid): Grid | undefined {
  const { min, max } = extremes(grid.data);
  const range = max - min;
  return range > 0 && Number.isFinite(range) ? rescale(grid, min, range) : undefined;
}

function rescale({ width, height, data }: Grid, subtracted: number, divisor: number): Grid {
  const rescaled = new Float64Array(data.length);
  for (let p = 0; p < data.length; p++) rescaled[p] = (data[p]! - subtracted) / divisor;
  return { width, height, data: rescaled };
}

/** Least and greatest value; neither is a number where one of the values is not. */
function extremes(data: Float64Array): { readonly min: number; readonly max: number } {
  let min = data[0]!;
  let max = data[0]!;
  // By comparisons: Math.min and Math.max cost several times as much.
  for (let p = 0; p < data.length; p++) {
    const value = data[p]!;
    if (value > max) max = value;
    else if (value < min) min = value;
    else if (Number.isNaN(value)) return { min: value, max: value };
  }
  return { min, max };
}

/** Weighted sum of the classes' maps, each resized and stretched to [0,1] by itself; a constant map adds nothing. */
export function weightedUnitMaps(
  features: Wide<FeatureMaps>,
  head: Wide<ClassifierHead>,
  classes: readonly number[],
  weights: readonly number[],
  width: number,
  height: number,
  alignment: Alignment,
): Grid {
  const data = new Float64Array(width * height);
  classes.forEach((label, i) => {
    const small = weightedClassMaps(features, head, [label], [1]);
    const map = stretchToUnit(resizeBilinear(small, width, height, alignment));
    if (map === undefined) return;
    for (let p = 0; p < data.length; p++) data[p]! += weights[i]! * map.data[p]!;
  });
  return { width, height, data };
}

/**
 * The activation map of one image.
 *
 * `rcam`: equations 4 and 5 over the `mapClasses` top classes, resized, divided by the maximum. `cam`: the same of the top
 * class alone. `official`: each of at most five top classes resized and stretched to [0,1], summed with the authors'
 * weights .5 .25 .125 .0625 .075, stretched again, as their code does on loading. `uniform`: no map.
 *
 * @param scores logits or probabilities of this image, one for each class
 * @param width of the map, in pixels of the image it belongs to
 * @param height likewise
 * @returns values in [0,1] (what lies below 0 counts as 0), or `undefined`, which deflects everywhere: for `uniform`, and
 *   where no value is positive
 */
export function activationMap(
  settings: Pick<DefenceSettings, 'map' | 'mapClasses'>,
  features: FeatureMaps,
  head: ClassifierHead,
  scores: Float32Array | Float64Array,
  width: number,
  height: number,
): ActivationMap | undefined {
  if (settings.map === 'uniform') return undefined;
  if (settings.map === 'official') {
    const classes = topClasses(scores, Math.min(settings.mapClasses, OFFICIAL_WEIGHTS.length));
    const sum = weightedUnitMaps(features, head, classes, OFFICIAL_WEIGHTS, width, height, 'half_pixel');
    const unit = stretchToUnit(sum);
    return unit === undefined ? undefined : positivePart(unit, 1);
  }
  const classes = topClasses(scores, settings.map === 'cam' ? 1 : settings.mapClasses);
  const small = weightedClassMaps(features, head, classes, halvingWeights(classes.length));
  const grid = resizeBilinear(small, width, height, 'half_pixel', scratchOf(width * height));
  const max = greatest(grid.data);
  return max > 0 && Number.isFinite(max) ? positivePart(grid, max) : undefined;
}

/** Places of the largest map whose memory is kept: beyond what models read. */
const MOST_KEPT = 2 ** 20;

let scratch = new Float64Array(0);

/**
 * Memory for the map of the image in hand, which is kept for the next one: memory of this size lies outside of the heap,
 * and V8 collects garbage for it sooner than for anything else.
 */
function scratchOf(places: number): Float64Array {
  if (scratch.length === places) return scratch;
  const made = new Float64Array(places);
  if (places <= MOST_KEPT) scratch = made;
  return made;
}

/** Greatest value; no number where one of the values is none. */
function greatest(data: Float64Array): number {
  let max = data[0]!;
  for (let p = 0; p < data.length; p++) {
    const value = data[p]!;
    if (value <= max) continue;
    if (Number.isNaN(value)) return value;
    max = value;
  }
  return max;
}

/** A grid divided by a positive number; what lies below 0 becomes 0. */
function positivePart({ width, height, data: values }: Grid, divisor: number): ActivationMap {
  const data = new Float32Array(values.length);
  for (let p = 0; p < data.length; p++) data[p] = values[p]! > 0 ? values[p]! / divisor : 0;
  return { width, height, data };
}
