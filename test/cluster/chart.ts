/** The chart, rendered by the real Helm, and the sets of values that stand in its examples. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { REPOSITORY } from '../helpers/repository.js';

export const CHART = join(REPOSITORY, 'helm/deflector');

/** Names of the sets of values, with their files. */
export const VALUE_SETS: readonly (readonly [name: string, file: string])[] = readdirSync(join(CHART, 'examples'))
  .sort()
  .map(file => [file.replace(/\.yaml$/, ''), join(CHART, 'examples', file)]);

/** A manifest; tests look into it as into any JSON. */
// biome-ignore lint/suspicious/noExplicitAny: manifests are of many kinds, whose schemas the API server knows
export type Manifest = any;

/** Runs a program. @returns its exit code and what it said */
export async function call(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
  cwd: string = REPOSITORY,
) {
  const options = { env, maxBuffer: 2 ** 28, cwd };
  try {
    const { stdout, stderr } = await promisify(execFile)(program, [...args], options);
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number | string; stdout: string; stderr: string };
    if (typeof code !== 'number') throw error;
    return { code, stdout, stderr };
  }
}

/** @throws Error what Helm says */
export async function render(...args: string[]): Promise<Manifest[]> {
  const { code, stdout, stderr } = await call('helm', ['template', 'release', CHART, '--namespace', 'images', ...args]);
  if (code !== 0) throw new Error(stderr);
  return parseAllDocuments(stdout)
    .map(document => document.toJS())
    .filter(manifest => manifest !== null);
}

/** What a cluster with KEDA tells Helm. */
export const WITH_KEDA = ['--api-versions', 'keda.sh/v1alpha1/ScaledObject'];
