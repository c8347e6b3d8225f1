/** `deflector evaluate` on a network and on images that take no time: what it measures on real ones, docs/results/ shows. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { EvaluationReport } from '../../src/evaluation/evaluation-report.js';
import type { Rate } from '../../src/evaluation/rates.js';
import type { Entry } from '../../src/evaluation/report-content.js';
import { wilsonInterval } from '../../src/evaluation/statistics.js';
import { encodeNpy, encodePng } from '../../src/images/write.js';
import { CHROMIUM, launchChromium } from '../helpers/chromium.js';
import { deflector, startDeflector } from '../helpers/cli.js';
import { temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { writeTinyImages } from '../helpers/tiny-images.js';
import { writeTinyModel } from '../helpers/tiny-model.js';

checkLeaks();

const PROTOCOLS = [
  ...Array.from({ length: 9 }, (_, i) => `table${i + 1}`),
  ...[1, 2, 3, 5, 6, 7].map(n => `figure${n}`),
  'strength',
  'ladder',
];

describe('deflector evaluate paper', () => {
  let folder: string;
  const at = (name: string) => join(folder, name);
  const evaluate = (out: string, ...more: string[]) => protocols('paper', out, ...more);
  const protocols = (names: string, out: string, ...more: string[]) => [
    'evaluate',
    names,
    ...common(),
    '--out',
    at(out),
    ...more,
  ];
  /** Both splits, every kind of defence. */
  const some = (out: string, ...more: string[]) => protocols('table4,figure5', out, ...more);
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
    const shards = ['1/2', '2/2'].map(shard => deflector(some('shards', ...shared, '--shard', shard, '--quiet')));
    for (const { code, stderr } of await Promise.all(shards)) assert.equal(code, 0, stderr);
    await assert.rejects(reportOf('shards'));
    assert.equal((await deflector(some('shards', ...shared, '--quiet'))).code, 0);
    const gathered = await reportOf('shards');
    assert.equal(gathered.duration.measured, 0);
    assert.deepEqual(figuresOf(gathered, 'table4', 'figure5'), figuresOf(await reportOf('out'), 'table4', 'figure5'));
  });

  it('goes on where it was killed', async () => {
    const { child, outcome } = startDeflector(some('killed', '--quiet'));
    const attacked = async () => {
      const names = await readdir(at('killed/cache/images'), { recursive: true }).catch(() => []);
      return names.filter(name => name.endsWith('.png')).length;
    };
    // More than are in hand at a time, so that some are measured whole.
    while ((await attacked()) < 10 && child.exitCode === null) await setTimeout(10);
    child.kill('SIGKILL');
    await outcome;
    const { code } = await deflector(some('killed', '--quiet'));
    assert.equal(code, 0);
    const report = await reportOf('killed');
    assert.ok(report.duration.fromCache > 0);
    assert.deepEqual(figuresOf(report, 'table4', 'figure5'), figuresOf(await reportOf('out'), 'table4', 'figure5'));
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

describe('deflector evaluate external', () => {
  it('puts defences to images that were attacked elsewhere, from folders or a manifest, as PNG or .npy', async t => {
    const folder = await temporaryFolder(t);
    const model = await writeTinyModel(join(folder, 'tiny'), 1, 32);
    const side = 32;
    const levels = Uint8Array.from({ length: 3 * side * side }, (_, i) => (i * 37) % 256);
    const shifted = levels.map(level => 255 - level);
    // Under each of the five names: one of them is what the model says of the original, and counts.
    const entries: { file: string; attack: string; classIndex: number }[] = [];
    for (let classIndex = 0; classIndex < 5; classIndex++) {
      for (const attack of ['clean', 'inverse']) await mkdir(join(folder, 'in', attack), { recursive: true });
      const image = await encodePng({ width: side, height: side, data: levels });
      await writeFile(join(folder, `in/clean/${classIndex}.png`), image);
      const array = encodeNpy(
        Float32Array.from(shifted, level => level / 255),
        [side, side, 3],
      );
      await writeFile(join(folder, `in/inverse/${classIndex}.npy`), array);
      entries.push({ file: `clean/${classIndex}.png`, attack: 'clean', classIndex });
      entries.push({ file: `inverse/${classIndex}.npy`, attack: 'inverse', classIndex });
    }
    const args = ['evaluate', 'external', '--data', join(folder, 'in'), '--model', model, '--json'];
    const tables: unknown[] = [];
    for (const out of ['folders', 'manifest']) {
      if (out === 'manifest') await writeFile(join(folder, 'in/manifest.json'), JSON.stringify({ entries }));
      const { code, stdout, stderr } = await deflector([...args, '--out', join(folder, out)]);
      assert.equal(code, 0, stderr);
      const [table] = (JSON.parse(stdout) as EvaluationReport).sections[0]!.tables;
      assert.deepEqual(
        table!.rows.map(({ title, entries: row }) => [title, rateAt(row, 2)?.n]),
        [
          ['clean', 1],
          ['inverse', 1],
        ],
      );
      assert.equal(rateAt(table!.rows[0]!.entries, 2)?.correct, 1);
      tables.push(table!.rows);
    }
    assert.deepEqual(tables[0], tables[1]);
  });

  it('says what is wrong with a manifest, a class or a folder', async t => {
    const folder = await temporaryFolder(t);
    const model = await writeTinyModel(join(folder, 'tiny'), 1, 32);
    await mkdir(join(folder, 'in'));
    const args = ['evaluate', 'external', '--data', join(folder, 'in'), '--model', model, '--out', join(folder, 'out')];
    const attempts: [string, RegExp][] = [
      ['{"entries":[{"file":"a.png"}]}', /MANIFEST_LINE_INVALID/],
      ['{"entries":[]}', /INPUT_NOT_FOUND/],
      ['{"entries":[{"file":"fgsm/a.png","attack":"fgsm","classIndex":0}]}', /IMAGE_NOT_FOUND/],
    ];
    for (const [manifest, message] of attempts) {
      await writeFile(join(folder, 'in/manifest.json'), manifest);
      const { code, stderr } = await deflector(args);
      assert.notEqual(code, 0);
      assert.match(stderr, message);
    }
  });
});

describe('deflector evaluate', () => {
  it('refuses protocols, shards and numbers that are none, before any work', async () => {
    const attempts: [string[], RegExp][] = [
      [['table11'], /did you mean table1\?/],
      [['table1', '--shard', '3/2'], /--shard/],
      [['table1', '--images', '0'], /integer from 1 to 10000 for --images/],
    ];
    for (const [args, message] of attempts) {
      const { code, stderr } = await deflector(['evaluate', ...args, '--data', 'nowhere', '--out', 'nowhere']);
      assert.equal(code, 2, args.join(' '));
      assert.match(stderr, message);
    }
  });
});

function entriesOf(report: EvaluationReport): Entry[] {
  return report.sections.flatMap(({ tables }) => tables.flatMap(({ rows }) => rows.flatMap(({ entries }) => entries)));
}

function figuresOf(report: EvaluationReport, ...sections: string[]): string {
  return JSON.stringify(report.sections.filter(({ id }) => sections.includes(id)).map(({ tables }) => tables));
}

function rateAt(entries: readonly Entry[], column: number): Rate | undefined {
  const entry = entries[column];
  return entry?.kind === 'rate' ? entry.rate : undefined;
}
