/** Reads what a job leaves. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Verdict } from '../../src/types.js';

/** The lines of a results file, each without its durations, which stand last. */
export async function timelessLines(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8');
  return text
    .split('\n')
    .slice(0, -1)
    .map(line => line.replace(/,"ms":\{[^{}]*\}\}$/, '}'));
}

/** The verdicts of a results file. */
export async function verdictsOf(path: string): Promise<Verdict[]> {
  return (await timelessLines(path)).map(line => JSON.parse(line));
}

/** Digests of all files below a folder, by their paths. */
export async function digestsBelow(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name));
  const digests = paths.sort().map(async path => {
    const digest = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    return [path.slice(folder.length + 1), digest] as const;
  });
  return Object.fromEntries(await Promise.all(digests));
}
