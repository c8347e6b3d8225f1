/** The true classes of images: from the folders they lie in, or from a table. */
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { parse as parseCsv } from 'csv-parse/sync';
import { DeflectorError, invalid } from '../errors.js';
import type { Label } from '../types.js';

/**
 * The class of an image by its key; `undefined`: the model's own label is taken for the truth.
 *
 * @throws DeflectorError LABEL_UNKNOWN
 */
export type TrueLabels = (key: string) => number | undefined;

/** Columns that can name an image, and those that can name a class, in the order in which they are looked for. */
const KEY_COLUMNS = ['key', 'file_name', 'file', 'image', 'path'];
const CLASS_COLUMNS = ['label', 'class_index', 'index', 'wordnet_id', 'id', 'name'];

/**
 * @param source `own`; `folder`: the last folder of a key names the class; or the path of a CSV file with a header
 * @throws DeflectorError SETTINGS_INVALID where the table cannot be read
 */
export async function trueLabels(source: string, labels: readonly Label[]): Promise<TrueLabels> {
  if (source === 'own') return () => undefined;
  const classes = classesByName(labels);
  if (source === 'folder') return key => classCalled(classes, basename(dirname(key)), key);
  const table = await readTable(source);
  return key => {
    const named = table.get(key) ?? table.get(basename(key));
    if (named === undefined) throw new DeflectorError('LABEL_UNKNOWN', `${basename(source)} has no row for ${key}`);
    return classCalled(classes, named, key);
  };
}

/** Classes by index, id and name. A name that two classes share stands for neither. */
function classesByName(labels: readonly Label[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  const shared = new Set<string>();
  for (const { index, name } of labels) {
    const called = plain(name);
    if (found.has(called)) shared.add(called);
    found.set(called, index);
  }
  for (const called of shared) found.delete(called);
  for (const { index, id } of labels) {
    if (id !== '') found.set(plain(id), index);
    found.set(String(index), index);
  }
  return found;
}

function classCalled(classes: ReadonlyMap<string, number>, called: string, key: string): number {
  const index = classes.get(plain(called));
  if (index === undefined) {
    throw new DeflectorError(
      'LABEL_UNKNOWN',
      `The model has no class ${JSON.stringify(called)}, which ${key} is said to be`,
    );
  }
  return index;
}

/** Names as folders have them: case and the sign between words do not count. */
function plain(name: string): string {
  return name.trim().toLowerCase().replaceAll('_', ' ');
}

async function readTable(path: string): Promise<ReadonlyMap<string, string>> {
  const expected = 'own, folder, or a CSV file with a header';
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) throw invalid('--labels', expected, path);
  let rows: Record<string, string>[];
  try {
    rows = parseCsv(text, { columns: true, bom: true, skip_empty_lines: true });
  } catch {
    throw invalid('--labels', expected, path);
  }
  const columns = Object.keys(rows[0] ?? {});
  const key = KEY_COLUMNS.find(column => columns.includes(column));
  const named = CLASS_COLUMNS.find(column => columns.includes(column));
  if (key === undefined || named === undefined) {
    throw invalid(
      '--labels',
      `a table with one of the columns ${KEY_COLUMNS.join(', ')} and one of ${CLASS_COLUMNS.join(', ')}`,
      columns.join(','),
    );
  }
  return new Map(rows.map(row => [row[key]!, row[named]!]));
}
