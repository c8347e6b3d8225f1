// What `npm start` and `npm test` share: installing, building, and running a step with readable output.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Runs a command quietly; where it fails, prints what it said and ends with `exitCode`. */
export function quietly(title, command, args, { exitCode = 1, ...options } = {}) {
  process.stdout.write(`${title} ... `);
  const started = performance.now();
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 28, ...options });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (result.status === 0) {
    process.stdout.write(`done (${seconds} s)\n`);
    return;
  }
  process.stdout.write(`failed (${seconds} s)\n${result.stdout ?? ''}${result.stderr ?? ''}${result.error ?? ''}\n`);
  process.exit(exitCode);
}

/** Installs the packages of the lockfile, unless just those are there already. */
export function install() {
  if (installed()) return;
  const [command, args] = npm('ci', '--no-audit', '--no-fund', '--loglevel=error');
  quietly('Installing packages', command, args);
}

/** The command and the arguments of a call of npm. */
export function npm(...args) {
  // npm tells its scripts where it is; where `node` was called without npm it is looked for on the PATH.
  const path = process.env.npm_execpath;
  return path?.endsWith('.js') ? [process.execPath, [path, ...args]] : ['npm', args];
}

/** Compiles what changed. */
export function build() {
  quietly('Building', process.execPath, ['scripts/build.mjs']);
}

/** npm keeps beside the packages a lockfile of what it really installed. */
function installed() {
  const actual = new URL('../../node_modules/.package-lock.json', import.meta.url);
  if (!existsSync(actual)) return false;
  const { packages: present } = JSON.parse(readFileSync(actual, 'utf8'));
  const { packages: wanted } = JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8'));
  return Object.entries(wanted).every(([path, { version, integrity, optional }]) => {
    if (path === '') return true;
    const found = present[path];
    return found === undefined ? optional === true : found.version === version && found.integrity === integrity;
  });
}
