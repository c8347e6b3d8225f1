/** Whether a model is whole, runs, and keeps what the defence relies on. */
import { softmax } from '../defense/softmax.js';
import { DeflectorError } from '../errors.js';
import type { Classifier, ClassifierOutput } from '../types.js';
import { type Model, readModel } from './model.js';
import { openClassifier } from './runtimes.js';

/** One claim about a model. `note`: true to know, no reason to refuse the model. */
export interface ModelCheck {
  readonly claim: string;
  readonly outcome: 'pass' | 'fail' | 'note';
  readonly detail: string;
}

/** Largest difference of a score that rounding in single precision explains, relative to the largest score. */
const TOLERANCE = 1e-3;

/** Half-precision networks round at each layer. */
const HALF_TOLERANCE = 5e-2;

/**
 * Checks the model in a folder: files, digest, shapes, finite scores, the same scores alone and in a batch, and that the
 * head found in the graph explains the scores.
 *
 * @param runtime name of a runtime, or `auto`
 * @returns the checks in order; they end at the first failure
 * @throws DeflectorError RUNTIME_UNAVAILABLE, SETTINGS_INVALID: nothing is said about the model then
 */
export async function checkModel(folder: string, runtime = 'auto'): Promise<readonly ModelCheck[]> {
  const checks: ModelCheck[] = [];
  try {
    const model = await readModel(folder);
    checks.push({ claim: 'files', outcome: 'pass', detail: `${model.labels.length} classes, ${inputOf(model)}` });
    checks.push(
      model.recorded
        ? { claim: 'digest', outcome: 'pass', detail: `SHA-256 ${model.identity.sha256} as recorded` }
        : { claim: 'digest', outcome: 'note', detail: `SHA-256 ${model.identity.sha256}, recorded nowhere` },
    );
    const classifier = await openClassifier(model, { runtime });
    try {
      checks.push({ claim: 'runs', outcome: 'pass', detail: `on ${classifier.runtime}` });
      checks.push(...(await checkScores(model, classifier)));
    } finally {
      await classifier.dispose();
    }
  } catch (error) {
    if (!(error instanceof DeflectorError) || !/^(MODEL_|INFERENCE_)/.test(error.code)) throw error;
    checks.push({ claim: failedClaim(error, checks.length), outcome: 'fail', detail: error.message });
  }
  return checks;
}

function failedClaim(error: DeflectorError, passed: number): string {
  if (error.code === 'MODEL_DIGEST_MISMATCH') return 'digest';
  return passed === 0 ? 'files' : 'runs';
}

function inputOf({ preprocessing: p, network }: Model): string {
  return `${p.width}x${p.height} pixels, ${network.input.type}, ${network.output.kind}`;
}

async function checkScores(model: Model, classifier: Classifier): Promise<ModelCheck[]> {
  const size = 3 * classifier.preprocessing.width * classifier.preprocessing.height;
  const images = Float32Array.from({ length: 3 * size }, noise());
  const withHead = classifier.head !== undefined;
  const batch = await classifier.classify(images, 3, withHead);
  if (!batch.scores.every(Number.isFinite)) {
    return [{ claim: 'scores', outcome: 'fail', detail: 'some scores are not finite' }];
  }
  const alone = await classifier.classify(images.subarray(2 * size), 1, withHead);
  const classes = classifier.labels.length;
  const gap = relativeGap(alone.scores, batch.scores.subarray(2 * classes));
  const tolerance = model.network.input.type === 'float16' ? HALF_TOLERANCE : TOLERANCE;
  return [
    { claim: 'scores', outcome: 'pass', detail: 'finite' },
    {
      claim: 'batches',
      outcome: gap <= tolerance ? 'pass' : 'fail',
      detail:
        gap === 0
          ? 'an image has the same scores alone and in a batch'
          : `scores alone and in a batch differ by ${gap.toExponential(1)} of the largest`,
    },
    checkHead(model, classifier, alone, tolerance),
  ];
}

/** Zhou et al. 2016, section 2: the scores are the linear layer of the means of the feature maps. */
function checkHead(model: Model, classifier: Classifier, output: ClassifierOutput, tolerance: number): ModelCheck {
  const { head } = classifier;
  const { features } = output;
  if (head === undefined || features === undefined) {
    return {
      claim: 'activation maps',
      outcome: 'note',
      detail: `none: ${classifier.headless}; use --localizer NAME or --map uniform`,
    };
  }
  const places = features.width * features.height;
  const bias = model.network.head?.linear?.bias;
  const means = Float64Array.from({ length: features.channels }, (_, k) => {
    let sum = 0;
    for (let p = 0; p < places; p++) sum += features.data[k * places + p]!;
    return sum / places;
  });
  const logits = Float64Array.from({ length: head.classes }, (_, c) => {
    let sum = bias?.[c] ?? 0;
    for (let k = 0; k < head.channels; k++) sum += head.weights[c * head.channels + k]! * means[k]!;
    return sum;
  });
  // Logits behind a logarithm of a softmax are known but for a constant; softmax takes it away on both sides.
  const gap = relativeGap(
    softmax(logits, 0, head.classes),
    classifier.outputs === 'logits' ? softmax(output.scores, 0, head.classes) : output.scores,
  );
  return {
    claim: 'activation maps',
    outcome: gap <= tolerance ? 'pass' : 'fail',
    detail:
      gap <= tolerance
        ? `${features.channels} feature maps of ${features.width}x${features.height}`
        : `the head found in the graph explains the scores only to ${gap.toExponential(1)}`,
  };
}

function relativeGap(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let difference = 0;
  let largest = Number.MIN_VALUE;
  for (let i = 0; i < a.length; i++) {
    difference = Math.max(difference, Math.abs(a[i]! - b[i]!));
    largest = Math.max(largest, Math.abs(a[i]!));
  }
  return difference / largest;
}

/** Reproducible numbers between -1 and 1: the minimal standard generator of Park and Miller, 1988. */
function noise(): () => number {
  let state = 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return (2 * state) / 2_147_483_647 - 1;
  };
}
