import { readRecord } from '../models/model.js';
import { resolveModel } from '../models/registry.js';

/**
 * The recipe that a model's folder recommends.
 *
 * @param model name or folder
 * @throws DeflectorError MODEL_NOT_FOUND, MODEL_INVALID
 */
export async function recommendedRecipe(model: string): Promise<string | undefined> {
  return (await readRecord(await resolveModel(model)))?.recipe;
}
