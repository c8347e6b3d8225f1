/** An evaluation as Markdown, for reading where its tables are kept. */
import type { EvaluationReport } from '../../evaluation/evaluation-report.js';
import type { Entry, Row, Section, Table } from '../../evaluation/report-content.js';
import { duration, grouped } from '../numbers.js';
import { shellCommand } from '../run-summary.js';
import { visibleText } from '../visible-text.js';
import { intervalText, numberText, paperText, shareText } from './entry-text.js';

export function evaluationMarkdown(report: EvaluationReport): string {
  return `${[
    `# Evaluation of ${text(report.models[0]!.name)}`,
    '## What the defence does for this model',
    ...report.card.map(text),
    ...report.sections.map(section),
    '## How it was made',
    facts(report)
      .map(([name, value]) => `- ${text(name)}: ${text(value)}`)
      .join('\n'),
    shellCommand(report.command).replace(/^/gm, '    '),
  ].join('\n\n')}\n`;
}

/** What the figures were made from, by name. */
export function facts(report: EvaluationReport): readonly (readonly [string, string])[] {
  const { data, duration: spent, machine, versions } = report;
  return [
    ...report.models.map(
      ({ name, sha256, test, search }) =>
        [
          `Model ${name}`,
          `SHA-256 ${sha256}; ${test.images} images of the test split (${test.wrong} left out because it gets them wrong)` +
            `${search.images > 0 ? `, ${search.images} of the search split (${search.wrong} left out)` : ''}`,
        ] as const,
    ),
    [
      'Data',
      `${data.source}, ${grouped(data.listed)} images listed${data.unusable > 0 ? `, ${data.unusable} unusable` : ''}; SHA-256 over those that count ${data.sha256}`,
    ],
    ['Recipe recommended for the model', recommended(report)],
    ['Seed', report.seed],
    ['Runtime', report.runtime],
    [
      'Versions',
      Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', '),
    ],
    ['Machine', `${machine.cpu}, ${machine.cores} cores, ${machine.platform}`],
    [
      'Duration',
      `${duration(spent.ms)}, ${grouped(spent.measured)} attacked images measured and ${grouped(spent.fromCache)} known from earlier calls; attacks and defences took ${duration(spent.threadMs)} of one thread's time in all, beside whatever else the machine did`,
    ],
    ['Made', `${report.startedAt} to ${report.finishedAt}`],
  ];
}

/** By the settings in which it differs from the paper's: its name says nothing to who has not the model's folder. */
function recommended({ recipe, defences }: EvaluationReport): string {
  const changes = Object.entries(defences[recipe] ?? {})
    .map(([name, value]) => ({ name, value: JSON.stringify(value), papers: JSON.stringify(defences.paper?.[name]) }))
    .filter(({ value, papers }) => value !== papers)
    .map(({ name, value }) => `${name} ${value.replace(/["[\]]/g, '')}`);
  return changes.length === 0 ? recipe : `${recipe}, which is the paper's but for ${changes.join(', ')}`;
}

function section({ title, paragraphs, tables }: Section): string {
  return [`## ${text(title)}`, ...paragraphs.map(text), ...tables.map(table)].join('\n\n');
}

function table({ title, corner, columns, rows, notes }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const head = [line([corner, ...columns].map(text)), line(['---', ...columns.map(() => '---')])];
  const body = rows.flatMap((row, i) => {
    const begins = row.group !== undefined && row.group !== rows[i - 1]?.group;
    return [...(begins ? [line([`**${text(row.group!)}**`, ...columns.map(() => '')])] : []), line(cells(row))];
  });
  return [`**${text(title)}**`, [...head, ...body].join('\n'), ...notes.map(text)].join('\n\n');
}

function cells({ title, marked, entries }: Row): string[] {
  return [marked === true ? `**${text(title)}**` : text(title), ...entries.map(entryText)];
}

function entryText(entry: Entry): string {
  const paper = paperText(entry);
  const beside = paper === undefined ? '' : ` · paper ${paper}`;
  switch (entry.kind) {
    case 'rate':
      return `${shareText(entry.rate.rate)} (${intervalText(entry.rate)})${beside}`;
    case 'number':
      return `${numberText(entry.value, entry.digits)}${beside}`;
    case 'text':
      return text(entry.text);
    case 'empty':
      return '';
  }
}

/** Names come from folders: nothing in them may become markup. */
function text(value: string): string {
  return visibleText(value).replace(/[\\|*_<>`[\]]/g, character => `\\${character}`);
}
