/** What an evaluation says in each of its forms, with names that would act if they could. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parse as parseCsv } from 'csv-parse/sync';
import { EVALUATION_SCHEMA, type EvaluationReport } from '../../../src/evaluation/evaluation-report.js';
import { lines } from '../../../src/evaluation/plots.js';
import { rateOf } from '../../../src/evaluation/rates.js';
import { EMPTY, numberEntry, rateEntry, textEntry } from '../../../src/evaluation/report-content.js';
import { evaluationCsv } from '../../../src/report/evaluation/csv.js';
import { evaluationMarkdown } from '../../../src/report/evaluation/markdown.js';
import { evaluationPage } from '../../../src/report/evaluation/page.js';

const HOSTILE = '<img src=x onerror=alert(1)>|"a",\n`b`';

const REPORT: EvaluationReport = {
  schema: EVALUATION_SCHEMA,
  protocol: 'table1',
  command: ['deflector', 'evaluate', 'table1', '--data', HOSTILE, '--out', 'out'],
  models: [{ name: HOSTILE, sha256: 'ab'.repeat(32), test: { images: 20, wrong: 3 }, search: { images: 0, wrong: 0 } }],
  runtime: 'onnxruntime-cpu',
  data: { source: HOSTILE, sha256: 'cd'.repeat(32), listed: 30, unusable: 1, labels: 'own' },
  images: 20,
  seed: '1',
  recipe: 'paper',
  defences: {},
  attacks: {},
  versions: { deflector: '0.1.0' },
  machine: { cpu: 'a processor', cores: 2, platform: 'linux-x64' },
  startedAt: '2026-01-01T00:00:00.000Z',
  finishedAt: '2026-01-01T00:01:00.000Z',
  duration: { ms: 60_000, measured: 20, fromCache: 0, threadMs: 90_000 },
  card: [HOSTILE],
  sections: [
    {
      id: 'table1',
      title: HOSTILE,
      paragraphs: [HOSTILE],
      tables: [
        {
          id: 'table1',
          title: HOSTILE,
          corner: 'Attack',
          columns: ['Text', 'Share', 'Number', 'Nothing', 'None'],
          rows: [
            {
              title: HOSTILE,
              group: HOSTILE,
              marked: true,
              entries: [
                textEntry(HOSTILE),
                rateEntry(rateOf(15, 20), 83.7),
                numberEntry(1.25, 1, 2),
                EMPTY,
                rateEntry(rateOf(0, 0)),
              ],
            },
          ],
          notes: [HOSTILE],
        },
      ],
      plots: [
        {
          id: 'plot',
          title: HOSTILE,
          description: HOSTILE,
          spec: lines([{ x: 1, series: HOSTILE, panel: HOSTILE, rate: rateOf(15, 20) }], { x: 'x', y: 'y' }),
        },
      ],
    },
  ],
};

describe('the report of an evaluation', () => {
  it("names a recipe of the model by the settings in which it is not the paper's", () => {
    const paper = { sigma: 0.04, window: 10, order: ['deflect', 'denoise'] };
    const model = { sigma: 0.06, window: 10, order: ['deflect', 'denoise', 'crop'] };
    const report = { ...REPORT, recipe: 'model', defences: { paper, model } };
    assert.match(
      evaluationMarkdown(report),
      /- Recipe recommended for the model: model, which is the paper's but for sigma 0\.06, order deflect,denoise,crop\n/,
    );
    assert.match(evaluationMarkdown(REPORT), /- Recipe recommended for the model: paper\n/);
  });

  it('has shares with interval, n and the paper beside them', async () => {
    // 15 of 20, Wilson: 53.1 to 88.8 %.
    assert.match(
      evaluationMarkdown(REPORT),
      /\| 75\.0 % \(53\.1–88\.8, n 20\) · paper 83\.7 % \| 1\.3 · paper 2 \| {2}\| – \(n 0\) \|/,
    );
    assert.match(
      await evaluationPage(REPORT),
      /75\.0 % <small>53\.1–88\.8, n 20<\/small> <small class="paper">paper 83\.7 %<\/small>/,
    );
  });

  it('is a CSV that reads back, with every figure in full', () => {
    const rows = parseCsv(evaluationCsv(REPORT), { columns: true }) as Record<string, string>[];
    assert.deepEqual(
      rows.map(({ kind }) => kind),
      ['text', 'rate', 'number', 'rate'],
    );
    const [text, rate, , none] = rows;
    assert.equal(text!.value, HOSTILE);
    assert.deepEqual([rate!.value, rate!.n, rate!.correct, rate!.paper], ['0.75', '20', '15', '0.8370000000000001']);
    assert.deepEqual([none!.value, none!.n, none!.low], ['', '0', '']);
  });

  it('lets no name become markup, in the page, its plots or Markdown', async () => {
    const page = await evaluationPage(REPORT);
    assert.ok(!page.includes('<img'));
    assert.ok(!/\son\w+\s*=/.test(page.replaceAll('onerror=alert(1)', '')));
    const markdown = evaluationMarkdown(REPORT);
    assert.ok(!/(^|[^\\])<img/.test(markdown.replace(/^ {4}.*$/gm, '')));
    // A name of several lines would break its table.
    for (const line of markdown.split('\n')) if (line.startsWith('|')) assert.ok(line.endsWith('|'), line);
  });

  it('draws its plots into the page, each with a description', async () => {
    const page = await evaluationPage(REPORT);
    assert.match(page, /<svg class="plot" viewBox="[^"]+" width="[^"]+" role="img" aria-label="[^"]+">/);
    assert.ok(!page.includes('NaN'));
  });
});
