/** An evaluation as CSV (RFC 4180): one figure a line. */
import type { EvaluationReport } from '../../evaluation/evaluation-report.js';
import type { Entry } from '../../evaluation/report-content.js';

const HEAD = ['protocol', 'table', 'group', 'row', 'column', 'kind', 'value', 'n', 'correct', 'low', 'high', 'paper'];

export function evaluationCsv(report: EvaluationReport): string {
  const lines = report.sections.flatMap(({ id, tables }) =>
    tables.flatMap(table =>
      table.rows.flatMap(row =>
        row.entries.flatMap((entry, i) =>
          entry.kind === 'empty'
            ? []
            : [[id, table.id, row.group ?? '', row.title, table.columns[i]!, entry.kind, ...valuesOf(entry)]],
        ),
      ),
    ),
  );
  return [HEAD, ...lines].map(line => `${line.map(field).join(',')}\r\n`).join('');
}

function valuesOf(entry: Exclude<Entry, { kind: 'empty' }>): (string | number | null)[] {
  switch (entry.kind) {
    case 'rate': {
      const { rate, n, correct, low, high } = entry.rate;
      return [rate, n, correct, low, high, entry.paper];
    }
    case 'number':
      return [entry.value, null, null, null, null, entry.paper];
    case 'text':
      return [entry.text, null, null, null, null, null];
  }
}

function field(value: string | number | null): string {
  const text = value === null ? '' : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
