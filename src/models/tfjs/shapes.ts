/** Shapes and layers that both kinds of TensorFlow.js models have in common. */
import { DeflectorError } from '../../errors.js';
import type { LinearLayer, NetworkInput } from '../network.js';
import type { Weight } from './weights.js';

/** @throws DeflectorError MODEL_UNSUPPORTED */
export function unsupported(message: string): DeflectorError {
  return new DeflectorError('MODEL_UNSUPPORTED', message);
}

/**
 * The input of a network from its shape.
 *
 * @param shape dimensions, `undefined` for those left open; `undefined` where the file gives none
 * @throws DeflectorError MODEL_UNSUPPORTED
 */
export function imageInput(name: string, shape: readonly (number | undefined)[] | undefined): NetworkInput {
  if (shape?.length !== 4) {
    const shown = shape === undefined ? 'it has no shape' : `its shape is [${shape.map(dim => dim ?? '?').join(', ')}]`;
    throw unsupported(`The input ${JSON.stringify(name)} is no batch of images: ${shown}`);
  }
  const layout = shape[3] !== 3 && shape[1] === 3 ? 'nchw' : 'nhwc';
  const [batch, height, width, channels] = layout === 'nhwc' ? shape : [shape[0], shape[2], shape[3], shape[1]];
  if (channels !== undefined && channels !== 3) {
    throw unsupported(`The input ${JSON.stringify(name)} takes ${channels} channels; RGB images have 3`);
  }
  return { name, type: 'float32', layout, batch, height, width };
}

/**
 * The linear layer of a kernel as TensorFlow stores it: [channels, classes], or [1, 1, channels, classes].
 *
 * @param transposed whether the kernel is [classes, channels] instead
 */
export function linearLayer(kernel: Weight, bias: Weight | undefined, transposed = false): LinearLayer {
  const [rows, columns] = kernel.dims.slice(-2) as [number, number];
  const [channels, classes] = transposed ? [columns, rows] : [rows, columns];
  const weights = new Float32Array(classes * channels);
  for (let c = 0; c < classes; c++) {
    for (let k = 0; k < channels; k++) {
      weights[c * channels + k] = kernel.data[transposed ? c * channels + k : k * classes + c]!;
    }
  }
  return { classes, channels, weights, bias: bias?.data ?? new Float32Array(classes) };
}
