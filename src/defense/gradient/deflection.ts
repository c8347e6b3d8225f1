/**
 * Deflection (`deflection.ts`) with its transposed Jacobian. At fixed draws it is a gather: what a pixel was replaced by
 * gets the gradient of its place, what it was gets none. `replace` min and max gather too, from the extreme of the window;
 * mean spreads over it.
 */
import type { ActivationMap } from '../../types.js';
import type { UniformSource } from '../defender.js';
import { type DeflectionSettings, drawDeflections } from '../deflection.js';
import type { Planes } from '../grid.js';
import type { Traced } from './traced.js';

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
): Traced {
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
  };
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
