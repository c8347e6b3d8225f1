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
  const pixels = image.width * image.height;
  const step = format.layout === 'nhwc' ? 3 : 1;
  for (let channel = 0; channel < 3; channel++) {
    const values = new Float32Array(256);
    for (let v = 0; v < 256; v++) values[v] = (v / 255) * format.scale[channel]! + format.bias[channel]!;
    const place = format.channels === 'rgb' ? channel : 2 - channel;
    let to = offset + (format.layout === 'nhwc' ? place : place * pixels);
    for (let from = channel; from < pixels * 3; from += 3, to += step) out[to] = values[image.data[from]!]!;
  }
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
