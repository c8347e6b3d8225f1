import type { Recommendation } from '../config/recipes.js';
import { readRecord, recommendationOf } from '../models/model.js';
import { resolveModel } from '../models/registry.js';

/**
 * What a model's folder recommends.
 *
 * @param model name or folder
 * @throws DeflectorError MODEL_NOT_FOUND, MODEL_INVALID
 */
export async function recommendedRecipe(model: string): Promise<Recommendation | undefined> {
  const record = await readRecord(await resolveModel(model));
  return record && recommendationOf(record);
}
