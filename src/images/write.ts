/** Pixels and tensors to bytes. Putting the bytes somewhere, whole or not at all, is the store's business. */
import sharp from 'sharp';
import type { RgbImage } from '../types.js';

/** Lossless PNG, 8-bit RGB. */
export async function encodePng(image: RgbImage): Promise<Uint8Array> {
  const { width, height, data } = image;
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/**
 * NumPy's .npy, version 1.0, little-endian float32 in C order (NumPy Enhancement Proposal 1).
 *
 * @param shape for an image [height, width, 3], with RGB in [0,1]; its product is `values.length`
 */
export function encodeNpy(values: Float32Array, shape: readonly number[]): Uint8Array {
  const list = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const description = `{'descr': '<f4', 'fortran_order': False, 'shape': (${list}), }`;
  // Magic, version and length take 10 bytes; the header ends with a line feed on a multiple of 64.
  const header = `${description.padEnd(Math.ceil((10 + description.length + 1) / 64) * 64 - 11)}\n`;
  const out = Buffer.alloc(10 + header.length + values.length * 4);
  out.write('\x93NUMPY\x01\x00', 'latin1');
  out.writeUInt16LE(header.length, 8);
  out.write(header, 10, 'latin1');
  for (let i = 0; i < values.length; i++) out.writeFloatLE(values[i]!, 10 + header.length + 4 * i);
  return out;
}
