// What the scripts ask of the machine: programs on the PATH, packages of apt, a cache folder of the user.
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { quietly } from './steps.mjs';

/** Where what is built once for the tests is kept, outside of the project. */
export const cacheFolder = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'deflector');

/** @returns the first of the programs that is on the PATH */
export function onPath(...names) {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return names.flatMap(name => folders.map(folder => join(folder, name))).find(isProgram);
}

export function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Installs packages by apt. @returns whether that could be tried: apt is there, and the rights to use it */
export function aptInstall(title, ...packages) {
  const root = process.getuid?.() === 0;
  const sudo = !root && onPath('sudo') !== undefined && spawnSync('sudo', ['-n', 'true']).status === 0;
  if (onPath('apt-get') === undefined || !(root || sudo)) return false;
  const apt = (...args) => (root ? ['apt-get', args] : ['sudo', ['-n', 'apt-get', ...args]]);
  const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, stdio: ['ignore', 'pipe', 'pipe'] };
  quietly('Fetching package lists (apt)', ...apt('update'), options);
  quietly(`Installing ${title} (apt)`, ...apt('install', '-y', '--no-install-recommends', ...packages), options);
  return true;
}
