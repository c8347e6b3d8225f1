/** The report of a real job, clicked through: test/report/ looks at the page itself. */
import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'playwright-core';
import { CHROMIUM, launchChromium } from '../helpers/chromium.js';
import { deflector } from '../helpers/cli.js';
import { checkLeaks } from '../helpers/leaks.js';
import { REPOSITORY } from '../helpers/repository.js';
import { verdictsOf } from '../helpers/results.js';

checkLeaks();

describe('the report of a job on the sample images and two broken files', {
  skip: CHROMIUM === undefined && 'no Chromium: apt-get install chromium',
}, () => {
  let folder: string;
  let browser: Browser;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'deflector-test-'));
    await cp(join(REPOSITORY, 'samples'), join(folder, 'in'), { recursive: true });
    await writeFile(join(folder, 'in/empty.jpg'), '');
    await writeFile(join(folder, 'in/text.jpg'), 'text');
    const { code } = await deflector(['run', 'in', '--out', 'out', '--seed', '1', '--quiet'], { cwd: folder });
    assert.equal(code, 1);
    browser = await launchChromium();
  });
  after(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('shows each image with pictures that decode, filters, and asks nobody for anything', async () => {
    const verdicts = await verdictsOf(join(folder, 'out/results.jsonl'));
    const failed = verdicts.filter(verdict => verdict.status === 'error').length;
    const suspicious = verdicts.filter(verdict => verdict.status === 'ok' && verdict.suspicious).length;
    assert.equal(failed, 2);
    assert.ok(suspicious > 0);

    const page = await browser.newPage();
    const requests: string[] = [];
    const faults: string[] = [];
    page.on('request', request => requests.push(request.url()));
    page.on('pageerror', error => faults.push(String(error)));
    page.on('console', message => message.type() === 'error' && faults.push(message.text()));
    const address = pathToFileURL(join(folder, 'out/report.html')).href;
    await page.goto(address);

    const rows = page.locator('#list tbody tr');
    const cards = page.locator('.card:visible');
    assert.equal(await rows.count(), verdicts.length);
    assert.equal(await cards.count(), verdicts.length - failed);
    await page.locator('[data-filter=suspicious]').click();
    assert.deepEqual([await rows.count(), await cards.count()], [suspicious, suspicious]);
    await page.locator('[data-filter=failed]').click();
    assert.deepEqual([await rows.count(), await cards.count()], [failed, 0]);
    await page.locator('[data-filter=all]').click();

    // Pictures may load only when they come near the view.
    const undecoded = await page.evaluate(
      `Promise.all([...document.images].map(image => { image.loading = 'eager'; return image.decode().then(() => 0, () => 1); }))`,
    );
    const pictures = undecoded as number[];
    assert.ok(pictures.length >= 3 * (verdicts.length - failed), `${pictures.length} pictures`);
    assert.ok(pictures.every(fault => fault === 0));
    assert.deepEqual(
      requests.filter(url => url !== address && !url.startsWith('data:')),
      [],
    );
    assert.deepEqual(faults, []);
    await page.close();
  });
});
