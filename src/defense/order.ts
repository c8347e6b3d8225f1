/** The steps of an order: the defence's own two, and whatever else stands between them. */
import { DeflectorError, invalid } from '../errors.js';
import type { RgbImage } from '../types.js';
import type { UniformSource } from './defender.js';
import { drawsDenoising } from './denoise-draws.js';
import { type DefenceSettings, deflects } from './settings.js';

/** A step that is not the defence's own: a pure function of pixels and draws. */
export interface ForeignStep {
  /** Whether it draws. */
  readonly random: boolean;
  /**
   * Applies the step in place.
   *
   * @param planes float32, planar [3, height, width], RGB in [0,1]; values stay in [0,1]
   * @param source left alone unless `random`
   */
  apply(planes: Float32Array, width: number, height: number, source: UniformSource): void;
  /**
   * The transposed Jacobian of the step at `planes`, in place of the gradient with respect to its result. Absent where
   * the step has none that is of use.
   *
   * @param gradient float32, planar [3, height, width]; in place
   * @param planes what the step was applied to
   * @param source the draws that it was applied with, again
   */
  readonly back?:
    | ((gradient: Float32Array, planes: Float32Array, width: number, height: number, source: UniformSource) => void)
    | undefined;
}

/** Finds a foreign step by its text. @throws DeflectorError SETTINGS_INVALID */
export type FindStep = (text: string) => ForeignStep;

/** A step ready to be carried out. */
export type Step = 'deflect' | 'denoise' | ForeignStep;

/** For defenders that know the defence's own steps alone. */
export const ownStepsOnly: FindStep = text => {
  throw invalid('--order', 'deflect and denoise', text);
};

/** The steps of the settings' order, without those that change nothing under the other settings. */
export function stepsOf(settings: DefenceSettings, find: FindStep): readonly Step[] {
  return settings.order
    .filter(text => (text !== 'deflect' || deflects(settings)) && (text !== 'denoise' || settings.shrink !== 'none'))
    .map(text => (isOwn(text) ? text : find(text)));
}

/** The draws of a step that takes none. */
export const NO_DRAWS: UniformSource = {
  uniform() {
    throw new DeflectorError('INTERNAL', 'A step that is not random drew a number');
  },
};

/** Whether a step is the defence's own. */
export function isOwn(text: string): text is 'deflect' | 'denoise' {
  return text === 'deflect' || text === 'denoise';
}

/** Whether two runs of the step differ, under settings that let it stand among `stepsOf`. */
export function isRandom(step: Step, settings: DefenceSettings): boolean {
  if (step === 'deflect') return true;
  return step === 'denoise' ? drawsDenoising(settings) : step.random;
}

/**
 * Carries a foreign step out on planes that may lie outside [0,1], as variant `modern` leaves them: it reads them cut off.
 *
 * @param planes float32, planar [3, height, width]; in place
 */
export function applyForeign(
  step: ForeignStep,
  planes: Float32Array,
  width: number,
  height: number,
  source: UniformSource,
): void {
  for (let i = 0; i < planes.length; i++) planes[i] = Math.min(Math.max(planes[i]!, 0), 1);
  step.apply(planes, width, height, source);
}

/** Levels of 8 bits in single precision. */
const LEVELS = Float32Array.from({ length: 256 }, (_, level) => level / 255);

/** An 8-bit image as planes: float32 [3, height, width], RGB in [0,1]. */
export function toPlanar({ width, height, data }: RgbImage): Float32Array {
  const size = width * height;
  const planes = new Float32Array(3 * size);
  for (let channel = 0, to = 0; channel < 3; channel++) {
    for (let from = channel; from < 3 * size; from += 3) planes[to++] = LEVELS[data[from]!]!;
  }
  return planes;
}

/** The 8-bit image that planes in [0,1] hold, or `undefined` where some value is none of 8 bits. */
export function toBytes(planes: Float32Array, width: number, height: number): RgbImage | undefined {
  const size = width * height;
  const data = new Uint8Array(3 * size);
  for (let channel = 0, from = 0; channel < 3; channel++) {
    for (let to = channel; to < 3 * size; to += 3) {
      const value = planes[from++]!;
      const level = (value * 255 + 0.5) | 0;
      if (LEVELS[level] !== value) return undefined;
      data[to] = level;
    }
  }
  return { width, height, data };
}
