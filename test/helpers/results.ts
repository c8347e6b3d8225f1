/** Reads what a job leaves. */
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
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
  const paths = (await readdir(folder, { recursive: true })).sort();
  const digests = paths.map(async path => {
    if ((await stat(join(folder, path))).isDirectory()) return [];
    const bytes = await readFile(join(folder, path));
    return [[path, createHash('sha256').update(bytes).digest('hex')] as const];
  });
  return Object.fromEntries((await Promise.all(digests)).flat());
}
