/** Runs a benchmark in a process of its own. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DeflectorError, invalid } from '../errors.js';
import { EXIT } from './exit-codes.js';

/**
 * @param known names of the benchmarks
 * @returns the exit code
 * @throws DeflectorError SETTINGS_INVALID
 */
export async function runBenchmark(name: string, known: readonly string[], args: readonly string[]): Promise<number> {
  const pathOf = (benchmark: string) => fileURLToPath(new URL(`../../bench/${benchmark}.js`, import.meta.url));
  const there = known.filter(benchmark => existsSync(pathOf(benchmark)));
  if (!there.includes(name)) throw invalid('NAME', there.join(', '), name);
  const child = spawn(process.execPath, [pathOf(name), ...args], { stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.once('error', cause => {
      reject(new DeflectorError('INTERNAL', `The benchmark ${name} did not start: ${cause.message}`, { cause }));
    });
    child.once('exit', (code, signal) => resolve(signal === 'SIGINT' ? EXIT.interrupted : (code ?? EXIT.errors)));
  });
}
