/**
 * Deflector as a library.
 *
 *     import { createDefense } from 'deflector';
 *
 *     const defense = await createDefense({ runs: 10, threads: 4 });
 *     const verdict = await defense.defend(await readFile('cat.jpg'));
 *     await defense.close();
 */

export type { DefenceSettings, DefenceStep, EarlyStop } from './defense/settings.js';
export { DeflectorError, ERROR_CATALOGUE, type ErrorCode } from './errors.js';
export {
  createDefense,
  type DefendedPixels,
  type Defense,
  type DefenseOptions,
  type InputImage,
  type PixelOptions,
} from './library/create-defense.js';
export type { FunctionClassifier } from './library/function-classifier.js';
export type {
  ActivationMap,
  ErrorVerdict,
  Label,
  ModelIdentity,
  OkVerdict,
  Preprocessing,
  RgbImage,
  Verdict,
  VerdictError,
  VoteCount,
} from './types.js';
