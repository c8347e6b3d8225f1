/** `report.html`: one page for people that carries everything it needs and asks nothing of anyone. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Label, StreamingStore, Verdict } from '../types.js';
import { describeDefence } from './describe-defence.js';
import { FigureCounter, type RunFigures } from './figures.js';
import type { GalleryItem } from './gallery.js';
import { escapeMarkup, scriptJson } from './markup.js';
import { counted, duration, grouped, percent, rate } from './numbers.js';
import { type RunSummary, shellCommand } from './run-summary.js';
import { shortText, visibleText } from './visible-text.js';
import { labelName, voteBars } from './vote-bars.js';

export interface ReportInput {
  readonly run: RunSummary;
  /** All verdicts of the job, in the order of input; read once. */
  readonly verdicts: AsyncIterable<Verdict>;
  /** Pictures of the images that `selectGallery` chose; read once, after the verdicts, one at a time. */
  readonly gallery: AsyncIterable<GalleryItem>;
  /** The model's labels, so that every vote has a name. */
  readonly labels?: readonly Label[];
}

/** What a report lists, whatever the number of verdicts; the figures count all of them. */
export const REPORT_LIMITS = Object.freeze({
  /** Images with pictures. */
  gallery: 48,
  /** Rows of the list of images. */
  suspiciousRows: 1000,
  failedRows: 1000,
  otherRows: 1000,
  /** Rows of the tables of labels and of label changes. */
  labels: 20,
  /** Characters of a key or an error message. */
  text: 1024,
});

/** Characters of the page that are written at a time, at least. */
const PIECE_CHARACTERS = 64 * 1024;

/** A row of the list of images as the page's script reads it. */
interface ReportRow {
  readonly key: string;
  readonly state: 'ok' | 'suspicious' | 'failed';
  /** The voted label; of a failed image its error code. */
  readonly label: string;
  /** What the undefended image was called; of a failed image the error's message. */
  readonly other: string;
  readonly agreement?: number;
}

/**
 * Writes the page to a store, whole or not at all. Memory is bounded by {@link REPORT_LIMITS}, not by the number of
 * verdicts.
 *
 * @returns the figures it shows
 * @throws what the store and the streams throw
 */
export async function writeReport(input: ReportInput, store: StreamingStore, key: string): Promise<RunFigures> {
  const { figures, rows } = await gather(input.verdicts);
  await store.writeStream(key, encoded(page(input, figures, rows)));
  return figures;
}

/** Text as UTF-8 in pieces that are worth a write. */
async function* encoded(texts: AsyncIterable<string>): AsyncGenerator<Uint8Array, void, undefined> {
  let waiting = '';
  for await (const text of texts) {
    waiting += text;
    if (waiting.length < PIECE_CHARACTERS) continue;
    yield Buffer.from(waiting);
    waiting = '';
  }
  yield Buffer.from(waiting);
}

interface Gathered {
  readonly figures: RunFigures;
  readonly rows: readonly ReportRow[];
}

async function gather(verdicts: AsyncIterable<Verdict>): Promise<Gathered> {
  const counter = new FigureCounter();
  const rows: ReportRow[] = [];
  const room: Record<ReportRow['state'], number> = {
    suspicious: REPORT_LIMITS.suspiciousRows,
    failed: REPORT_LIMITS.failedRows,
    ok: REPORT_LIMITS.otherRows,
  };
  for await (const verdict of verdicts) {
    counter.add(verdict);
    const state = stateOf(verdict);
    if (room[state] === 0) continue;
    room[state]--;
    const key = shortText(verdict.key, REPORT_LIMITS.text);
    rows.push(
      verdict.status === 'error'
        ? { key, state, label: verdict.error.code, other: shortText(verdict.error.message, REPORT_LIMITS.text) }
        : {
            key,
            state,
            label: labelName(verdict.label),
            other: labelName(verdict.undefended),
            agreement: verdict.agreement,
          },
    );
  }
  return { figures: counter.figures(REPORT_LIMITS.labels), rows };
}

function stateOf(verdict: Verdict): ReportRow['state'] {
  if (verdict.status === 'error') return 'failed';
  return verdict.suspicious ? 'suspicious' : 'ok';
}

/** The page's style and script stand beside this file's source, in their own languages. */
const asset = (name: string) => readFile(new URL(`../../../src/report/page/${name}`, import.meta.url), 'utf8');

