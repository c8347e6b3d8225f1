/** `evaluation.html`: the tables and plots of an evaluation, one page that carries everything it needs. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { EvaluationReport } from '../../evaluation/evaluation-report.js';
import type { Entry, Plot, Row, Section, Table } from '../../evaluation/report-content.js';
import { escapeMarkup } from '../markup.js';
import { shellCommand } from '../run-summary.js';
import { visibleText } from '../visible-text.js';
import { intervalText, numberText, paperText, shareText } from './entry-text.js';
import { facts } from './markdown.js';
import { plotSvg } from './plot-svg.js';

const asset = (name: string) => readFile(new URL(`../../../../src/report/page/${name}`, import.meta.url), 'utf8');

/** @returns the whole page, HTML5, UTF-8 */
export async function evaluationPage(report: EvaluationReport): Promise<string> {
  const style = (await Promise.all([asset('report.css'), asset('evaluation.css')])).join('');
  const sections: string[] = [];
  for (const section of report.sections) sections.push(await sectionHtml(section));
  return [
    head(report, style),
    opening(report),
    contents(report),
    ...sections,
    made(report),
    '</main>\n</body>\n</html>\n',
  ].join('');
}

function head({ models }: EvaluationReport, style: string): string {
  const digest = createHash('sha256').update(style).digest('base64');
  // Nothing may be fetched and nothing may act; only this style, known by its digest, applies.
  const policy = `default-src 'none'; img-src data:; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>Deflector evaluation: ${text(models[0]!.name)}</title>
<style>${style}</style>
</head>
<body>
`;
}

function opening({ models, protocol, finishedAt, card }: EvaluationReport): string {
  const [{ name, sha256 }] = models as [EvaluationReport['models'][number]];
  return `<header>
<p class="brand">Deflector evaluation</p>
<h1>${text(name)}</h1>
<p class="quiet">Protocol ${text(protocol)} · ${text(finishedAt.slice(0, 16).replace('T', ' '))} UTC · model <code title="SHA-256 of the model: ${text(sha256)}">${text(sha256.slice(0, 12))}</code></p>
<p class="notice">The attacks of the paper's tables do not know that the defence is there. This defence is <strong>no security boundary</strong>: an attacker who knows of it can defeat it (Athalye and Carlini, 2018).</p>
</header>
<main>
<section aria-labelledby="card">
<h2 id="card">What the defence does for this model</h2>
<div class="card-text">
${card.map(paragraph => `<p>${text(paragraph)}</p>`).join('\n')}
</div>
</section>
`;
}

function contents({ sections }: EvaluationReport): string {
  const links = sections.map(({ id, title }) => `<li><a href="#${id}">${text(title)}</a></li>`);
  return `<nav aria-labelledby="contents">
<h2 id="contents">Contents</h2>
<ul class="contents">
${links.join('\n')}
<li><a href="#made">How it was made</a></li>
</ul>
</nav>
`;
}

async function sectionHtml({ id, title, paragraphs, tables, plots }: Section): Promise<string> {
  const drawn = await Promise.all(plots.map(plotHtml));
  return `<section aria-labelledby="${id}">
<h2 id="${id}">${text(title)}</h2>
${paragraphs.map(paragraph => `<p class="prose">${text(paragraph)}</p>`).join('\n')}
${tables.map(tableHtml).join('')}${drawn.join('')}</section>
`;
}

async function plotHtml(plot: Plot): Promise<string> {
  return `<figure class="plot">
<figcaption>${text(plot.title)} <small>${text(plot.description)}</small></figcaption>
<div class="scroll">${await plotSvg(plot)}</div>
</figure>
`;
}

function tableHtml({ title, corner, columns, rows, notes }: Table): string {
  const body = rows.map((row, i) => {
    const begins = row.group !== undefined && row.group !== rows[i - 1]?.group;
    const group = begins
      ? `<tr class="group"><th scope="colgroup" colspan="${columns.length + 1}">${text(row.group!)}</th></tr>\n`
      : '';
    return group + rowHtml(row);
  });
  const heads = columns.map(column => `<th scope="col" class="number column">${text(column)}</th>`);
  return `<div class="scroll"><table class="measured">
<caption>${text(title)}</caption>
<thead><tr><th scope="col">${text(corner)}</th>${heads.join('')}</tr></thead>
<tbody>
${body.join('\n')}
</tbody>
</table></div>
${notes.map(note => `<p class="quiet prose">${text(note)}</p>\n`).join('')}`;
}

function rowHtml({ title, marked, entries }: Row): string {
  return `<tr${marked === true ? ' class="marked"' : ''}><th scope="row">${text(title)}</th>${entries.map(cell).join('')}</tr>`;
}

function cell(entry: Entry): string {
  const paper = paperText(entry);
  const beside = paper === undefined ? '' : ` <small class="paper">paper ${paper}</small>`;
  switch (entry.kind) {
    case 'rate':
      return `<td class="number">${shareText(entry.rate.rate)} <small>${intervalText(entry.rate)}</small>${beside}</td>`;
    case 'number':
      return `<td class="number">${numberText(entry.value, entry.digits)}${beside}</td>`;
    case 'text':
      return `<td class="number">${text(entry.text)}</td>`;
    case 'empty':
      return '<td></td>';
  }
}

function made(report: EvaluationReport): string {
  const rows = facts(report).map(
    ([name, value]) => `<tr><th scope="row">${text(name)}</th><td>${text(value)}</td></tr>`,
  );
  return `<section aria-labelledby="made">
<h2 id="made">How it was made</h2>
<div class="scroll"><table class="facts"><tbody>
${rows.join('\n')}
</tbody></table></div>
<p>This makes it again, on any machine:</p>
<pre><code>${text(shellCommand(report.command))}</code></pre>
<p class="quiet prose">Parameters of every attack and settings of every defence, and all figures with their counts, are in evaluation.json beside this page.</p>
</section>
`;
}

function text(value: string): string {
  return escapeMarkup(visibleText(value));
}
