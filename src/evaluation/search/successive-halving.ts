/**
 * Successive halving: all candidates on few images, the better part of them on more, until few candidates have been tried
 * on all images. Karnin, Koren, Somekh, 'Almost Optimal Exploration in Multi-Armed Bandits', ICML 2013; Jamieson, Talwalkar,
 * 'Non-stochastic Best Arm Identification and Hyperparameter Optimization', AISTATS 2016.
 */
import { invalid } from '../../errors.js';

/** One round: so many candidates, each on the first so many images. */
export interface Round {
  readonly candidates: number;
  readonly images: number;
}

/** Share of the candidates that a round leaves, and factor on the images of the next. */
const HALVING = 3;

/**
 * The rounds. Each costs about as much as the one before: a third of the candidates on three times the images.
 *
 * @param candidates at least 1
 * @param images of the last round, at least 1
 * @param least images of the first round
 * @throws DeflectorError SETTINGS_INVALID
 */
export function roundsOf(candidates: number, images: number, least: number): readonly Round[] {
  for (const [what, value] of Object.entries({ candidates, images, 'images of the first round': least })) {
    if (!Number.isInteger(value) || value < 1) throw invalid(what, 'an integer of at least 1', value);
  }
  const rounds: Round[] = [];
  for (let n = Math.min(least, images), left = candidates; ; n = Math.min(n * HALVING, images)) {
    rounds.push({ candidates: left, images: n });
    if (n === images) return rounds;
    left = Math.max(Math.min(left, 2), Math.ceil(left / HALVING));
  }
}

/** The better ones by a score, best first; of equals those that came first. */
export function best<T>(all: readonly T[], count: number, score: (one: T) => number): readonly T[] {
  // Sorting is stable.
  return [...all].sort((a, b) => score(b) - score(a)).slice(0, count);
}
