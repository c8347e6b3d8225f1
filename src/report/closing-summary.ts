/** What a terminal says when a run has ended. */
import type { RunFigures } from './figures.js';
import { duration, grouped, percent, rate } from './numbers.js';
import type { RunSummary } from './run-summary.js';
import type { TerminalStyle } from './terminal-style.js';
import { visibleText } from './visible-text.js';
import { labelName } from './vote-bars.js';

/** Where things are, as the user may type it; what was not written is absent. */
export interface ResultPlaces {
  readonly results: string;
  readonly run: string;
  readonly report?: string;
  readonly defended?: string;
}

const CHANGES_SHOWN = 5;

/** The closing summary: lines with a line feed after each. Nothing in it can act on the terminal but `style`. */
export function closingSummary(
  run: RunSummary,
  figures: RunFigures,
  places: ResultPlaces,
  style: TerminalStyle,
): string {
  const lines: string[] = [];
  const speed = run.ms.images > 0 ? ` in ${duration(run.ms.total)}, ${rate(run.ms.images, run.ms.total)} a second` : '';
  const head = `Defended ${grouped(figures.ok)} of ${grouped(figures.total)} ${figures.total === 1 ? 'image' : 'images'}${speed}`;
  lines.push(style.bold(head));
  if (run.status === 'interrupted') lines.push(style.warn('Interrupted: go on with --resume.'));
  if (run.status === 'failed') {
    const cause = run.failure === undefined ? '' : `: ${run.failure.code}, ${visibleText(run.failure.message)}`;
    lines.push(style.fail(`Failed${cause}`));
  }
  lines.push('');

  const row = (name: string, count: number, share: string, detail: string, paint: (text: string) => string) =>
    lines.push(
      `  ${name.padEnd(11)}${paint(grouped(count).padStart(9))}  ${share.padStart(8)}  ${style.quiet(detail)}`.trimEnd(),
    );
  const asIs = (text: string) => text;
  const part = (count: number, whole: number) => (whole === 0 ? '' : percent(count / whole));
  row(
    'suspicious',
    figures.suspicious,
    part(figures.suspicious, figures.ok),
    figures.suspicious === 0 ? '' : 'the vote changed the label',
    figures.suspicious > 0 ? style.warn : asIs,
  );
  row(
    'failed',
    figures.failed,
    part(figures.failed, figures.total),
    figures.errors.map(({ code, count }) => `${code} ${grouped(count)}`).join(', '),
    figures.failed > 0 ? style.fail : asIs,
  );
  if (figures.ok > 0) {
    const each = (figures.runsExecuted / figures.ok).toFixed(1);
    const asked = Number((figures.runsAsked / figures.ok).toFixed(1));
    lines.push(`  ${'runs'.padEnd(11)}${each.padStart(9)}  ${style.quiet(`an image, of ${asked} asked for`)}`);
  }

  if (figures.labelChanges.length > 0) {
    lines.push('', '  Labels changed most often, undefended to voted');
    for (const { from, to, count } of figures.labelChanges.slice(0, CHANGES_SHOWN)) {
      lines.push(`  ${grouped(count).padStart(9)}  ${labelName(from)} → ${labelName(to)}`);
    }
  }

  lines.push('');
  for (const [name, place] of Object.entries(places)) lines.push(`  ${name.padEnd(11)}${visibleText(place)}`);
  return `${lines.join('\n')}\n`;
}
