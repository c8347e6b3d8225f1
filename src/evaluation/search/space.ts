/**
 * What is searched: deflection, shrinkage, what makes runs differ, and how they vote. Not a grid, which would be too large,
 * but draws from it: where few of the settings matter, draws try more values of each (Bergstra, Bengio, 'Random Search for
 * Hyper-Parameter Optimization', JMLR 2012).
 */
import { createHash } from 'node:crypto';
import { findRecipe, RECIPE_NAMES, type Recipe } from '../../config/recipes.js';
import { printDefence } from '../../config/settings.js';
import { runRandom } from '../../defense/random.js';
import { PAPER_SETTINGS } from '../../defense/settings.js';

/** Settings of the runs; how they vote is tried for all of them. */
type RunSettings = Omit<Recipe, 'vote' | 'trust'>;

/** Runs under fixed settings. */
export interface Candidate {
  /** Of its settings. */
  readonly id: string;
  /** The recipe that it is, or how it was found. */
  readonly origin: string;
  readonly settings: RunSettings;
}

/** How the runs of a candidate may vote; all of it is known once the runs are. */
export const VOTES: readonly Pick<Recipe, 'vote' | 'trust'>[] = Object.freeze([
  { vote: 'majority', trust: 0 },
  ...[0, 0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.5, 2].map(trust => ({ vote: 'pool', trust }) as const),
]);

/** The values that are drawn. */
const SPACE = {
  deflections: [100, 1000, 2000, 4000, 8000],
  window: [2, 3, 4, 6, 10],
  map: ['rcam', 'rcam', 'uniform'],
  sigma: [0.02, 0.03, 0.04, 0.05, 0.06, null],
  strength: [
    [1, 1],
    [1, 1],
    [0.6, 1.6],
    [2, 2],
  ],
  variant: ['legacy', 'legacy', 'modern'],
  spin: [0, 0, 1, 2],
  spare: [0, 0, 0.5],
  before: [[], [], [], ['randomjpeg:30-70']],
  after: [['crop:0.93-0.98'], ['crop:0.93-0.98'], ['crop:0.85-0.97'], ['crop:0.93-0.98', 'flip'], []],
  last: [[], [], ['randomjpeg:60-90'], ['randomjpeg:40-80'], ['rescale:0.6-0.9']],
} as const;

function candidateOf(settings: RunSettings, origin: string): Candidate {
  const printed = printDefence({ ...settings, vote: 'majority', trust: 0, seed: '' });
  const id = createHash('sha256').update(JSON.stringify(printed)).digest('hex').slice(0, 8);
  return Object.freeze({ id, origin, settings });
}

/** The named recipes, then draws from the space; no two alike. */
export function drawCandidates(count: number, seed: string): readonly Candidate[] {
  const found = new Map<string, Candidate>();
  const add = (candidate: Candidate) => {
    if (!found.has(candidate.id)) found.set(candidate.id, candidate);
  };
  for (const name of RECIPE_NAMES) add(candidateOf(findRecipe(name)!, name));
  const source = runRandom(seed, '0'.repeat(64), 0);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(source.uniform() * values.length)]!;
  // The space is far larger than any count that is asked for.
  while (found.size < count) {
    const order = [...pick(SPACE.before), 'deflect', 'denoise', ...pick(SPACE.after), ...pick(SPACE.last)];
    add(
      candidateOf(
        {
          ...PAPER_SETTINGS,
          deflections: pick(SPACE.deflections),
          window: pick(SPACE.window),
          map: pick(SPACE.map),
          sigma: pick(SPACE.sigma),
          strength: pick(SPACE.strength),
          variant: pick(SPACE.variant),
          spin: pick(SPACE.spin),
          spare: pick(SPACE.spare),
          order: Object.freeze(order),
        },
        'drawn',
      ),
    );
  }
  return [...found.values()].slice(0, Math.max(count, RECIPE_NAMES.length));
}

/** The parameters of the paper's figure 5, and the values that they are moved to around what was found. */
const NEIGHBOURS = {
  sigma: [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08],
  window: [1, 2, 3, 4, 6, 10, 20],
  deflections: [0, 500, 1000, 2000, 4000, 8000, 16_000],
} as const;

/** A parameter of figure 5. */
export type Swept = keyof typeof NEIGHBOURS;

/** A candidate with one parameter moved: the curves of figure 5 around it. */
export function neighboursOf({ settings }: Candidate): readonly (Candidate & { swept: Swept; value: number })[] {
  return (Object.keys(NEIGHBOURS) as Swept[]).flatMap(swept =>
    NEIGHBOURS[swept].map(value => ({
      ...candidateOf({ ...settings, [swept]: value }, `${swept} ${value}`),
      swept,
      value,
    })),
  );
}
