/** The defence in plain double precision: the specification, and the oracle of every faster implementation. */
import type { ActivationMap, RgbImage } from '../../types.js';
import type { Defender, PreparedImage, TensorFormat, UniformSource, WatchDeflections } from '../defender.js';
import { applyDeflections, drawDeflections } from '../deflection.js';
import { addUnshifted, drawDenoising, movedMap, type Shift, shiftInto } from '../denoise-draws.js';
import type { Grid, Planes } from '../grid.js';
import { applyForeign, type FindStep, type ForeignStep, isRandom, ownStepsOnly, type Step, stepsOf } from '../order.js';
import type { DefenceSettings } from '../settings.js';
import { denoise } from './denoise.js';

/** @param find finds the steps of an order that are not the defence's own */
export function createPlainDefender(find: FindStep = ownStepsOnly): Defender {
  return {
    prepare(image: RgbImage, map: ActivationMap | undefined, settings: DefenceSettings): PreparedImage {
      const original = planesOf(image);
      const steps = stepsOf(settings, find);
      return {
        isRandom: steps.some(step => isRandom(step, settings)),
        run(source, out, offset, format, watch): void {
          writeTensor(defend(original, map, settings, steps, source, watch), out, offset, format);
        },
        release(): void {},
      };
    },
  };
}

/** For orders of the defence's own steps. */
export const plainDefender: Defender = createPlainDefender();

/**
 * One defended run: the steps of the order, each on the result of the one before.
 *
 * @param rgb planes in [0,1]; left as they are
 * @param map of the same size; `undefined` deflects everywhere
 */
function defend(
  rgb: Planes,
  map: ActivationMap | undefined,
  settings: DefenceSettings,
  steps: readonly Step[],
  source: UniformSource,
  watch: WatchDeflections | undefined,
): Planes {
  let planes = rgb;
  for (const step of steps) {
    if (step === 'deflect') planes = deflect(planes, map, settings, source, watch);
    else if (step === 'denoise') planes = denoiseRun(planes, map, settings, source);
    else planes = applied(step, planes, source);
  }
  return planes;
}

/** Denoises on each of the grids that the run draws, and takes the mean. */
function denoiseRun(
  rgb: Planes,
  map: ActivationMap | undefined,
  settings: DefenceSettings,
  source: UniformSource,
): Planes {
  const [{ width, height }] = rgb;
  const { strength, shifts } = drawDenoising(settings, width, height, source);
  const share = settings.spare;
  const spared = share > 0 ? map : undefined;
  if (shifts.length === 0) return denoise(rgb, settings, { strength, spare: spared && { map: spared, share } });
  const sums = rgb.map(plane => ({ ...plane, data: new Float64Array(plane.data.length) })) as unknown as Planes;
  for (const shift of shifts) {
    const spare = spared && { map: movedMap(spared, shift), share };
    const moved = rgb.map(plane => ({ ...plane, data: shifted(plane.data, width, shift) })) as unknown as Planes;
    for (const [c, { data }] of denoise(moved, settings, { strength, spare }).entries()) {
      addUnshifted(data, sums[c]!.data, width, shift);
    }
  }
  for (const { data } of sums) for (let p = 0; p < data.length; p++) data[p]! /= shifts.length;
  return sums;
}

function shifted(values: Float64Array, width: number, shift: Shift): Float64Array {
  const moved = new Float64Array(values.length);
  shiftInto(values, moved, width, shift);
  return moved;
}

/** Foreign steps work in single precision; of a value of 8 bits, the double nearest to it is what is meant. */
function applied(step: ForeignStep, planes: Planes, source: UniformSource): Planes {
  const [{ width, height }] = planes;
  const size = width * height;
  const single = new Float32Array(3 * size);
  for (const [channel, { data }] of planes.entries()) single.set(data, channel * size);
  applyForeign(step, single, width, height, source);
  const plane = (channel: number): Grid => ({
    width,
    height,
    data: Float64Array.from(single.subarray(channel * size, (channel + 1) * size), value => {
      const level = Math.round(value * 255) / 255;
      return Math.fround(level) === value ? level : value;
    }),
  });
  return [plane(0), plane(1), plane(2)];
}

function deflect(
  rgb: Planes,
  map: ActivationMap | undefined,
  settings: DefenceSettings,
  source: UniformSource,
  watch: WatchDeflections | undefined,
): Planes {
  const [{ width, height }] = rgb;
  const changed = rgb.map(plane => ({ ...plane, data: plane.data.slice() })) as unknown as Planes;
  const list = drawDeflections(width, height, map, settings, source);
  watch?.(list);
  applyDeflections(list, settings, rgb, changed);
  return changed;
}

/** Planes in [0,1] of an 8-bit image. */
export function planesOf(image: RgbImage): Planes {
  const { width, height } = image;
  const plane = (channel: number): Grid => ({
    width,
    height,
    data: Float64Array.from({ length: width * height }, (_, p) => image.data[p * 3 + channel]! / 255),
  });
  return [plane(0), plane(1), plane(2)];
}

function writeTensor(planes: Planes, out: Float32Array, offset: number, format: TensorFormat): void {
  const size = planes[0].data.length;
  planes.forEach(({ data }, channel) => {
    const place = format.channels === 'rgb' ? channel : 2 - channel;
    const start = offset + (format.layout === 'nchw' ? place * size : place);
    const step = format.layout === 'nchw' ? 1 : 3;
    const scale = format.scale[channel]!;
    const bias = format.bias[channel]!;
    for (let p = 0; p < size; p++) out[start + p * step] = data[p]! * scale + bias;
  });
}
