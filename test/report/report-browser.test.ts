import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { type GalleryItem, galleryItem, selectGallery } from '../../src/report/gallery.js';
import { writeReport } from '../../src/report/html-report.js';
import { visibleText } from '../../src/report/visible-text.js';
import { FileSystemStore } from '../../src/storage/filesystem-store.js';
import { CHROMIUM, launchChromium } from '../helpers/chromium.js';
import { TEST_LABELS, testExplanation } from '../helpers/explanations.js';
import { HOSTILE_KEYS, testCounts, testRun, testVerdicts } from '../helpers/reports.js';

const COUNT = 1000;
const GALLERY = 24;

describe('report.html in a browser', {
  skip: CHROMIUM === undefined && 'no Chromium: apt-get install chromium',
}, () => {
  let folder: string;
  let address: string;
  let browser: Browser;
  /** Whatever went wrong, or left, on any page of the suite. */
  const faults: string[] = [];
  const requests: string[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'deflector-browser-'));
    const path = join(folder, 'report.html');
    address = pathToFileURL(path).href;
    const chosen = await selectGallery(testVerdicts(COUNT), GALLERY - HOSTILE_KEYS.length);
    async function* gallery(): AsyncGenerator<GalleryItem> {
      for (const [variant, key] of HOSTILE_KEYS.entries()) yield await galleryItem(testExplanation(key, { variant }));
      for (const { position, verdict } of chosen) {
        yield await galleryItem(testExplanation(verdict.key, { variant: position, verdict }));
      }
    }
    await writeReport(
      { run: testRun(COUNT), verdicts: testVerdicts(COUNT), gallery: gallery(), labels: TEST_LABELS },
      new FileSystemStore(folder),
      'report.html',
    );
    browser = await launchChromium();
  });
  after(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const withPage = async (check: (page: Page) => Promise<void>, options: BrowserContextOptions = {}) => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    context.on('request', request => requests.push(request.url()));
    context.on('console', message => {
      if (['error', 'warning'].includes(message.type())) faults.push(message.text());
    });
    context.on('weberror', error => faults.push(String(error.error())));
    await context.addInitScript(
      "addEventListener('securitypolicyviolation', event => console.error('policy', event.violatedDirective))",
    );
    const page = await context.newPage();
    await page.goto(address);
    await check(page);
    await context.close();
  };
  const rowsOf = (page: Page) => page.locator('#list tbody tr');
  const visibleCards = (page: Page) => page.locator('.card:visible');
  const filter = (page: Page, name: string) => page.locator(`[data-filter=${name}]`);
  const { ok, suspicious, failed } = testCounts(COUNT);

  it('shows the counts of the run', () =>
    withPage(async page => {
      const figures = await page.locator('.figure b').allTextContents();
      assert.deepEqual(figures.slice(0, 4), ['1,000', ok.toLocaleString('en'), String(suspicious), String(failed)]);
      assert.match((await page.locator('body').textContent()) ?? '', /no security boundary/);
    }));

  it('narrows list and gallery to the suspicious, to the failed, and back', () =>
    withPage(async page => {
      await filter(page, 'suspicious').click();
      assert.equal(await rowsOf(page).count(), suspicious);
      assert.equal(await page.locator('#list tbody tr[data-state=suspicious]').count(), suspicious);
      assert.equal(await visibleCards(page).count(), GALLERY - HOSTILE_KEYS.length);
      assert.equal(await filter(page, 'suspicious').getAttribute('aria-pressed'), 'true');
      assert.equal(await filter(page, 'all').getAttribute('aria-pressed'), 'false');

      await filter(page, 'failed').click();
      assert.equal(await rowsOf(page).count(), failed);
      assert.equal(await visibleCards(page).count(), 0);
      assert.ok(await page.locator('#no-cards').isVisible());
      assert.match((await page.locator('#matches').textContent()) ?? '', new RegExp(`^${failed} of 1000 `));

      await filter(page, 'all').click();
      assert.equal(await visibleCards(page).count(), GALLERY);
    }));

  it('finds images by any part of their key, whatever its case, within the filter', () =>
    withPage(async page => {
      await page.getByLabel('Search by key').fill('FOLDER-4/');
      const expected = { all: 0, failed: 0 };
      let place = 0;
      for await (const verdict of testVerdicts(COUNT)) {
        place++;
        if (!verdict.key.includes('folder-4/')) continue;
        expected.all++;
        if (verdict.status === 'error') expected.failed++;
      }
      assert.equal(place, COUNT);
      assert.equal(await rowsOf(page).count(), expected.all);
      await filter(page, 'failed').click();
      assert.equal(await rowsOf(page).count(), expected.failed);
      await page.getByLabel('Search by key').fill('there is no such key');
      assert.ok(await page.locator('#no-rows').isVisible());
    }));

  it('lists in portions, and all of it on paper', () =>
    withPage(async page => {
      assert.equal(await rowsOf(page).count(), 200);
      await page.locator('#more').click();
      assert.equal(await rowsOf(page).count(), 400);
      assert.match((await page.locator('#more').textContent()) ?? '', /600 left/);
      await page.evaluate("dispatchEvent(new Event('beforeprint'))");
      assert.equal(await rowsOf(page).count(), COUNT);
      assert.ok(await page.locator('#more').isHidden());
      await page.emulateMedia({ media: 'print' });
      assert.ok(await page.locator('.controls').isHidden());
    }));

  it('shows hostile keys as text, and runs none of them', () =>
    withPage(async page => {
      const listed = await rowsOf(page).locator('td:first-child').allTextContents();
      assert.deepEqual(listed.slice(0, HOSTILE_KEYS.length), HOSTILE_KEYS.map(visibleText));
      const titles = await page.locator('.card h4 > bdi').allTextContents();
      assert.deepEqual(titles.slice(0, HOSTILE_KEYS.length), HOSTILE_KEYS.map(visibleText));
      for (const key of HOSTILE_KEYS) {
        await page.getByLabel('Search by key').fill(visibleText(key));
        assert.equal(await rowsOf(page).count(), 1, visibleText(key));
        const cards = await page.locator('.card:visible h4 > bdi').allTextContents();
        assert.deepEqual(new Set(cards), new Set([visibleText(key)]));
      }
      assert.equal(await page.evaluate('window.pwned'), undefined);
    }));

  it('refuses a script that found its way into the page', () =>
    withPage(async page => {
      const seen = faults.length;
      await page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.pwned = 5' }))",
      );
      assert.equal(await page.evaluate('window.pwned'), undefined);
      await page.waitForTimeout(50);
      assert.ok(faults.splice(seen).some(fault => fault.includes('policy script-src')));
    }));

  it('can be used by keyboard alone', () =>
    withPage(async page => {
      await page.keyboard.press('Tab');
      await page.keyboard.press('Tab');
      assert.equal(await page.evaluate('document.activeElement.dataset.filter'), 'suspicious');
      await page.keyboard.press('Space');
      assert.equal(await rowsOf(page).count(), suspicious);
      await page.keyboard.press('Tab');
      await page.keyboard.press('Tab');
      await page.keyboard.type('folder-4');
      const found = await rowsOf(page).count();
      assert.ok(found > 0 && found < suspicious);
    }));

  it('carries its pictures with it', () =>
    withPage(async page => {
      const images = page.locator('.card img');
      assert.equal(await images.count(), 3 * GALLERY);
      for (const image of [images.first(), images.nth(20), images.last()]) {
        await image.scrollIntoViewIfNeeded();
        const width = await image.evaluate(async (element: unknown) => {
          const picture = element as { decode(): Promise<void>; naturalWidth: number };
          await picture.decode();
          return picture.naturalWidth;
        });
        assert.equal(width, 224);
        assert.match((await image.getAttribute('alt')) ?? '', /^(Input|Activation map|Defended) of /);
      }
    }));

  it('follows the light or dark of the reader', async () => {
    const grounds: unknown[] = [];
    for (const colorScheme of ['light', 'dark'] as const) {
      await withPage(
        async page => {
          grounds.push(await page.evaluate('getComputedStyle(document.body).backgroundColor'));
        },
        { colorScheme },
      );
    }
    assert.deepEqual(grounds, ['rgb(255, 255, 255)', 'rgb(20, 23, 27)']);
  });

  it('fits narrow screens without scrolling sideways', () =>
    withPage(
      async page => {
        assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 340);
      },
      { viewport: { width: 340, height: 700 } },
    ));

  it('shows figures and gallery where scripts are off, and says what is missing', () =>
    withPage(
      async page => {
        assert.equal(await visibleCards(page).count(), GALLERY);
        assert.ok(await page.getByText('need JavaScript').isVisible());
        assert.ok(await page.locator('.controls').isHidden());
      },
      { javaScriptEnabled: false },
    ));

  it('asked for nothing but itself, and broke no policy', () => {
    assert.deepEqual([...new Set(requests.filter(url => !url.startsWith('data:')))], [address]);
    assert.deepEqual(faults, []);
  });
});
