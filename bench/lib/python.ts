/** Python for the peers: a virtual environment of its own with pinned packages, made once. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fromRoot } from './folders.js';

export type Python =
  /** The interpreter of the environment. */
  | { readonly path: string }
  /** Why there is none, as a sentence. */
  | { readonly missing: string };

/**
 * The environment of a list of requirements in bench/peers. It lies in $XDG_CACHE_HOME/deflector (~/.cache/deflector),
 * is told apart by the content of the list, and needs Python 3.11 or later with venv, and the network once.
 *
 * @param requirements name of a file in bench/peers
 */
export function pythonFor(requirements: string): Python {
  const list = fromRoot(`bench/peers/${requirements}`);
  const digest = createHash('sha256').update(readFileSync(list)).digest('hex').slice(0, 12);
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'deflector');
  const folder = join(cache, `peers-${digest}`);
  const windows = process.platform === 'win32';
  const path = join(folder, windows ? 'Scripts' : 'bin', windows ? 'python.exe' : 'python');
  const ready = join(folder, 'ready');
  if (existsSync(ready)) return { path };
  const python = ['python3', 'python'].find(name => spawnSync(name, ['--version']).status === 0);
  if (python === undefined) return { missing: 'Python 3 is not installed.' };
  process.stderr.write('Making a virtual environment for the Python peers, once ...\n');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(cache, { recursive: true });
  for (const [command, ...args] of [
    [python, '-m', 'venv', folder],
    [path, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', list],
  ] as const) {
    const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
    if (status === 0) continue;
    const reason = (stderr || (error?.message ?? '')).trim().split('\n').at(-1) ?? '';
    return { missing: `The packages of bench/peers/${requirements} could not be installed: ${reason}` };
  }
  writeFileSync(ready, '');
  return { path };
}
