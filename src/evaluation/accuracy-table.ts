/** Tables of accuracies: a row an attack, a column a defence. */
import { type AttackCase, CLEAN, type PaperAttack } from './attack-case.js';
import type { DefenceCase } from './defence-case.js';
import type { Measured } from './protocol.js';
import { type Cell, cellOf } from './rates.js';
import { type Row, rateEntry } from './report-content.js';
import type { Sample } from './sample.js';

/** An attack's row, with what the paper calls it. */
export interface AttackRow {
  readonly attack: AttackCase;
  readonly paper: PaperAttack['paper'] | 'Clean';
}

export const CLEAN_ROW: AttackRow = { attack: CLEAN, paper: 'Clean' };

/** Which of a cell's rates a table shows. */
export type Shown = 'single' | 'vote';

/** @param printed the paper's row for an attack, in percent: first without a defence, then column by column */
export function accuracyRows(
  measured: Measured,
  sample: Sample,
  rows: readonly AttackRow[],
  defences: readonly DefenceCase[],
  shown: Shown,
  printed: (row: AttackRow) => readonly (number | undefined)[] = () => [],
): Row[] {
  return rows.map(row => {
    const cells = defences.map(defence => cellOf(measured.cases(sample, row.attack, defence)));
    const [none, ...theirs] = printed(row);
    return {
      title: row.attack.title,
      entries: [
        rateEntry(cells[0]!.undefended, none),
        ...cells.map((cell: Cell, i) => rateEntry(cell[shown], theirs[i])),
      ],
    };
  });
}

/** Titles of attacks for a row of columns. */
export function attacksOf(rows: readonly AttackRow[]): AttackCase[] {
  return rows.map(({ attack }) => attack);
}
