/**
 * A gradient in phases: behind a convolution of stride s the positions of a grid fall into s x s kinds, and each kind has
 * its own gradient, of a size 1/s. What works on each position by itself can work on the phases, and they are woven
 * together where that costs least: in inverted residuals behind the next convolution, when a sixth of the channels is left.
 */
import type { GraphWriter } from '../graph-writer.js';

export interface PhasedGradient {
  /** [N, channels, size[0], size[1]] each, row by row of the square that repeats. */
  readonly phases: readonly string[];
  readonly channels: number;
  readonly size: readonly [number, number];
  readonly strides: readonly [number, number];
}

/** What stands for the gradient of a tensor on the way back. */
export type Gradient = string | PhasedGradient;

/**
 * The gradient as one tensor [N, channels, size[0] * strides[0], size[1] * strides[1]]. By transposes, because the
 * runtime's DepthToSpace takes eight times as long.
 */
export function woven(write: GraphWriter, { phases, channels, size, strides }: PhasedGradient): string {
  const [height, width] = size;
  const [vertical, horizontal] = strides;
  const lines = channels * height;
  const stacked = write.reshape(write.op('Concat', phases, { axis: 1 }), [0, phases.length, lines * width]);
  const side = write.op('Transpose', [stacked], { perm: [0, 2, 1] });
  const points = write.reshape(side, [0, lines, width, vertical, horizontal]);
  const even = write.op('Transpose', [points], { perm: [0, 1, 3, 2, 4] });
  return write.reshape(even, [0, channels, height * vertical, width * horizontal]);
}

/** The same positions of another tensor of the whole size, phase by phase: by convolutions, which keep the runtime's own layout. */
export function sampled(
  write: GraphWriter,
  x: string,
  { phases, channels, strides }: Pick<PhasedGradient, 'phases' | 'channels' | 'strides'>,
): string[] {
  return phases.map((_, phase) => {
    const taps = Float32Array.from({ length: channels * phases.length }, (_, i) =>
      i % phases.length === phase ? 1 : 0,
    );
    const kernel = write.floats([channels, 1, ...strides], taps);
    return write.op('Conv', [x, kernel], { group: channels, strides: [...strides] });
  });
}
