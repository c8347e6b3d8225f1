import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { findRecipe } from '../../src/config/recipes.js';
import { resolveOptions } from '../../src/config/settings.js';
import { PAPER_SETTINGS } from '../../src/defense/settings.js';
import { readModel } from '../../src/models/model.js';
import { recommendRecipe } from '../../src/models/recommend-recipe.js';
import { temporaryFolder } from '../helpers/files.js';
import { writeModel } from './folders.js';

describe("a recipe written into a model's folder", () => {
  it('is recommended by its name where it has one, and by its settings where it has none', async t => {
    const folder = await writeModel(await temporaryFolder(t), {});
    const { identity } = await readModel(folder);
    assert.equal(await recommendRecipe(folder, findRecipe('official')!), 'official');
    assert.deepEqual((await readModel(folder)).recommendation, { recipe: 'official', settings: undefined });

    const found = { ...PAPER_SETTINGS, deflections: 4000, strength: [0.5, 2] as const, order: ['deflect', 'crop:0.9'] };
    assert.equal(await recommendRecipe(folder, found), 'model');
    const model = await readModel(folder);
    assert.deepEqual(model.identity, identity);
    assert.ok(model.recorded);
    assert.deepEqual(model.recommendation?.settings, {
      deflections: 4000,
      strength: '0.5-2',
      order: ['deflect', 'crop:0.9'],
    });
    assert.deepEqual(resolveOptions({ seed: 's' }, model.recommendation).defence, { ...found, seed: 's' });

    // Going back to a name leaves no settings behind.
    await recommendRecipe(folder, PAPER_SETTINGS);
    assert.equal('settings' in JSON.parse(await readFile(join(folder, 'deflector.json'), 'utf8')), false);
  });
});
