/** Lets a model's folder recommend a recipe. */
import { rename, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { findRecipe, MODEL_RECIPE, RECIPE_NAMES, type Recipe } from '../config/recipes.js';
import { printDefence } from '../config/settings.js';
import { PAPER_SETTINGS } from '../defense/settings.js';
import { DeflectorError } from '../errors.js';
import { digestOf, type ModelRecord, RECORD_SCHEMA, readRecord } from './model.js';
import { readNetworkFiles } from './network-files.js';

/**
 * Records a recipe in `deflector.json`: by its name where it has one, else as `model` with the settings in which it differs
 * from the paper's.
 *
 * @returns the name of the recipe
 * @throws DeflectorError MODEL_INVALID, MODEL_NOT_FOUND; STORE_UNAVAILABLE where the folder cannot be written
 */
export async function recommendRecipe(folder: string, recipe: Recipe): Promise<string> {
  const {
    recipe: _,
    settings: __,
    ...record
  } = (await readRecord(folder)) ?? {
    schema: RECORD_SCHEMA,
    name: basename(resolve(folder)),
    sha256: digestOf(await readNetworkFiles(folder)),
  };
  const asked = printed(recipe);
  const named = RECIPE_NAMES.find(name => sameAs(printed(findRecipe(name)!), asked));
  const paper = printed(PAPER_SETTINGS);
  const settings = Object.fromEntries(Object.entries(asked).filter(([name, value]) => !sameAs(value, paper[name])));
  const entry: ModelRecord = { ...record, recipe: named ?? MODEL_RECIPE, ...(named === undefined ? { settings } : {}) };
  const path = join(folder, 'deflector.json');
  try {
    await writeFile(`${path}.new`, `${JSON.stringify(entry, null, 2)}\n`);
    await rename(`${path}.new`, path);
  } catch (cause) {
    throw new DeflectorError('STORE_UNAVAILABLE', `The model's folder cannot be written: ${(cause as Error).message}`, {
      cause,
    });
  }
  return entry.recipe!;
}

function printed(recipe: Recipe): Readonly<Record<string, unknown>> {
  const { seed: _, ...settings } = printDefence({ ...recipe, seed: '-' });
  return settings;
}

/** Of values in JSON. */
function sameAs(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
