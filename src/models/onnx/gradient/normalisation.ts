/** Normalisation, as networks run it outside training. */
import type { Operation, Rule } from './rule.js';

/** y = (x - mean) / sqrt(variance + epsilon) scale + shift, with constants for each channel. */
export const batchNormalization: Rule = op => {
  const { write } = op;
  if (op.int('training_mode', 0) !== 0) throw op.unsupported('it runs in training mode');
  const deviation = write.op('Sqrt', [write.add(op.input(4), write.scalar(op.float('epsilon', 1e-5)))]);
  const factor = write.divide(op.input(1), deviation);
  return [write.multiply(op.dy, acrossChannels(op, factor))];
};

/** Ba, Kiros, Hinton, 'Layer Normalization', 2016: statistics over the axes from `axis` on. */
export const layerNormalization: Rule = op => {
  const rank = op.shape(op.x).length;
  const axis = op.axis(op.int('axis', -1), rank);
  const axes = Array.from({ length: rank - axis }, (_, i) => axis + i);
  return [standardised(op, op.x, op.write.multiply(op.dy, op.input(1)), axes)];
};

/** Ulyanov, Vedaldi, Lempitsky, 'Instance Normalization', 2016: statistics over the places of each channel. */
export const instanceNormalization: Rule = op => {
  const axes = op.shape(op.x).flatMap((_, axis) => (axis >= 2 ? [axis] : []));
  return [standardised(op, op.x, op.write.multiply(op.dy, acrossChannels(op, op.input(1))), axes)];
};

/**
 * The gradient of z = (x - mean) / sqrt(variance + epsilon) over axes, from dz:
 * (dz - mean(dz) - z mean(dz z)) / sqrt(variance + epsilon).
 */
function standardised(op: Operation, x: string, dz: string, axes: readonly number[]): string {
  const { write } = op;
  const centred = write.subtract(x, write.mean(x, axes));
  const variance = write.mean(write.multiply(centred, centred), axes);
  const deviation = write.op('Sqrt', [write.add(variance, write.scalar(op.float('epsilon', 1e-5)))]);
  const z = write.divide(centred, deviation);
  const common = write.add(write.mean(dz, axes), write.multiply(z, write.mean(write.multiply(dz, z), axes)));
  return write.divide(write.subtract(dz, common), deviation);
}

/** A value a channel, shaped to meet [N, channels, ...]. */
function acrossChannels(op: Operation, values: string): string {
  const places = op.shape(op.x).length - 2;
  return places === 0 ? values : op.write.reshape(values, [-1, ...new Array<number>(places).fill(1)]);
}

/**
 * Local response normalisation over neighbouring channels: y = x D^-beta, D = bias + alpha / size * (sum of squares).
 * Krizhevsky, Sutskever, Hinton, 'ImageNet Classification with Deep Convolutional Neural Networks', NIPS 2012.
 */
export const localResponse: Rule = op => {
  const { write } = op;
  const shape = op.shape(op.x);
  const channels = shape[1]!;
  if (shape.length !== 4) throw op.unsupported('it is not two-dimensional');
  const size = op.int('size', 1);
  const [alpha, beta] = [op.float('alpha', 1e-4), op.float('beta', 0.75)];
  const before = Math.floor((size - 1) / 2);
  const band = new Float32Array(channels * channels);
  for (let to = 0; to < channels; to++) {
    const from = Math.max(0, to - before);
    for (let c = from; c <= Math.min(channels - 1, to - before + size - 1); c++) band[to * channels + c] = 1;
  }
  const neighbours = write.floats([channels, channels, 1, 1], band);
  const back = write.op('Transpose', [neighbours], { perm: [1, 0, 2, 3] });
  const squares = write.op('Conv', [write.multiply(op.x, op.x), neighbours]);
  const d = write.add(write.scale(squares, alpha / size), write.scalar(op.float('bias', 1)));
  const direct = write.multiply(op.dy, write.op('Pow', [d, write.scalar(-beta)]));
  const share = write.multiply(write.multiply(op.dy, op.x), write.op('Pow', [d, write.scalar(-beta - 1)]));
  const across = write.multiply(op.x, write.op('Conv', [share, back]));
  return [write.subtract(direct, write.scale(across, (2 * alpha * beta) / size))];
};
