import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { closingSummary } from '../../src/report/closing-summary.js';
import { FigureCounter, type RunFigures } from '../../src/report/figures.js';
import { COLOUR_STYLE, PLAIN_STYLE, terminalStyle } from '../../src/report/terminal-style.js';
import type { Verdict } from '../../src/types.js';
import { SUSPICIOUS, testVerdict } from '../helpers/explanations.js';
import { testCounts, testRun, testVerdicts } from '../helpers/reports.js';

const PLACES = { results: 'out/results.jsonl', run: 'out/run.json', report: 'out/report.html' };

async function figuresOf(verdicts: AsyncIterable<Verdict> | Iterable<Verdict>): Promise<RunFigures> {
  const counter = new FigureCounter();
  for await (const verdict of verdicts) counter.add(verdict);
  return counter.figures(20);
}

describe('the closing summary', () => {
  it('says counts, shares, rate, label changes and where things are', async () => {
    const { ok, suspicious, failed } = testCounts(1000);
    const text = closingSummary(testRun(1000), await figuresOf(testVerdicts(1000)), PLACES, PLAIN_STYLE);
    assert.ok(text.startsWith(`Defended ${ok} of 1,000 images in 42 s, 24 a second\n`), text);
    assert.match(text, new RegExp(`suspicious +${suspicious} +20\\.0 %`));
    assert.match(text, new RegExp(`failed +${failed} +14\\.2 % +IMAGE_TRUNCATED 71, IMAGE_UNSUPPORTED 71`));
    assert.match(text, /warplane → tiger cat/);
    for (const place of Object.values(PLACES)) assert.ok(text.includes(place));
  });

  it('says how an interrupted run goes on, and why a failed one failed', async () => {
    const figures = await figuresOf([]);
    const run = testRun(0);
    assert.match(closingSummary({ ...run, status: 'interrupted' }, figures, PLACES, PLAIN_STYLE), /--resume/);
    const failure = { code: 'STORE_FULL', message: 'No space left\u001b[2J' } as const;
    const text = closingSummary({ ...run, status: 'failed', failure }, figures, PLACES, PLAIN_STYLE);
    assert.match(text, /Failed: STORE_FULL, No space left\\u\{1b\}\[2J/);
    assert.doesNotMatch(text, /NaN|Infinity/);
  });

  it('lets no name act on the terminal', async () => {
    const label = { index: 9, id: '', name: 'red\u001b[31m\nline' };
    const figures = await figuresOf([testVerdict('a', { ...SUSPICIOUS, label })]);
    const places = { ...PLACES, results: 'out\u001b]0;title\u0007/results.jsonl' };
    const text = closingSummary(testRun(1), figures, places, PLAIN_STYLE);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is the claim
    assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f]/);
  });
});

describe('terminal style', () => {
  it('has colours on a terminal only, and not against NO_COLOR', () => {
    assert.equal(terminalStyle({ isTTY: true }, {}), COLOUR_STYLE);
    assert.equal(terminalStyle({ isTTY: true }, { NO_COLOR: '' }), COLOUR_STYLE);
    assert.equal(terminalStyle({ isTTY: true }, { NO_COLOR: '1' }), PLAIN_STYLE);
    assert.equal(terminalStyle({ isTTY: true }, { TERM: 'dumb' }), PLAIN_STYLE);
    assert.equal(terminalStyle({}, {}), PLAIN_STYLE);
    assert.equal(COLOUR_STYLE.fail('x'), '\u001b[31mx\u001b[39m');
  });
});
