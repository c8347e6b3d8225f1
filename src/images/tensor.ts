/** Pixels to the float tensor that a network reads. */
import type { TensorFormat } from '../defense/defender.js';
import type { Preprocessing, RgbImage } from '../types.js';

/** The normalisation (pixel / 255 - mean) / std as scale and bias on [0,1]. */
export function tensorFormat(p: Preprocessing): TensorFormat {
  return {
    layout: p.layout,
    channels: p.channels,
    scale: [1 / p.std[0], 1 / p.std[1], 1 / p.std[2]],
    bias: [-p.mean[0] / p.std[0], -p.mean[1] / p.std[1], -p.mean[2] / p.std[2]],
  };
}

/**
 * Writes an image as one item of a batch.
 *
 * @param out float32; 3 * width * height elements are written from `offset`
 */
export function writeTensor(image: RgbImage, format: TensorFormat, out: Float32Array, offset: number): void {
  const { data } = image;
  const [red, green, blue] = valuesOf(format);
  const planar = format.layout === 'nchw';
  const step = planar ? 1 : 3;
  const apart = planar ? image.width * image.height : 1;
  const end = 3 * image.width * image.height;
  let r = offset + (format.channels === 'rgb' ? 0 : 2 * apart);
  let g = offset + apart;
  let b = offset + (format.channels === 'rgb' ? 2 * apart : 0);
  for (let from = 0; from < end; from += 3, r += step, g += step, b += step) {
    out[r] = red[data[from]!]!;
    out[g] = green[data[from + 1]!]!;
    out[b] = blue[data[from + 2]!]!;
  }
}

/** What the 256 values of a byte become, for each of R, G, B. */
type Values = readonly [Float32Array, Float32Array, Float32Array];

/** A format serves many images. */
const known = new WeakMap<TensorFormat, Values>();

function valuesOf(format: TensorFormat): Values {
  let values = known.get(format);
  if (values === undefined) {
    const channel = (c: 0 | 1 | 2) =>
      Float32Array.from({ length: 256 }, (_, v) => (v / 255) * format.scale[c] + format.bias[c]);
    values = [channel(0), channel(1), channel(2)];
    known.set(format, values);
  }
  return values;
}

/**
 * Writes planes as one item of a batch.
 *
 * @param planes float32 [3, pixels], RGB in [0,1]
 * @param out float32; 3 * pixels elements are written from `offset`
 */
export function writePlanes(
  planes: Float32Array,
  pixels: number,
  format: TensorFormat,
  out: Float32Array,
  offset: number,
): void {
  const step = format.layout === 'nhwc' ? 3 : 1;
  for (let channel = 0; channel < 3; channel++) {
    const place = format.channels === 'rgb' ? channel : 2 - channel;
    let to = offset + (format.layout === 'nhwc' ? place : place * pixels);
    const [scale, bias] = [format.scale[channel]!, format.bias[channel]!];
    for (let p = 0; p < pixels; p++, to += step) out[to] = planes[channel * pixels + p]! * scale + bias;
  }
}

/**
 * Reads the gradient of one item of a batch, back to the pixels that {@link writePlanes} wrote it from.
 *
 * @param gradient with respect to the tensor
 * @returns with respect to the planes: float32 [3, pixels], RGB
 */
export function readGradient(
  gradient: Float32Array,
  pixels: number,
  format: TensorFormat,
  offset: number,
): Float32Array {
  const planes = new Float32Array(3 * pixels);
  const step = format.layout === 'nhwc' ? 3 : 1;
  for (let channel = 0; channel < 3; channel++) {
    const place = format.channels === 'rgb' ? channel : 2 - channel;
    let from = offset + (format.layout === 'nhwc' ? place : place * pixels);
    const scale = format.scale[channel]!;
    for (let p = 0; p < pixels; p++, from += step) planes[channel * pixels + p] = gradient[from]! * scale;
  }
  return planes;
}
