// The browser that the report's test clicks through: found on the PATH, or installed by apt.
import { aptInstall, onPath } from './system.mjs';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** Ends the process with a message where there is no browser and none can be installed. */
export function provideBrowser() {
  if (onPath(...NAMES) !== undefined || aptInstall('Chromium', 'chromium')) return;
  console.error(
    'The tests of the report need Chromium, and it cannot be installed from here.\n' +
      'Put `chromium` or `google-chrome` on the PATH (Debian, Ubuntu: sudo apt-get install chromium), then run\n' +
      'the tests again; or run those that need no browser: npm test -- FILTER',
  );
  process.exit(3);
}
