/**
 * The seam between the defence and its two implementations: the plain one in double precision, which is the
 * specification and the oracle of the tests, and the kernel, which is fast.
 */
import type { ActivationMap, RgbImage } from '../types.js';
import type { DeflectionList } from './deflection.js';
import type { DefenceSettings } from './settings.js';

/** A replayable stream of uniform numbers. */
export interface UniformSource {
  /** The next number of the stream, uniform on [0, 1). */
  uniform(): number;
}

/** How a defended run is written for a network: value = rgb01 * scale[c] + bias[c], c in RGB order. */
export interface TensorFormat {
  readonly layout: 'nchw' | 'nhwc';
  /** Order of the channels in the tensor; scale and bias stay in RGB order. */
  readonly channels: 'rgb' | 'bgr';
  readonly scale: readonly [number, number, number];
  readonly bias: readonly [number, number, number];
}

/** Planar RGB in [0,1]: scale 1, bias 0. */
export const PLAIN_RGB: TensorFormat = Object.freeze({
  layout: 'nchw',
  channels: 'rgb',
  scale: [1, 1, 1] as const,
  bias: [0, 0, 0] as const,
});

/** Told of the deflections of a run, once for each step that deflects; the list is good for the time of the call. */
export type WatchDeflections = (list: DeflectionList) => void;

/** One image made ready for many runs: what all runs share was computed once. */
export interface PreparedImage {
  /** Whether runs differ; where they do not, one stands for all. */
  readonly isRandom: boolean;
  /**
   * Writes one defended run.
   *
   * @param source the run's own stream of draws (see random.ts); the steps that draw consume it in their order
   * @param out float32; 3 * width * height elements are written from `offset`
   */
  run(source: UniformSource, out: Float32Array, offset: number, format: TensorFormat, watch?: WatchDeflections): void;
  /** Gives the image's memory back; no call may follow. */
  release(): void;
}

/** An implementation of the defence. Same image, map, settings and draws: same bytes. */
export interface Defender {
  /** @param map same size as the image; `undefined` deflects everywhere */
  prepare(image: RgbImage, map: ActivationMap | undefined, settings: DefenceSettings): PreparedImage;
}
