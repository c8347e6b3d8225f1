/** A headless Chromium that talks to nobody. */
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

/** The executable: $CHROMIUM, or where Debian's package puts it; `undefined` where there is none. */
export const CHROMIUM: string | undefined = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
].find(path => path !== undefined && path !== '' && existsSync(path));

/** A profile of its own is made and removed with each launch. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    ...(CHROMIUM !== undefined && { executablePath: CHROMIUM }),
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
