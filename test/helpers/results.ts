/** Reads what a job leaves. */
import { readFile } from 'node:fs/promises';

/** The lines of a results file, each without its durations, which stand last. */
export async function timelessLines(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8');
  return text
    .split('\n')
    .slice(0, -1)
    .map(line => line.replace(/,"ms":\{[^{}]*\}\}$/, '}'));
}
