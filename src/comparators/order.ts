/** `--order`: which steps a defended run consists of, in which order. The one list of all steps by name. */
import type { FindStep } from '../defense/order.js';
import { invalid } from '../errors.js';
import { suggest } from '../suggest.js';
import { anisotropicDiffusion } from './anisotropic-diffusion.js';
import { bilateral } from './bilateral.js';
import { bitDepth } from './bit-depth.js';
import { blockDct } from './block-dct.js';
import { crop } from './crop.js';
import { flip } from './flip.js';
import { jointSqueezing } from './joint-squeezing.js';
import { jpeg } from './jpeg.js';
import { medianSmoothing } from './median.js';
import { nonLocalMeansRgb } from './non-local-means.js';
import { nonLocalMeansTable4 } from './non-local-means-lab.js';
import { none } from './none.js';
import { quilting } from './quilting.js';
import { randomJpeg } from './random-jpeg.js';
import { rescale } from './rescale.js';
import { resizePad } from './resize-and-pad.js';
import { richardsonLucyStep } from './richardson-lucy.js';
import type { BoundStep, ImageStep, StepResources } from './step.js';
import { bregman } from './total-variation-bregman.js';
import { chambolle } from './total-variation-chambolle.js';
import { totalVariationMinimization } from './total-variation-minimization.js';
import { unsupervisedWienerStep } from './unsupervised-wiener.js';
import { wiener } from './wiener.js';

/** All comparators. Names are promises of the command line. */
export const COMPARATORS: readonly ImageStep[] = Object.freeze([
  none,
  bitDepth,
  medianSmoothing,
  nonLocalMeansTable4,
  nonLocalMeansRgb,
  jointSqueezing,
  resizePad,
  quilting,
  totalVariationMinimization,
  crop,
  jpeg,
  blockDct,
  bilateral,
  anisotropicDiffusion,
  chambolle,
  bregman,
  wiener,
  unsupervisedWienerStep,
  richardsonLucyStep,
]);

/** Steps that make runs differ, so that a vote has something to decide: no rivals of the paper's, but beyond it. */
export const RANDOMISERS: readonly ImageStep[] = Object.freeze([flip, randomJpeg, rescale]);

/** The two steps of the defence itself. Their parameters are settings, not part of the order. */
const DEFENCE_STEPS = ['deflect', 'denoise'] as const;

/** A step of an order: one of the defence's own, or a comparator with its parameters. */
export type OrderStep =
  | { readonly kind: 'defence'; readonly name: (typeof DEFENCE_STEPS)[number]; readonly text: string }
  | { readonly kind: 'comparator'; readonly name: string; readonly text: string; readonly step: BoundStep };

const BY_NAME: ReadonlyMap<string, ImageStep> = new Map(
  [...COMPARATORS, ...RANDOMISERS].map(step => [step.name, step]),
);

/** Names that an order may hold. */
const NAMES: readonly string[] = [...DEFENCE_STEPS, ...BY_NAME.keys()];

/**
 * Reads an order: steps separated by commas, `jpeg:75,deflect,denoise`.
 *
 * @param by the flag, variable or key by which it came, for messages
 * @throws DeflectorError SETTINGS_INVALID `Expected X for --order but received Z`
 */
export function parseOrder(text: string, by = '--order'): readonly OrderStep[] {
  return Object.freeze(text.split(',').map(word => parseStep(word.trim(), by)));
}

/** The canonical text of an order; parsing it gives the same order. */
export function printOrder(order: readonly OrderStep[]): string {
  return order.map(step => step.text).join(',');
}

/**
 * What a defender asks for the steps that are not its own.
 *
 * @param resources what some of them need beside the image
 */
export function comparatorSteps(resources: Readonly<StepResources> = {}): FindStep {
  return text => {
    const step = parseStep(text, '--order');
    if (step.kind === 'defence') throw invalid('the name of a comparator', 'none of the defence itself', text);
    const { random, apply, back } = step.step;
    return { random, apply: (planes, width, height, source) => apply(planes, width, height, source, resources), back };
  };
}

function parseStep(word: string, by: string): OrderStep {
  const colon = word.indexOf(':');
  const name = colon < 0 ? word : word.slice(0, colon);
  const parameters = colon < 0 ? '' : word.slice(colon + 1);
  const own = DEFENCE_STEPS.find(step => step === name);
  if (own !== undefined) {
    if (colon >= 0) throw invalid(by, `no parameters after ${JSON.stringify(own)}`, word);
    return Object.freeze({ kind: 'defence', name: own, text: own });
  }
  const kind = BY_NAME.get(name);
  if (kind === undefined) {
    const meant = suggest(name, NAMES);
    const hint = meant === undefined ? '' : ` (did you mean ${meant}?)`;
    throw invalid(by, `steps among ${NAMES.join(', ')}${hint}`, word);
  }
  if (colon >= 0 && parameters === '') throw invalid(by, `parameters after ${JSON.stringify(word)}`, word);
  const step = kind.parse(parameters, by);
  return Object.freeze({ kind: 'comparator', name, text: step.text, step });
}
