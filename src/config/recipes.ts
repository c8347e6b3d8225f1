/** Recipes: named sets of defence settings. A flag, a variable or a key of deflector.yaml overrides what a recipe says. */
import { type DefenceSettings, PAPER_SETTINGS } from '../defense/settings.js';

/** All settings of a defence but for its seed, which is every job's own. */
export type Recipe = Omit<DefenceSettings, 'seed'>;

const RECIPES: ReadonlyMap<string, Recipe> = new Map([
  ['paper', PAPER_SETTINGS],
  ['official', Object.freeze<Recipe>({ ...PAPER_SETTINGS, deflection: 'official', deflections: 200, map: 'official' })],
  // What `deflector search` chose for EfficientNet-Lite0: docs/results/search/search.md.
  [
    'dense',
    Object.freeze<Recipe>({
      ...PAPER_SETTINGS,
      deflections: 2000,
      window: 4,
      sigma: 0.03,
      vote: 'pool',
      trust: 0.4,
      order: Object.freeze(['deflect', 'denoise', 'crop:0.93-0.98', 'randomjpeg:60-90']),
    }),
  ],
]);

/**
 * The recipe that a model's folder brings along: settings of its own, as `deflector search --write` leaves them. Which they
 * are, the folder says; records of jobs hold every setting, so that nobody needs the folder to repeat one.
 */
export const MODEL_RECIPE = 'model';

/** What a model's folder recommends: a named recipe, or `model` with the settings in which it differs from `paper`. */
export interface Recommendation {
  readonly recipe: string;
  readonly settings?: Readonly<Record<string, unknown>> | undefined;
}

/** The recipe where neither the user nor the model's folder names one. */
export const DEFAULT_RECIPE = 'paper';

export const RECIPE_NAMES: readonly string[] = [...RECIPES.keys()];

/** @returns `undefined` where there is no recipe of that name */
export function findRecipe(name: string): Recipe | undefined {
  return RECIPES.get(name);
}
