/** `deflector evaluate` on a network and on images that take no time: what it measures on real ones, docs/results/ shows. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { EvaluationReport } from '../../src/evaluation/evaluation-report.js';
import type { Rate } from '../../src/evaluation/rates.js';
import type { Entry } from '../../src/evaluation/report-content.js';
import { wilsonInterval } from '../../src/evaluation/statistics.js';
import { CHROMIUM, launchChromium } from '../helpers/chromium.js';
import { deflector, startDeflector } from '../helpers/cli.js';
import { checkLeaks } from '../helpers/leaks.js';
import { writeTinyImages } from '../helpers/tiny-images.js';
import { writeTinyModel } from '../helpers/tiny-model.js';

checkLeaks();

const PROTOCOLS = [
  ...Array.from({ length: 9 }, (_, i) => `table${i + 1}`),
  ...[1, 2, 3, 5, 6, 7].map(n => `figure${n}`),
  'strength',
];

describe('deflector evaluate paper', () => {
  let folder: string;
  const at = (name: string) => join(folder, name);
  const evaluate = (out: string, ...more: string[]) => ['evaluate', 'paper', ...common(), '--out', at(out), ...more];
  const common = () => [
    ...['--data', at('images'), '--labels', 'own', '--images', '6', '--threads', '2'],
    ...['--model', at('tiny'), '--compare', at('other')],
  ];
  const reportOf = async (out: string) =>
    JSON.parse(await readFile(at(`${out}/evaluation.json`), 'utf8')) as EvaluationReport;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'deflector-test-'));
    // Large enough for every step, and for the windows of SSIM.
    await writeTinyModel(at('tiny'), 1, 32);
    await writeTinyModel(at('other'), 2, 32);
    await writeTinyImages(at('images'), 100);
    const { code, stderr } = await deflector(evaluate('out', '--quiet'));
    assert.equal(code, 0, stderr);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('has every table and figure, each share with its n and its Wilson interval', async () => {
    const report = await reportOf('out');
    assert.deepEqual(
      report.sections.map(({ id }) => id),
      PROTOCOLS,
    );
    const rates = entriesOf(report).flatMap(entry => (entry.kind === 'rate' ? entry.rate : []));
    assert.ok(rates.length > 500);
    for (const { n, correct, rate, low, high } of rates) {
      const expected = n === 0 ? { low: null, high: null } : wilsonInterval(correct, n);
      assert.deepEqual({ low, high, rate }, { ...expected, rate: n === 0 ? null : correct / n });
    }
  });

  it('is about images that the model gets right, and says of which model, data and command', async () => {
    const report = await reportOf('out');
    const [table1] = report.sections;
    const [clean] = table1!.tables[0]!.rows;
    assert.deepEqual(rateAt(clean!.entries, 2), { n: 6, correct: 6, rate: 1, ...wilsonInterval(6, 6) });
    assert.deepEqual(
      report.models.map(({ name }) => name),
      ['tiny', 'other'],
    );
    assert.deepEqual([report.models[0]!.test.images, report.models[0]!.search.images], [6, 40]);
    assert.match(report.models[0]!.sha256, /^[0-9a-f]{64}$/);
    assert.match(report.data.sha256, /^[0-9a-f]{64}$/);
    assert.deepEqual(report.command.slice(0, 3), ['deflector', 'evaluate', 'paper']);
    assert.ok(Object.keys(report.versions).includes('onnxruntime'));
    assert.deepEqual(report.attacks.fgsm, { attack: 'fgsm', epsilon: '6/255' });
    assert.equal(report.defences.paper?.sigma, 0.04);
  });

  it('does nothing twice: a second call finds everything and says the same', async () => {
    const first = await reportOf('out');
    const { code, stdout } = await deflector(evaluate('out', '--json'));
    assert.equal(code, 0);
    const again = JSON.parse(stdout) as EvaluationReport;
    assert.equal(again.duration.measured, 0);
    assert.ok(again.duration.fromCache > 0);
    assert.deepEqual(JSON.stringify(entriesOf(again)), JSON.stringify(entriesOf(first)));
  });

  it('gives the same figures in shards that share a cache', async () => {
    const shared = ['--cache', at('shared')];
    const shards = ['1/2', '2/2'].map(shard => deflector(evaluate('shards', ...shared, '--shard', shard, '--quiet')));
    for (const { code, stderr } of await Promise.all(shards)) assert.equal(code, 0, stderr);
    await assert.rejects(reportOf('shards'));
    assert.equal((await deflector(evaluate('shards', ...shared, '--quiet'))).code, 0);
    const gathered = await reportOf('shards');
    assert.equal(gathered.duration.measured, 0);
    assert.deepEqual(figuresOf(gathered), figuresOf(await reportOf('out')));
  });

  it('goes on where it was killed', async () => {
    const { child, outcome } = startDeflector(evaluate('killed', '--quiet'));
    const kept = async () => (await readdir(at('killed/cache'), { recursive: true }).catch(() => [])).length;
    while ((await kept()) < 40 && child.exitCode === null) await setTimeout(10);
    child.kill('SIGKILL');
    await outcome;
    const { code } = await deflector(evaluate('killed', '--quiet'));
    assert.equal(code, 0);
    const report = await reportOf('killed');
    assert.ok(report.duration.fromCache > 0);
    assert.deepEqual(figuresOf(report), figuresOf(await reportOf('out')));
  });

  it('writes one figure a line of CSV, and Markdown with every table', async () => {
    const report = await reportOf('out');
    const csv = (await readFile(at('out/evaluation.csv'), 'utf8')).trimEnd().split('\r\n');
    assert.equal(csv.length, 1 + entriesOf(report).filter(({ kind }) => kind !== 'empty').length);
    const markdown = await readFile(at('out/evaluation.md'), 'utf8');
    for (const { tables } of report.sections)
      for (const { title } of tables) assert.ok(markdown.includes(`**${title}`), title);
  });

  it('shows a page that asks nobody for anything, on a desk and on a telephone', {
    skip: CHROMIUM === undefined && 'no Chromium: apt-get install chromium',
  }, async () => {
    const browser = await launchChromium();
    try {
      for (const width of [1280, 390]) {
        const page = await browser.newPage({ viewport: { width, height: 800 } });
        const faults: string[] = [];
        const requests: string[] = [];
        page.on('request', request => requests.push(request.url()));
        page.on('pageerror', error => faults.push(String(error)));
        page.on('console', message => message.type() === 'error' && faults.push(message.text()));
        const address = pathToFileURL(at('out/evaluation.html')).href;
        await page.goto(address);
        const sections = await page.evaluate(
          "[...document.querySelectorAll('section h2[id]')].map(heading => heading.id)",
        );
        assert.deepEqual(sections, ['card', ...PROTOCOLS, 'made']);
        assert.ok((await page.locator('svg.plot').count()) >= 8);
        assert.equal(await page.evaluate('document.documentElement.scrollWidth'), width);
        assert.deepEqual(
          requests.filter(url => url !== address && !url.startsWith('data:')),
          [],
        );
        assert.deepEqual(faults, []);
      }
    } finally {
      await browser.close();
    }
  });
});

function entriesOf(report: EvaluationReport): Entry[] {
  return report.sections.flatMap(({ tables }) => tables.flatMap(({ rows }) => rows.flatMap(({ entries }) => entries)));
}

/** All entries but times. */
function figuresOf(report: EvaluationReport): string {
  return JSON.stringify(
    report.sections.map(({ tables }) =>
      tables.map(({ columns, rows }) => rows.map(({ entries }) => entries.filter((_, i) => columns[i] !== 'ms'))),
    ),
  );
}

function rateAt(entries: readonly Entry[], column: number): Rate | undefined {
  const entry = entries[column];
  return entry?.kind === 'rate' ? entry.rate : undefined;
}
