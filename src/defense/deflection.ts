/**
 * Pixel deflection (the paper, algorithm 1 and section 8), in two parts: drawing, which looks at no pixel, and applying.
 */
import type { ActivationMap } from '../types.js';
import type { UniformSource } from './defender.js';
import type { Grid, Planes } from './grid.js';
import type { DefenceSettings } from './settings.js';

/** The settings that deflection reads. */
export type DeflectionSettings = Pick<
  DefenceSettings,
  'deflection' | 'deflections' | 'window' | 'sampling' | 'replace'
>;

/** Writes in one round of rule `official`: one in each channel. */
const CHANNELS = 3;

/**
 * Rule `official` counts completed writes, so a map near 1 keeps it drawing. It gives up after this many draws for each
 * write asked for: below a mean deflection probability of 1 % an image gets fewer writes than K.
 */
const OFFICIAL_DRAWS_PER_WRITE = 100;

/**
 * The deflections of one run, in the order they are applied. Reusable: `drawDeflections` fills it anew and grows its
 * arrays only where they are too short. Entries from `count` on mean nothing.
 */
export class DeflectionList {
  /** Deflected pixels: row * width + column. */
  targets = new Uint32Array(0);
  /** Pixels that replace them; equal to the targets where the replacement is not one pixel (`replace` min, max, mean). */
  sources = new Uint32Array(0);
  /** The one channel that an entry writes, 0 to 2; read only where `perChannel`. */
  channels = new Uint8Array(0);
  /** Entries in use. */
  count = 0;
  /** Whether an entry writes one channel (rule `official`) or the whole pixel. */
  perChannel = false;

  /** Empties the list and makes room for `capacity` entries. */
  reset(capacity: number, perChannel: boolean): void {
    if (this.targets.length < capacity) {
      this.targets = new Uint32Array(capacity);
      this.sources = new Uint32Array(capacity);
    }
    if (perChannel && this.channels.length < capacity) this.channels = new Uint8Array(capacity);
    this.count = 0;
    this.perChannel = perChannel;
  }
}

/**
 * Draws one coordinate of a source among the coordinates that lie in the window and in the image.
 *
 * `weights` holds running sums of the weights of the offsets -r to r: the draw is then that of an isotropic distribution
 * redrawn until it falls inside, without the redrawing.
 */
