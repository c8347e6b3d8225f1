/** Defences on adversarial images that were made elsewhere. */

import type { Model } from '../models/model.js';
import { contentDigest } from './content-digest.js';
import { DEFLECTION, type DefenceCase, JPEG, PAPER, PAPER_MODERN, rival, SHRINKAGE, variant } from './defence-case.js';
import { type EvaluationCache, keyOfCircumstances, keyOfDefence } from './evaluation-cache.js';
import { EvaluationPool } from './evaluation-pool.js';
import type { ExternalAttack, ExternalImage } from './external-images.js';
import type { Measurement } from './measurement.js';
import { type EvaluationOptions, unusualRuntime } from './model-evaluation.js';
import { type Case, cellOf, median } from './rates.js';
import { numberEntry, type Row, rateEntry, type Section } from './report-content.js';

/** Beside the paper's defence: its parts, both of its variants, and three rivals that cost next to nothing. */
const DEFENCES: readonly DefenceCase[] = [
  DEFLECTION,
  SHRINKAGE,
  variant('wd-modern', 'WD, modern', { order: ['denoise'], variant: 'modern' }),
  PAPER,
  PAPER_MODERN,
  JPEG,
  rival('4 bits', 'bits:4'),
  rival('Median 3x3', 'median:3'),
];

/** What each attack's images were found to be. */
interface Found {
  readonly attack: ExternalAttack;
  readonly measurements: readonly Measurement[];
}

/** @param recommended the recipe that the model's folder recommends */
export function externalDefences(recommended: DefenceCase | undefined): readonly DefenceCase[] {
  return recommended === undefined ? DEFENCES : [...DEFENCES, recommended];
}

/**
 * Puts defences to images that were made elsewhere.
 *
 * @returns `undefined` where it was asked to stop
 * @throws DeflectorError of the model and the cache
 */
export async function evaluateExternal(
  model: Model,
  attacks: readonly ExternalAttack[],
  defences: readonly DefenceCase[],
  cache: EvaluationCache,
  options: EvaluationOptions,
): Promise<Section | undefined> {
  const settings = defences.map(({ settings: own }) => ({ ...own, seed: options.seed, at: 'model' as const }));
  const keys = settings.map(one => keyOfDefence(one, undefined));
  let pool: EvaluationPool | undefined;
  const examine = async ({ pixels, label, original }: ExternalImage): Promise<Measurement> => {
    const key = keyOfCircumstances({
      model: model.identity.sha256,
      preprocessing: model.preprocessing,
      runtime: unusualRuntime(model, options.runtime),
      clean: original === undefined ? null : contentDigest(original),
      given: contentDigest(pixels),
      label,
      attack: null,
      parameters: {},
      seed: options.seed,
    });
    const known = await cache.find(key);
    const missing = Object.fromEntries(
      keys.flatMap((name, i) => (known?.outcomes[name] === undefined ? [[name, settings[i]!]] : [])),
    );
    if (known !== undefined && Object.keys(missing).length === 0) {
      options.done(key, known, true);
      return known;
    }
    const { measurement } = await pool!.examine({
      clean: original,
      label,
      attack: undefined,
      attacked: pixels,
      known,
      defences: missing,
      seed: options.seed,
    });
    const whole = { ...measurement, outcomes: { ...known?.outcomes, ...measurement.outcomes } };
    await cache.keep(key, whole, undefined);
    options.done(key, whole, false);
    return whole;
  };
  const { model: name, runtime, threads } = options;
  pool = await EvaluationPool.start({ model: name, runtime, gradients: false, patches: undefined }, threads);
  try {
    const found: Found[] = [];
    for (const attack of attacks) {
      const measurements: Measurement[] = [];
      const inHand: Promise<Measurement>[] = [];
      try {
        for (const image of attack.images) {
          if (options.signal.aborted) return undefined;
          inHand.push(examine(image));
          if (inHand.length > 2 * threads) measurements.push(await inHand.shift()!);
        }
        while (inHand.length > 0) measurements.push(await inHand.shift()!);
      } finally {
        await Promise.allSettled(inHand);
      }
      found.push({ attack, measurements });
    }
    return sectionOf(found, defences, keys);
  } finally {
    await pool.end();
  }
}

function sectionOf(found: readonly Found[], defences: readonly DefenceCase[], keys: readonly string[]): Section {
  const rows = found.map(({ attack, measurements }): Row => {
    // The model got the original wrong: the image says nothing of attack or defence.
    const counted = measurements.filter(({ clean, label }) => clean === label);
    const cells = keys.map(key =>
      cellOf(counted.map((measurement): Case => ({ measurement, outcome: measurement.outcomes[key]! }))),
    );
    return {
      title: attack.name,
      entries: [
        numberEntry(median(counted.map(({ l2 }) => l2)), 3),
        numberEntry(median(counted.map(({ margin }) => margin)), 2),
        rateEntry(cells[0]!.undefended),
        ...defences.flatMap((defence, i) =>
          isShownTwice(defence)
            ? [rateEntry(cells[i]!.single), rateEntry(cells[i]!.vote)]
            : [rateEntry(cells[i]!.vote)],
        ),
      ],
    };
  });
  return {
    id: 'external',
    title: 'Adversarial images that were made elsewhere',
    paragraphs: [
      'Accuracy on images that others attacked, as they are. Images whose original the model gets wrong are left out.',
    ],
    tables: [
      {
        id: 'external',
        title: 'Accuracy under attack',
        corner: 'Attack',
        columns: [
          '|L2|',
          'Margin',
          'No defence',
          ...defences.flatMap(defence =>
            isShownTwice(defence) ? [`${defence.title}, single run`, `${defence.title}, Ens-10`] : [defence.title],
          ),
        ],
        rows,
        notes: found
          .filter(({ attack }) => attack.parameters !== '')
          .map(({ attack }) => `${attack.name}: ${attack.parameters}`),
      },
    ],
    plots: [],
  };
}

function isShownTwice({ id }: DefenceCase): boolean {
  return id === PAPER.id || id === PAPER_MODERN.id;
}
