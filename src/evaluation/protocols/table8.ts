/** Table 8: windows that replacements are drawn from. */
import { accuracyRows, attacksOf, CLEAN_ROW } from '../accuracy-table.js';
import { SIX_ATTACKS } from '../attack-case.js';
import { PAPER_TABLE_8 } from '../paper-tables.js';
import type { Plan, Protocol } from '../protocol.js';
import { testSample } from '../sample.js';
import { ofWindow, WINDOWS } from '../sweeps.js';

const ROWS = [CLEAN_ROW, ...SIX_ATTACKS];
const DEFENCES = WINDOWS.map(window => ofWindow(window));
const sampleOf = (plan: Plan) => testSample(plan.images, 0.25);

export const table8: Protocol = {
  name: 'table8',
  title: 'Table 8: windows',
  demands: plan => [{ sample: sampleOf(plan), attacks: attacksOf(ROWS), defences: DEFENCES }],
  section: (measured, plan) => ({
    id: 'table8',
    title: table8.title,
    paragraphs: ['100 deflections, single runs.'],
    tables: [
      {
        id: 'table8',
        title: 'Accuracy under attack by window, single run',
        corner: 'Attack',
        columns: ['No defence', ...WINDOWS.map(String)],
        rows: accuracyRows(
          measured,
          sampleOf(plan),
          ROWS,
          DEFENCES,
          'single',
          ({ paper }) => PAPER_TABLE_8[paper] ?? [],
        ),
        notes: [],
      },
    ],
    plots: [],
  }),
};
