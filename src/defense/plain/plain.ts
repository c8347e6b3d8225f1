/** The defence in plain double precision: the specification, and the oracle of every faster implementation. */
import type { ActivationMap, RgbImage } from '../../types.js';
import type { Defender, PreparedImage, TensorFormat, UniformSource } from '../defender.js';
import { applyDeflections, drawDeflections } from '../deflection.js';
import type { Grid, Planes } from '../grid.js';
import type { DefenceSettings } from '../settings.js';
import { denoise } from './denoise.js';

export const plainDefender: Defender = {
  prepare(image: RgbImage, map: ActivationMap | undefined, settings: DefenceSettings): PreparedImage {
    const original = planesOf(image);
    return {
      run(source: UniformSource, out: Float32Array, offset: number, format: TensorFormat): void {
        writeTensor(defend(original, map, settings, source), out, offset, format);
      },
      release(): void {},
    };
  },
};

/**
 * One defended run: the steps of `settings.order`, each on the result of the one before.
 *
 * @param rgb planes in [0,1]; left as they are
 * @param map of the same size; `undefined` deflects everywhere
 */
function defend(rgb: Planes, map: ActivationMap | undefined, settings: DefenceSettings, source: UniformSource): Planes {
  let planes = rgb;
  for (const step of settings.order) {
    planes = step === 'deflect' ? deflect(planes, map, settings, source) : denoise(planes, settings);
  }
  return planes;
}

function deflect(
  rgb: Planes,
  map: ActivationMap | undefined,
  settings: DefenceSettings,
  source: UniformSource,
): Planes {
  const [{ width, height }] = rgb;
  const changed = rgb.map(plane => ({ ...plane, data: plane.data.slice() })) as unknown as Planes;
  applyDeflections(drawDeflections(width, height, map, settings, source), settings, rgb, changed);
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
