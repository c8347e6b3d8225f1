// The browser that the report's test clicks through: found on the PATH, or installed by apt.
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { quietly } from './steps.mjs';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** Ends the process with a message where there is no browser and none can be installed. */
export function provideBrowser() {
  if (onPath(...NAMES) !== undefined) return;
  const root = process.getuid?.() === 0;
  const sudo = !root && onPath('sudo') !== undefined && spawnSync('sudo', ['-n', 'true']).status === 0;
  if (onPath('apt-get') === undefined || !(root || sudo)) {
    console.error(
      'The tests of the report need Chromium, and it cannot be installed from here.\n' +
        'Put `chromium` or `google-chrome` on the PATH (Debian, Ubuntu: sudo apt-get install chromium), then run\n' +
        'the tests again; or run those that need no browser: npm test -- FILTER',
    );
    process.exit(3);
  }
  const apt = (...args) => (root ? ['apt-get', args] : ['sudo', ['-n', 'apt-get', ...args]]);
  const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, stdio: ['ignore', 'pipe', 'pipe'] };
  quietly('Fetching package lists (apt)', ...apt('update'), options);
  quietly('Installing Chromium (apt)', ...apt('install', '-y', '--no-install-recommends', 'chromium'), options);
}

/** @returns the first of the programs that is on the PATH */
function onPath(...names) {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return names.flatMap(name => folders.map(folder => join(folder, name))).find(isProgram);
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