function drawCoordinate(
  centre: number,
  lowest: number,
  size: number,
  window: number,
  weights: Float64Array | undefined,
  u: number,
): number {
  const first = Math.max(lowest, centre - window);
  const last = Math.min(size - 1, centre + window);
  if (weights === undefined) return first + Math.floor(u * (last - first + 1));
  const shift = window - centre;
  const below = weights[first + shift]!;
  const aim = below + u * (weights[last + 1 + shift]! - below);
  let low = first;
  let high = last;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (weights[middle + 1 + shift]! > aim) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Running sums of exp(-d^2 / 2 s^2) over the offsets d = -r to r, 0 first; s = r / 2.
 *
 * The paper names a Gaussian centred on the pixel and no width; half of the apothem puts 95 % of each axis inside the
 * window.
 */
function gaussianWeights(window: number): Float64Array {
  const deviation = window / 2;
  const sums = new Float64Array(2 * window + 2);
  for (let offset = -window; offset <= window; offset++) {
    sums[offset + window + 1] = sums[offset + window]! + Math.exp(-(offset * offset) / (2 * deviation * deviation));
  }
  return sums;
}

/**
 * Draws the deflections of one run.
 *
 * Rule `paper` (section 8): K times a row, a column and u; where the map's value is below u, a row and a column of the
 * source, uniform on the square of apothem `window` cut off at the image's border. All channels move together, sources
 * are read from the original image.
 *
 * Rule `official` (the authors' published code): the same for one channel after another, each with its own pixel, in
 * place; row 0 and column 0 never serve as a source; K counts completed writes, and is looked at after all three
 * channels, so that up to two more may come. An image one pixel wide or high has no source and stays as it is; a map of
 * ones ends after 100 draws for each write asked for.
 *
 * Rule `none` draws nothing. With `replace` min, max or mean no source is drawn.
 *
 * @param width of the image in pixels
 * @param height of the image in pixels
 * @param map of the same size; `undefined` deflects at every draw, and takes as many numbers
 * @param source consumed: three numbers a draw, five where a source is drawn
 * @param into filled and returned
 */
export function drawDeflections(
  width: number,
  height: number,
  map: ActivationMap | undefined,
  settings: DeflectionSettings,
  source: UniformSource,
  into: DeflectionList = new DeflectionList(),
): DeflectionList {
  const { deflections, window } = settings;
  const official = settings.deflection === 'official';
  into.reset(settings.deflection === 'none' ? 0 : deflections + (official ? CHANNELS - 1 : 0), official);
  const lowest = official ? 1 : 0;
  if (settings.deflection === 'none' || width <= lowest || height <= lowest) return into;

  const drawsSource = settings.replace === 'random';
  const weights = drawsSource && settings.sampling === 'gaussian' ? gaussianWeights(window) : undefined;
  const { targets, sources, channels } = into;
  const draws = official ? deflections * OFFICIAL_DRAWS_PER_WRITE : deflections;
  let count = 0;
  let channel = 0;
  for (let draw = 0; draw < draws; draw++) {
    const row = Math.floor(source.uniform() * height);
    const column = Math.floor(source.uniform() * width);
    const target = row * width + column;
    const u = source.uniform();
    // The authors' code deflects at equality too; the paper says "lower than".
    if (map === undefined || (official ? map.data[target]! <= u : map.data[target]! < u)) {
      targets[count] = target;
      sources[count] = drawsSource
        ? drawCoordinate(row, lowest, height, window, weights, source.uniform()) * width +
          drawCoordinate(column, lowest, width, window, weights, source.uniform())
        : target;
      if (official) channels[count] = channel;
      count++;
    }
    if (official) {
      channel = (channel + 1) % CHANNELS;
      if (channel === 0 && count >= deflections) break;
    }
  }
  into.count = count;
  return into;
}

/**
 * Applies deflections.
 *
 * `replace` min, max and mean take the value over the window cut off at the image's border, in each channel by itself:
 * the paper's table 9 names them and says no more, and this is what a rank or box filter does to a colour image.
 *
 * @param list drawn for this size and these settings
 * @param original read by rule `paper`; left as it is
 * @param changed a copy of `original`; written, and read by rule `official`, which works in place
 */
export function applyDeflections(
  list: DeflectionList,
  settings: Pick<DeflectionSettings, 'replace' | 'window'>,
  original: Planes,
  changed: Planes,
): void {
  const from = list.perChannel ? changed : original;
  const lowest = list.perChannel ? 1 : 0;
  for (let i = 0; i < list.count; i++) {
    const target = list.targets[i]!;
    const first = list.perChannel ? list.channels[i]! : 0;
    const last = list.perChannel ? first : CHANNELS - 1;
    for (let channel = first; channel <= last; channel++) {
      const plane = from[channel]!;
      changed[channel]!.data[target] =
        settings.replace === 'random'
          ? plane.data[list.sources[i]!]!
          : summarise(plane, target, settings.window, lowest, settings.replace);
    }
  }
}

/** Least, greatest or mean value of a plane over the window around `target`. */
function summarise(
  { width, height, data }: Grid,
  target: number,
  window: number,
  lowest: number,
  kind: 'min' | 'max' | 'mean',
): number {
  const row = Math.floor(target / width);
  const column = target - row * width;
  const firstRow = Math.max(lowest, row - window);
  const lastRow = Math.min(height - 1, row + window);
  const firstColumn = Math.max(lowest, column - window);
  const lastColumn = Math.min(width - 1, column + window);
  let smallest = Number.POSITIVE_INFINITY;
  let greatest = Number.NEGATIVE_INFINITY;
  let sum = 0;
  for (let y = firstRow; y <= lastRow; y++) {
    for (let x = firstColumn; x <= lastColumn; x++) {
      const value = data[y * width + x]!;
      smallest = Math.min(smallest, value);
      greatest = Math.max(greatest, value);
      sum += value;
    }
  }
  if (kind === 'min') return smallest;
  if (kind === 'max') return greatest;
  return sum / ((lastRow - firstRow + 1) * (lastColumn - firstColumn + 1));
}
