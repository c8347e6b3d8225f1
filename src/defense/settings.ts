/** The settings of the defence and their defaults (the paper's, sections 8 and 9.1). */

/**
 * A step of `order`: `deflect` and `denoise` are the paper's, any other is a rival defence by its canonical text, as
 * `jpeg:75` (docs/comparators.md).
 */
export type DefenceStep = 'deflect' | 'denoise' | (string & {});

/** When the vote of an image may end before all of its runs were executed. */
export type EarlyStop =
  /** All runs are executed. */
  | { readonly kind: 'off' }
  /** Runs are executed only as long as they can change the winner: the label is that of all runs. */
  | { readonly kind: 'exact' }
  /** A sequential test: the label differs from that of all runs with at most this probability, in (0, 0.5). */
  | { readonly kind: 'risk'; readonly probability: number };

/** Resolved settings of one defence: all fields present, checked and frozen. */
export interface DefenceSettings {
  /** Stochastic runs an image, 1 to 1000. */
  readonly runs: number;
  /** K: draws a run, skipped ones included (rule `paper`), or channel writes (rule `official`). 0 to 10,000,000. */
  readonly deflections: number;
  /** r: apothem in pixels of the square window that a replacement is drawn from, 1 to 1024. */
  readonly window: number;
  /** Noise standard deviation on the [0,1] scale; `null` estimates it for each plane from its finest diagonal sub-band. */
  readonly sigma: number | null;
  /** Factor on sigma, given or estimated: least and most, 0 to 100; where they differ each `denoise` step draws it, uniform between them. */
  readonly strength: readonly [number, number];
  /** Randomly shifted grids that each `denoise` step takes the mean over (cycle spinning), 1 to 64; 0: the image's own grid. */
  readonly spin: number;
  /** Share of the threshold that the activation map takes off where it is 1, 0 to 1. */
  readonly spare: number;
  /** Wavelet by its PyWavelets name: haar, db1 ... */
  readonly wavelet: string;
  /** Decomposition levels; `null` takes max(maximum level - 3, 1), as scikit-image does. */
  readonly levels: number | null;
  readonly shrink: 'bayes' | 'visu' | 'sure' | 'none';
  readonly threshold: 'soft' | 'hard';
  /** Which scikit-image behaviour the noise scale follows: up to 0.15 (`legacy`) or from 0.16 (`modern`). */
  readonly variant: 'legacy' | 'modern';
  readonly deflection: 'paper' | 'official' | 'none';
  readonly sampling: 'uniform' | 'gaussian';
  readonly replace: 'random' | 'min' | 'max' | 'mean';
  readonly map: 'rcam' | 'cam' | 'uniform' | 'official';
  /** Classes that the robust activation map averages over, 1 to 1000. */
  readonly mapClasses: number;
  readonly vote: 'majority' | 'mean' | 'pool';
  /** Head start of the undefended image's label, in the vote's own score for each run (see vote.ts), 0 to 10. */
  readonly trust: number;
  readonly earlyStop: EarlyStop;
  /** Any text; with the content hash of an image and the number of a run it fixes every draw. */
  readonly seed: string;
  /** Defend at the model's input size (the paper) or at the image's own, before the resize. */
  readonly at: 'model' | 'original';
  /** Steps in the order they are applied, each on the result of the one before; a step may come again. None: no defence. */
  readonly order: readonly DefenceStep[];
}

/** The paper's settings, but for the seed. */
export const PAPER_SETTINGS: Omit<DefenceSettings, 'seed'> = Object.freeze({
  runs: 10,
  deflections: 100,
  window: 10,
  sigma: 0.04,
  strength: Object.freeze([1, 1] as const),
  spin: 0,
  spare: 0,
  wavelet: 'db1',
  levels: null,
  shrink: 'bayes',
  threshold: 'soft',
  variant: 'legacy',
  deflection: 'paper',
  sampling: 'uniform',
  replace: 'random',
  map: 'rcam',
  mapClasses: 5,
  vote: 'majority',
  trust: 0,
  earlyStop: Object.freeze({ kind: 'exact' }),
  at: 'model',
  order: Object.freeze(['deflect', 'denoise'] as const),
});

/** Whether any pixel may be deflected. */
export function deflects({ order, deflection, deflections }: DefenceSettings): boolean {
  return order.includes('deflect') && deflection !== 'none' && deflections > 0;
}

/** Whether any detail may be shrunk. */
function denoises({ order, shrink }: DefenceSettings): boolean {
  return order.includes('denoise') && shrink !== 'none';
}

/** Whether an activation map can change a result. */
export function usesMap(settings: DefenceSettings): boolean {
  return settings.map !== 'uniform' && (deflects(settings) || (denoises(settings) && settings.spare > 0));
}
