/** Reads the names of classes. */
import { z } from 'zod';
import { DeflectorError } from '../errors.js';
import type { Label } from '../types.js';
import { MAX_JSON_BYTES, readLimited } from './folder-files.js';

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

const listSchema = z.union([
  z.array(z.string()),
  z.array(z.object({ id: z.string().optional(), name: z.string() })),
  z.object({ id2label: z.record(z.string(), z.string()) }),
  z.record(z.string(), z.string()),
]);

/**
 * A user's own list of classes: JSON (names, or objects with `name` and perhaps `id`, or a map from index to name as in
 * `id2label`), or text with one name a line.
 *
 * @throws DeflectorError MODEL_NOT_FOUND where there is no such file, MODEL_INVALID
 */
export async function readLabelsFile(path: string): Promise<readonly Label[]> {
  const bytes = await readLimited(path, MAX_JSON_BYTES);
  if (bytes === undefined) throw new DeflectorError('MODEL_NOT_FOUND', `There is no file ${path} with labels`);
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '');
  if (!/^\s*[[{]/.test(text)) {
    const names = text.trimEnd().split(/\r?\n/);
    return names.map((name, index) => ({ index, id: '', name: name.trim() }));
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new DeflectorError('MODEL_INVALID', `${path} is neither JSON nor a list of lines`, { cause });
  }
  const parsed = listSchema.safeParse(json);
  if (!parsed.success) throw new DeflectorError('MODEL_INVALID', `${path} is no list of classes`);
  if (!Array.isArray(parsed.data)) {
    return parseLabels(
      'id2label' in parsed.data && typeof parsed.data.id2label === 'object' ? parsed.data : { id2label: parsed.data },
    );
  }
  return parsed.data.map((entry, index) =>
    typeof entry === 'string' ? { index, id: '', name: entry } : { index, id: entry.id ?? '', name: entry.name },
  );
}

function invalid(what: string): DeflectorError {
  return new DeflectorError('MODEL_INVALID', `config.json: ${what}`);
}
