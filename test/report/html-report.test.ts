import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type GalleryItem, galleryItem } from '../../src/report/gallery.js';
import { REPORT_LIMITS, type ReportInput, writeReport } from '../../src/report/html-report.js';
import { escapeMarkup, scriptJson } from '../../src/report/markup.js';
import { FileSystemStore } from '../../src/storage/filesystem-store.js';
import type { Verdict } from '../../src/types.js';
import { SUSPICIOUS, testExplanation } from '../helpers/explanations.js';
import { HOSTILE_KEYS, testCounts, testRun, testVerdicts } from '../helpers/reports.js';

async function* none<T>(): AsyncGenerator<T> {}

describe('report.html', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'deflector-report-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const written = async (changes: Partial<ReportInput> & { count: number }) => {
    const { count, ...rest } = changes;
    const figures = await writeReport(
      { run: testRun(count), verdicts: testVerdicts(count), gallery: none<GalleryItem>(), ...rest },
      new FileSystemStore(folder),
      'report.html',
    );
    return { figures, html: await readFile(join(folder, 'report.html'), 'utf8') };
  };

  it('counts every verdict', async () => {
    const { figures } = await written({ count: 200 });
    const { ok, suspicious, failed } = figures;
    assert.deepEqual({ ok, suspicious, failed }, testCounts(200));
    assert.equal(figures.total, 200);
  });

  it('carries no markup of a key, a label or an argument', async () => {
    async function* gallery() {
      for (const key of HOSTILE_KEYS) yield await galleryItem(testExplanation(key, { verdict: SUSPICIOUS }));
    }
    const { html } = await written({ count: 60, gallery: gallery() });
    assert.equal(html.split('<script').length - 1, 2, 'one data block and one script');
    assert.equal(html.split('</script').length - 1, 2);
    const markup = html.replace(/(id="rows">).*?(?=<\/script>)/s, '$1');
    for (const raw of ['<img src=x', '<hr>', "' onmouseover", '\u2028', '\u2029', '\u202e', '<!--<']) {
      assert.ok(!markup.includes(raw), `found ${JSON.stringify(raw)}`);
    }
    assert.ok(markup.includes('invoice\\u{202e}gpj.exe'), 'a turned name is shown as what it is');
  });

  it('fetches nothing: no address but data: stands in it', async () => {
    const { html } = await written({ count: 20 });
    assert.doesNotMatch(html, /(?:src|href|url\()\s*=?\s*["']?(?!data:)(?:https?:|\/\/)/i);
    assert.match(html, /default-src 'none'/);
  });

  it('says that this is no security boundary', async () => {
    const { html } = await written({ count: 1 });
    assert.match(html, /no security boundary/);
  });

  it('shows the command in words that a shell reads back', async () => {
    const { html } = await written({ count: 1 });
    const shown = html.match(/<pre><code>(.*?)<\/code>/s)![1]!.replace(/<\/?(?:span|bdi)>/g, '');
    const { seed } = testRun(1);
    assert.equal(shown, escapeMarkup(`deflector run 'my photos & '\\''more'\\''' --out out --seed ${seed}`));
  });

  it('lists at most its limits, and says so', async () => {
    const { html, figures } = await written({ count: 20_000 });
    assert.equal(figures.total, 20_000);
    const rows = JSON.parse(html.match(/id="rows">(.*?)<\/script>/s)![1]!) as { state: string }[];
    assert.equal(rows.filter(({ state }) => state === 'suspicious').length, REPORT_LIMITS.suspiciousRows);
    assert.equal(rows.filter(({ state }) => state === 'failed').length, REPORT_LIMITS.failedRows);
    assert.equal(rows.filter(({ state }) => state === 'ok').length, REPORT_LIMITS.otherRows);
    assert.match(html, /Listed are the first 1,000 of/);
  });

  it('is the same size for ten times the verdicts once the lists are full', async () => {
    const small = await written({ count: 20_000 });
    const large = await written({ count: 200_000 });
    assert.ok(Math.abs(large.html.length - small.html.length) < 2_000, `${small.html.length}, ${large.html.length}`);
  });

  it('shortens keys and messages without end', async () => {
    async function* one(): AsyncGenerator<Verdict> {
      yield {
        schema: 'deflector/verdict@1',
        key: 'k'.repeat(1e6),
        status: 'error',
        error: { code: 'IMAGE_CORRUPT', message: 'm'.repeat(1e6), retryable: false },
        ms: {},
      };
    }
    const { html } = await written({ count: 1, verdicts: one() });
    assert.ok(html.length < 60_000);
  });

  it('shows an empty run', async () => {
    const { html, figures } = await written({ count: 0 });
    assert.equal(figures.total, 0);
    assert.match(html, /No image was defended/);
    assert.doesNotMatch(html, /NaN|Infinity|undefined</);
  });

  it('leaves no half of a page when its material fails', async () => {
    // biome-ignore lint/correctness/useYield: a stream that fails at once
    async function* failing(): AsyncGenerator<GalleryItem> {
      throw new Error('gone');
    }
    const before = await readdir(folder);
    await assert.rejects(written({ count: 3, gallery: failing() }), /gone/);
    assert.deepEqual(await readdir(folder), before);
  });
});

describe('scriptJson', () => {
  it('gives back its value and ends no script', () => {
    const value = [...HOSTILE_KEYS, '&amp;', '\ud800'];
    const json = scriptJson(value);
    assert.deepEqual(JSON.parse(json), value);
    assert.doesNotMatch(json, /[<>&\u2028\u2029]/);
  });
});
