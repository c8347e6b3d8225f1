import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { resolveSettings } from '../../src/config/settings.js';
import { PooledDefence } from '../../src/gateway/direct-defence.js';
import { CHROMIUM, launchChromium } from '../helpers/chromium.js';
import { fromRoot } from '../helpers/root.js';
import { testGateway } from '../helpers/test-gateway.js';

const TOKEN = 'a-token-that-is-long-enough';

describe('the page of the gateway in a browser', {
  skip: CHROMIUM === undefined && 'no Chromium: apt-get install chromium',
}, () => {
  let browser: Browser;
  let open: string;
  let closed: string;
  const ends: (() => unknown)[] = [];
  /** Whatever went wrong, or left, on any page of the suite. */
  const faults: string[] = [];
  const hosts = new Set<string>();

  before(async () => {
    const t = { after: (end: () => unknown) => void ends.unshift(end) } as Parameters<typeof testGateway>[0];
    const direct = new PooledDefence(resolveSettings({ flags: { threads: 1, seed: '1' } }));
    ends.unshift(() => direct.close());
    const listen = async (credentials: Parameters<typeof testGateway>[1]) => {
      const { app, stage } = await testGateway(t, credentials, { maxBytes: 10_000_000 });
      stage.defend = (...args) => direct.defend(...args);
      return app.listen({ host: '127.0.0.1', port: 0 });
    };
    open = await listen({});
    closed = await listen({ tokens: [{ name: 'shop', secret: TOKEN }] });
    browser = await launchChromium();
  });
  after(async () => {
    await browser?.close();
    for (const end of ends) await end();
  });

  const withPage = async (
    address: string,
    check: (page: Page) => Promise<void>,
    viewport = { width: 1280, height: 900 },
  ) => {
    const context = await browser.newContext({ viewport });
    context.on('request', request =>
      hosts.add(new URL(request.url()).protocol === 'data:' ? 'data' : new URL(request.url()).host),
    );
    context.on('console', message => {
      if (['error', 'warning'].includes(message.type())) faults.push(message.text());
    });
    context.on('weberror', error => faults.push(String(error.error())));
    const page = await context.newPage();
    await page.goto(address);
    await check(page);
    if (process.env.SCREENSHOTS)
      await page.screenshot({ path: join(process.env.SCREENSHOTS, `${Date.now()}.png`), fullPage: true });
    await context.close();
  };
  const result = (page: Page) => page.getByRole('heading', { level: 2 });
  const sample = (name: string) => fromRoot(`samples/${name}`);
  const choose = (page: Page, name: string) => page.getByLabel('Choose an image').setInputFiles(sample(name));

  it('shows the panel, the votes and the verdict of an image', () =>
    withPage(open, async page => {
      await choose(page, 'coffee.jpg');
      await result(page).waitFor();
      // What the bundled model says of the photograph by itself is a cup or an espresso.
      assert.match((await result(page).textContent()) ?? '', /espresso|cup/i);
      assert.match((await page.locator('#facts').textContent()) ?? '', /coffee\.jpg.*of \d+.*%.*efficientnet-lite0/s);
      for (const id of ['input', 'map', 'deflected', 'defended', 'difference']) {
        const image = page.locator(`#${id}`);
        const width = await image.evaluate(async (element: unknown) => {
          const picture = element as { decode(): Promise<void>; naturalWidth: number };
          await picture.decode();
          return picture.naturalWidth;
        });
        assert.equal(width, 224, id);
        assert.notEqual(await image.getAttribute('alt'), '');
      }
      assert.ok((await page.locator('#votes li').count()) >= 1);
      const verdict = JSON.parse((await page.locator('#json').textContent()) ?? '');
      assert.equal(verdict.key, 'coffee.jpg');
      assert.match((await page.getByRole('status').textContent()) ?? '', /^coffee\.jpg: /);
    }));

  it('takes an image that is dropped', () =>
    withPage(open, async page => {
      const bytes = (await readFile(sample('astronaut.jpg'))).toString('base64');
      const transfer = await page.evaluateHandle(`(() => {
        const bytes = Uint8Array.from(atob('${bytes}'), letter => letter.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], 'dropped <b>.jpg', { type: 'image/jpeg' }));
        return transfer;
      })()`);
      await page.dispatchEvent('#drop', 'dragover', { dataTransfer: transfer });
      assert.ok(await page.locator('#drop.over').isVisible());
      await page.dispatchEvent('#drop', 'drop', { dataTransfer: transfer });
      await result(page).waitFor();
      assert.match((await page.locator('#facts').textContent()) ?? '', /dropped <b>\.jpg/);
    }));

  it('has images to try, and says of one that was attacked that it is suspicious', () =>
    withPage(open, async page => {
      await page.getByRole('button', { name: 'Rocket, attacked' }).click();
      await result(page).waitFor();
      // samples/README.md: a missile, until the attack.
      assert.match((await result(page).textContent()) ?? '', /missile/);
      assert.match((await page.locator('#summary').textContent()) ?? '', /^Suspicious By itself .* totem pole/);
    }));

  it('says what is wrong with a file that is no image, and goes on', () =>
    withPage(open, async page => {
      const seen = faults.length;
      await choose(page, 'README.md');
      await page.getByRole('alert').waitFor();
      assert.match((await page.getByRole('alert').textContent()) ?? '', /Convert to JPEG/);
      // The browser itself notes the answer 422.
      assert.ok(faults.splice(seen).every(fault => fault.includes('422')));
      await choose(page, 'rocket.jpg');
      await result(page).waitFor();
      assert.ok(await page.getByRole('alert').isHidden());
    }));

  it('asks for a token where one is needed', () =>
    withPage(closed, async page => {
      await choose(page, 'coffee.jpg');
      assert.match((await page.getByRole('alert').textContent()) ?? '', /asks for a token/);
      const seen = faults.length;
      await page.getByLabel('Token').fill('a wrong one');
      await choose(page, 'coffee.jpg');
      await page.getByText('The token is not known').waitFor();
      assert.ok(faults.splice(seen).every(fault => fault.includes('401')));
      await page.getByLabel('Token').fill(TOKEN);
      await choose(page, 'coffee.jpg');
      await result(page).waitFor();
    }));

  it('can be used by keyboard alone, and leads it to the verdict', () =>
    withPage(closed, async page => {
      await page.keyboard.press('Tab');
      await page.keyboard.type(TOKEN);
      await page.keyboard.press('Tab');
      assert.equal(await page.evaluate('document.activeElement.id'), 'file');
      const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.keyboard.press('Space')]);
      await chooser.setFiles(sample('coffee.jpg'));
      await result(page).waitFor();
      assert.equal(await page.evaluate('document.activeElement.id'), 'title');
    }));

  it('fits narrow screens without scrolling sideways', () =>
    withPage(
      open,
      async page => {
        await choose(page, 'coffee.jpg');
        await result(page).waitFor();
        assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 340);
      },
      { width: 340, height: 700 },
    ));

  it('asked nobody but the gateway, and broke no policy', () => {
    assert.deepEqual(
      [...hosts].filter(host => host !== 'data').sort(),
      [new URL(open).host, new URL(closed).host].sort(),
    );
    assert.deepEqual(faults, []);
  });
});