async function* page(input: ReportInput, figures: RunFigures, rows: readonly ReportRow[]): AsyncGenerator<string> {
  const [style, script] = await Promise.all([asset('report.css'), asset('report.js')]);
  yield head(input.run, style, script);
  yield overview(input.run, figures);
  yield charts(figures);
  yield imagesHead(figures, rows);
  let shown = 0;
  for await (const item of input.gallery) {
    if (shown++ >= REPORT_LIMITS.gallery) break;
    yield card(item, input.labels);
  }
  yield shown === 0 ? '<p class="quiet">No image could be shown.</p>' : '';
  yield list(figures, rows);
  yield repeat(input.run);
  yield `<script type="application/json" id="rows">${scriptJson(rows)}</script>\n<script>${script}</script>\n</body>\n</html>\n`;
}

function digest(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

function head(run: RunSummary, style: string, script: string): string {
  // Nothing may be fetched; only this style and this script, known by their digests, may act.
  const policy = `default-src 'none'; img-src data:; style-src ${digest(style)}; script-src ${digest(script)}; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>Deflector report: ${escapeMarkup(shortText(run.inputs.join(', '), 80))}</title>
<style>${style}</style>
</head>
<body>
`;
}

const STATUS_WORDS = {
  complete: 'Complete',
  running: 'Running',
  interrupted: 'Interrupted',
  failed: 'Failed',
} as const;

function overview(run: RunSummary, figures: RunFigures): string {
  const status = STATUS_WORDS[run.status];
  const note =
    run.status === 'interrupted'
      ? '<p class="notice">The run was interrupted; <code>--resume</code> goes on where it stopped. The figures are those of the images done so far.</p>'
      : run.status === 'failed'
        ? `<p class="notice">The run failed${run.failure === undefined ? '' : `: ${escapeMarkup(run.failure.code)}, ${text(run.failure.message)}`}. The figures are those of the images done before.</p>`
        : '';
  const tile = (name: string, value: string, detail: string, kind = '') =>
    `<div class="figure ${kind}"><dt>${name}</dt><dd><b>${value}</b><span>${detail}</span></dd></div>`;
  const share = (part: number, whole: number) => (whole === 0 ? '' : unbroken(part / whole));
  return `<header>
<p class="brand">Deflector report</p>
<h1>${text(run.inputs.join(', '))}</h1>
<p class="quiet">${status} · ${escapeMarkup(`${run.finishedAt.slice(0, 16).replace('T', ' ')} UTC`)} · ${text(run.model.name)} <code title="SHA-256 of the model: ${escapeMarkup(run.model.sha256)}">${escapeMarkup(run.model.sha256.slice(0, 12))}</code> · ${escapeMarkup(describeDefence(run.defence))}</p>
${note}
<p class="notice">This defence raises the cost of attacks whose makers did not reckon with it. It is <strong>no security boundary</strong>: an attacker who knows of it can defeat it (Athalye and Carlini, 2018). A verdict that is not suspicious is no proof that an image is untouched.</p>
</header>
<main>
<section aria-labelledby="figures-title">
<h2 id="figures-title">Figures</h2>
<dl class="figures">
${tile('Images', grouped(figures.total), `${rate(run.ms.images, run.ms.total)} a second, ${duration(run.ms.total)}`)}
${tile('Defended', grouped(figures.ok), share(figures.ok, figures.total))}
${tile('Suspicious', grouped(figures.suspicious), figures.ok === 0 ? '' : `${share(figures.suspicious, figures.ok)} of the defended`, figures.suspicious > 0 ? 'suspicious' : '')}
${tile('Failed', grouped(figures.failed), share(figures.failed, figures.total), figures.failed > 0 ? 'failed' : '')}
${tile('Runs an image', figures.ok === 0 ? '–' : (figures.runsExecuted / figures.ok).toFixed(1), figures.ok === 0 ? '' : `of ${Number((figures.runsAsked / figures.ok).toFixed(1))} asked for`)}
</dl>
${errorTable(figures)}
</section>
`;
}

function errorTable(figures: RunFigures): string {
  if (figures.errors.length === 0) return '';
  const rows = figures.errors.map(
    ({ code, count }) =>
      `<tr><td><code>${escapeMarkup(code)}</code></td><td class="number">${grouped(count)}</td></tr>`,
  );
  return `<table class="narrow"><caption>Failed images by error code</caption><thead><tr><th scope="col">Code</th><th scope="col" class="number">Images</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

function charts(figures: RunFigures): string {
  return `<section class="columns">
<div>
<h2>Agreement of the runs</h2>
${histogram(figures)}
</div>
<div>
<h2>Most frequent labels</h2>
${labelTable(figures)}
</div>
<div>
<h2>Labels that the vote changed</h2>
${changeTable(figures)}
</div>
</section>
`;
}

function histogram(figures: RunFigures): string {
  if (figures.ok === 0) return '<p class="quiet">No image was defended.</p>';
  const most = Math.max(...figures.agreement);
  const [height, step] = [120, 30];
  const bars = figures.agreement.map((count, bin) => {
    const length = count === 0 ? 0 : Math.max(2, (count / most) * height);
    const range = bin === 10 ? 'all runs agree' : `${bin * 10} to below ${bin * 10 + 10} % agree`;
    const x = bin * step + 4;
    return (
      `<g><title>${range}: ${counted(count, 'image')}</title>` +
      `<rect class="bar" x="${x}" y="${20 + height - length}" width="${step - 6}" height="${length}"/>` +
      (count === 0
        ? ''
        : `<text x="${x + (step - 6) / 2}" y="${14 + height - length}" text-anchor="middle">${compact(count)}</text>`) +
      `<text class="axis" x="${x + (step - 6) / 2}" y="${36 + height}" text-anchor="middle">${bin === 10 ? '100' : `${bin * 10}–`}</text></g>`
    );
  });
  const unanimous = figures.agreement[10]!;
  return (
    `<svg class="histogram" viewBox="0 0 ${11 * step + 4} ${height + 56}" role="img" aria-label="Histogram of agreement: in ${counted(unanimous, 'image')} all runs agree, in ${grouped(figures.ok - unanimous)} they do not.">` +
    `${bars.join('')}<path class="line" d="M0 ${20.5 + height}h${11 * step + 4}"/>` +
    `<text class="axis" x="${(11 * step + 4) / 2}" y="${height + 52}" text-anchor="middle">share of the executed runs that voted for the label, %</text></svg>`
  );
}

function compact(count: number): string {
  return new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 }).format(count);
}

function labelTable(figures: RunFigures): string {
  if (figures.labels.length === 0) return '<p class="quiet">None.</p>';
  const most = figures.labels[0]!.count;
  const rows = figures.labels.map(
    ({ label, count }) =>
      `<tr><td>${text(labelName(label))}</td><td class="number">${grouped(count)}</td><td class="meter">${meter(count / most)}</td></tr>`,
  );
  return `<table><thead><tr><th scope="col">Label</th><th scope="col" class="number">Images</th><th scope="col"><span class="hidden">Share of the most frequent</span></th></tr></thead><tbody>${rows.join('')}</tbody></table>${more(figures.distinctLabels - figures.labels.length, 'label')}`;
}

function changeTable(figures: RunFigures): string {
  if (figures.labelChanges.length === 0) return '<p class="quiet">None: every vote confirmed the undefended label.</p>';
  const rows = figures.labelChanges.map(
    ({ from, to, count }) =>
      `<tr><td>${text(labelName(from))}</td><td>${text(labelName(to))}</td><td class="number">${grouped(count)}</td></tr>`,
  );
  const untracked = figures.labelChangesNotTracked;
  return (
    `<table><thead><tr><th scope="col">Undefended</th><th scope="col">Voted</th><th scope="col" class="number">Images</th></tr></thead><tbody>${rows.join('')}</tbody></table>` +
    more(figures.distinctLabelChanges - figures.labelChanges.length, 'change') +
    (untracked > 0 ? `<p class="quiet">${counted(untracked, 'image')} with rarer changes not told apart.</p>` : '')
  );
}

function more(count: number, noun: string): string {
  return count > 0 ? `<p class="quiet">and ${counted(count, `more ${noun}`)}</p>` : '';
}

function meter(share: number): string {
  return `<svg class="meter" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect width="${(100 * share).toFixed(2)}" height="8"/></svg>`;
}

function imagesHead(figures: RunFigures, rows: readonly ReportRow[]): string {
  const filter = (name: string, words: string, count: number, pressed: boolean) =>
    `<button type="button" data-filter="${name}" aria-pressed="${pressed}">${words} <span>${grouped(count)}</span></button>`;
  return `<section aria-labelledby="images-title">
<h2 id="images-title">Images</h2>
<p class="notice" id="no-script">Filters, search and the list of images need JavaScript, which is switched off here.</p>
<div class="controls" role="search" hidden>
<div class="filters" role="group" aria-label="Which images">
${filter('all', 'All', figures.total, true)}
${filter('suspicious', 'Suspicious', figures.suspicious, false)}
${filter('failed', 'Failed', figures.failed, false)}
</div>
<label>Search by key <input type="search" id="search" autocomplete="off" spellcheck="false"></label>
<output id="matches" aria-live="polite" data-listed="${rows.length}"></output>
</div>
<h3>Gallery</h3>
<p class="quiet">Suspicious images first, then those whose runs agreed least. Input, activation map (bright places are spared), result of the first run.</p>
<div class="gallery">
`;
}

function card(item: GalleryItem, labels: readonly Label[] | undefined): string {
  const { verdict, width, height } = item;
  const key = escapeMarkup(shortText(verdict.key, REPORT_LIMITS.text));
  const picture = (bytes: Uint8Array, words: string) =>
    `<figure><img src="data:image/webp;base64,${Buffer.from(bytes).toString('base64')}" width="${width}" height="${height}" alt="${words} of ${key}" decoding="async"><figcaption>${words}</figcaption></figure>`;
  const { bars, others } = voteBars(verdict, labels, 4);
  const votes = bars.map(
    bar =>
      `<li class="${bar.role}"><span class="name">${text(bar.name)}${bar.role === 'undefended' ? ' <i>(undefended)</i>' : ''}</span><span class="number">${bar.count}</span>${meter(bar.share)}</li>`,
  );
  return `<article class="card" data-state="${stateOf(verdict)}" data-key="${key}">
<h4><bdi>${key}</bdi>${verdict.suspicious ? ' <span class="mark">suspicious</span>' : ''}</h4>
<div class="pictures">${picture(item.input, 'Input')}${picture(item.map, 'Activation map')}${picture(item.defended, 'Defended')}</div>
<p class="verdict"><b>${text(labelName(verdict.label))}</b> ${unbroken(verdict.probability)}; undefended <b>${text(labelName(verdict.undefended))}</b> ${unbroken(verdict.undefended.probability)}</p>
<ul class="votes">${votes.join('')}${others > 0 ? `<li class="other"><span class="name">other labels</span><span class="number">${others}</span></li>` : ''}</ul>
</article>
`;
}

function list(figures: RunFigures, rows: readonly ReportRow[]): string {
  const listed = (state: ReportRow['state']) => rows.reduce((sum, row) => sum + Number(row.state === state), 0);
  const parts = [
    [listed('suspicious'), figures.suspicious, 'suspicious'],
    [listed('failed'), figures.failed, 'failed'],
    [listed('ok'), figures.ok - figures.suspicious, 'other'],
  ] as const;
  const cut = parts.filter(([some, all]) => some < all);
  const note =
    cut.length === 0
      ? ''
      : `<p class="quiet">Listed are the first ${cut.map(([some, all, state]) => `${grouped(some)} of ${grouped(all)} ${state}`).join(', ')} images. <code>results.jsonl</code> has them all.</p>`;
  return `</div>
<p id="no-cards" class="quiet" hidden>No image of the gallery matches.</p>
<h3>List</h3>
${note}
<div class="scroll">
<table id="list"><thead><tr><th scope="col">Key</th><th scope="col">State</th><th scope="col">Label or error</th><th scope="col">Undefended label or message</th><th scope="col" class="number">Agreement</th></tr></thead><tbody></tbody></table>
</div>
<p id="no-rows" class="quiet" hidden>No listed image matches.</p>
<p><button type="button" id="more" hidden>Show more</button></p>
</section>
`;
}

function repeat(run: RunSummary): string {
  const value = (setting: unknown): string =>
    Array.isArray(setting)
      ? setting.map(value).join(', ')
      : typeof setting === 'string'
        ? setting
        : JSON.stringify(setting);
  const pair = (name: string, content: string) =>
    `<tr><th scope="row">${escapeMarkup(name)}</th><td>${text(content)}</td></tr>`;
  // A line may end between two arguments, not inside of one: a lone `--` would be read as an argument of its own.
  const words = run.command.map(word => `<span>${text(shellCommand([word]))}</span>`);
  const settings = Object.entries(run.defence).map(([name, setting]) => pair(name, value(setting)));
  const about = [
    pair('model', run.model.name),
    pair('SHA-256 of the model', run.model.sha256),
    ...(run.localizer === undefined ? [] : [pair('localiser', `${run.localizer.name} ${run.localizer.sha256}`)]),
    pair('runtime', `${run.runtime}, ${counted(run.threads, 'thread')}`),
    pair('recipe', run.recipe),
    pair('seed', run.seed),
    pair('started', run.startedAt),
    pair('finished', run.finishedAt),
    ...Object.entries(run.versions).map(([name, version]) => pair(name, version)),
  ];
  return `<section aria-labelledby="repeat-title">
<h2 id="repeat-title">Run it again</h2>
<pre><code>${words.join(' ')}</code></pre>
<div class="columns">
<table><caption>What ran</caption><tbody>${about.join('')}</tbody></table>
<table><caption>Settings of the defence</caption><tbody>${settings.join('')}</tbody></table>
</div>
</section>
</main>
`;
}

/** A percentage whose sign stays on its line. */
function unbroken(share: number): string {
  return percent(share).replace(' ', '\u00a0');
}

/** Text of strangers on its way into the page: visible, escaped, and kept from turning its surroundings around. */
function text(words: string): string {
  return `<bdi>${escapeMarkup(visibleText(words))}</bdi>`;
}
