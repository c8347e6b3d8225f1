/**
 * Deflection (`deflection.ts`) with its transposed Jacobian. At fixed draws it is a gather: what a pixel was replaced by
 * gets the gradient of its place, what it was gets none. `replace` min and max gather too, from the extreme of the window;
 * mean spreads over it.
 */
import type { ActivationMap } from '../../types.js';
import type { UniformSource } from '../defender.js';
import { type DeflectionSettings, drawDeflections } from '../deflection.js';
import type { Grid, Planes } from '../grid.js';
import type { Traced } from './traced.js';

export interface TracedDeflection extends Traced {
  /**
   * What the map would change: the derivative of the expectation over draws, to first order in the share of pixels that is
   * drawn. A draw leaves p with probability M(p), so each of K / (width height) draws of p is worth the gradient there times
   * what the pixel has more than its replacement has on average, which is the mean of the window.
   *
   * @param cotangent gradient with respect to `value`
   * @returns gradient with respect to the map's values
   */
  ofMap(cotangent: Planes): Float64Array;
}

/** One value that was replaced. */
interface Move {
  readonly channel: number;
  readonly target: number;
  /** Places whose values, or their mean, it became. */
  readonly from: readonly number[];
}

/** @param map of the same size; `undefined` deflects everywhere. It is constant on the way back. */
export function traceDeflection(
  rgb: Planes,
  map: ActivationMap | undefined,
  settings: DeflectionSettings,
  source: UniformSource,
): TracedDeflection {
  const [{ width, height }] = rgb;
  const list = drawDeflections(width, height, map, settings, source);
  const value = rgb.map(plane => ({ ...plane, data: plane.data.slice() })) as unknown as Planes;
  // The paper's rule reads the image as it was, the authors' one works in place.
  const read = list.perChannel ? value : rgb;
  const moves: Move[] = [];
  for (let i = 0; i < list.count; i++) {
    const target = list.targets[i]!;
    const first = list.perChannel ? list.channels[i]! : 0;
    const last = list.perChannel ? first : 2;
    for (let channel = first; channel <= last; channel++) {
      const { data } = read[channel]!;
      const from =
        settings.replace === 'random'
          ? [list.sources[i]!]
          : chosen(data, windowOf(target, width, height, settings.window, list.perChannel ? 1 : 0), settings.replace);
      moves.push({ channel, target, from });
      value[channel]!.data[target] = from.reduce((sum, place) => sum + data[place]!, 0) / from.length;
    }
  }
  return {
    value,
    back(cotangent) {
      // In place, what was written last is undone first. Elsewhere writes wait beside: sources are as they were.
      const left = cotangent.map(plane => ({ ...plane, data: plane.data.slice() })) as unknown as Planes;
      const gathered = list.perChannel
        ? left
        : (cotangent.map(plane => ({ ...plane, data: new Float64Array(plane.data.length) })) as unknown as Planes);
      for (let i = moves.length - 1; i >= 0; i--) {
        const { channel, target, from } = moves[i]!;
        const slope = left[channel]!.data[target]!;
        left[channel]!.data[target] = 0;
        const to = gathered[channel]!.data;
        for (const place of from) to[place]! += slope / from.length;
      }
      if (gathered !== left) {
        left.forEach(({ data }, channel) => {
          const more = gathered[channel]!.data;
          for (let p = 0; p < data.length; p++) data[p]! += more[p]!;
        });
      }
      return left;
    },
    ofMap(cotangent) {
      const slopes = new Float64Array(width * height);
      const share = settings.deflections / slopes.length;
      cotangent.forEach(({ data }, channel) => {
        const mean = windowMeans(rgb[channel]!, settings.window);
        for (let p = 0; p < slopes.length; p++) slopes[p]! += share * data[p]! * (rgb[channel]!.data[p]! - mean[p]!);
      });
      return slopes;
    },
  };
}

/** Mean over the window of each pixel, cut off at the border, by sums over the rectangle from the first pixel. */
function windowMeans({ width, height, data }: Grid, window: number): Float64Array {
  const stride = width + 1;
  const sums = new Float64Array(stride * (height + 1));
  for (let y = 0; y < height; y++) {
    let row = 0;
    for (let x = 0; x < width; x++) {
      row += data[y * width + x]!;
      sums[(y + 1) * stride + x + 1] = sums[y * stride + x + 1]! + row;
    }
  }
  const means = new Float64Array(width * height);
  for (let y = 0; y < height; y++) {
    const [top, bottom] = [Math.max(0, y - window), Math.min(height, y + window + 1)];
    for (let x = 0; x < width; x++) {
      const [left, right] = [Math.max(0, x - window), Math.min(width, x + window + 1)];
      const sum =
        sums[bottom * stride + right]! -
        sums[top * stride + right]! -
        sums[bottom * stride + left]! +
        sums[top * stride + left]!;
      means[y * width + x] = sum / ((bottom - top) * (right - left));
    }
  }
  return means;
}

/** Places of the window of a pixel that lie inside the image. */
function windowOf(target: number, width: number, height: number, window: number, lowest: number): number[] {
  const row = Math.floor(target / width);
  const column = target - row * width;
  const places: number[] = [];
  for (let y = Math.max(lowest, row - window); y <= Math.min(height - 1, row + window); y++) {
    for (let x = Math.max(lowest, column - window); x <= Math.min(width - 1, column + window); x++) {
      places.push(y * width + x);
    }
  }
  return places;
}

function chosen(data: Float64Array, places: readonly number[], replace: 'min' | 'max' | 'mean'): readonly number[] {
  if (replace === 'mean') return places;
  const beats = (a: number, b: number) => (replace === 'min' ? data[a]! < data[b]! : data[a]! > data[b]!);
  return [places.reduce((best, place) => (beats(place, best) ? place : best))];
}
