/** A `denoise` step as a run draws it, with its transposed Jacobian: strength, shifted grids, thresholds that the map spares. */
import type { ActivationMap } from '../../types.js';
import type { UniformSource } from '../defender.js';
import { addUnshifted, drawDenoising, movedMap, type Shift, shiftInto } from '../denoise-draws.js';
import type { Planes } from '../grid.js';
import { levelMaps } from '../level-maps.js';
import type { DefenceSettings } from '../settings.js';
import { defaultLevels, waveletFilters } from '../wavelet-filters.js';
import { traceDenoising } from './denoise.js';
import { planesLike, type Traced } from './traced.js';

/** @param map of the same size, constant on the way back; `undefined` spares nothing */
export function traceDenoiseStep(
  rgb: Planes,
  map: ActivationMap | undefined,
  settings: DefenceSettings,
  source: UniformSource,
): Traced {
  const [{ width, height }] = rgb;
  const { strength, shifts } = drawDenoising(settings, width, height, source);
  const spared = settings.spare > 0 ? map : undefined;
  if (shifts.length === 0) return traceDenoising(rgb, settings, { strength, shares: sharesOf(spared, settings) });
  const traces = shifts.map(shift => {
    const shares = sharesOf(spared && movedMap(spared, shift), settings);
    return { shift, ...traceDenoising(moved(rgb, shift), settings, { strength, shares }) };
  });
  return {
    value: mean(traces.map(({ shift, value }) => ({ shift, planes: value }))),
    back: cotangent => mean(traces.map(({ shift, back }) => ({ shift, planes: back(moved(cotangent, shift)) }))),
  };
}

/** For each level the share of the threshold that holds for each coefficient. */
function sharesOf(map: ActivationMap | undefined, settings: DefenceSettings): Float64Array[] | undefined {
  if (map === undefined) return undefined;
  const filters = waveletFilters(settings.wavelet);
  const levels = settings.levels ?? defaultLevels(map.width, map.height, filters.length);
  return levelMaps(map, filters, levels).map(({ data }) => data.map(value => 1 - settings.spare * value));
}

function moved(planes: Planes, shift: Shift): Planes {
  const shifted = (channel: 0 | 1 | 2): Float64Array => {
    const { data, width } = planes[channel];
    const to = new Float64Array(data.length);
    shiftInto(data, to, width, shift);
    return to;
  };
  return planesLike(planes, [shifted(0), shifted(1), shifted(2)]);
}

/** Mean of planes that were moved, each back in its place. A move is a permutation, so this is its own way back too. */
function mean(parts: readonly { readonly shift: Shift; readonly planes: Planes }[]): Planes {
  const first = parts[0]!.planes;
  const sum = (channel: 0 | 1 | 2): Float64Array => {
    const total = new Float64Array(first[channel].data.length);
    for (const { shift, planes } of parts) addUnshifted(planes[channel].data, total, planes[channel].width, shift);
    return total.map(value => value / parts.length);
  };
  return planesLike(first, [sum(0), sum(1), sum(2)]);
}
