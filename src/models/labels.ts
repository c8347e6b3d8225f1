/** Reads the names of classes. */
import { z } from 'zod';
import { DeflectorError } from '../errors.js';
import type { Label } from '../types.js';

/** Most classes of a model: ImageNet-21k has 21,843. */
const MAX_CLASSES = 1_000_000;

const configSchema = z.object({
  id2label: z.record(z.string().regex(/^\d{1,7}$/), z.string()),
  /** WordNet ids in the order of the classes: a field of Deflector's own. */
  wordnet_ids: z.array(z.string()).optional(),
});

/**
 * Labels of a `config.json` as Transformers writes it: `id2label`, from index to name.
 *
 * @throws DeflectorError MODEL_INVALID where a class between 0 and the last has no name
 */
export function parseLabels(config: unknown): readonly Label[] {
  const parsed = configSchema.safeParse(config);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(`${issue?.path.join('.') || 'the file'}: ${issue?.message}`);
  }
  const { id2label, wordnet_ids: ids } = parsed.data;
  const count = Object.keys(id2label).length;
  if (count < 2 || count > MAX_CLASSES) throw invalid(`id2label names ${count} classes`);
  if (ids !== undefined && ids.length !== count) throw invalid(`wordnet_ids has ${ids.length} entries, not ${count}`);
  return Object.freeze(
    Array.from({ length: count }, (_, index) => {
      const name = id2label[index];
      if (name === undefined) throw invalid(`id2label has ${count} entries but none for class ${index}`);
      return Object.freeze({ index, id: ids?.[index] ?? '', name });
    }),
  );
}

function invalid(what: string): DeflectorError {
  return new DeflectorError('MODEL_INVALID', `config.json: ${what}`);
}
