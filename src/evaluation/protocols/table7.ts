/** Table 7: numbers of deflections. */

import { grouped } from '../../report/numbers.js';
import { accuracyRows, attacksOf, CLEAN_ROW } from '../accuracy-table.js';
import { SIX_ATTACKS } from '../attack-case.js';
import { PAPER_TABLE_7 } from '../paper-tables.js';
import type { Plan, Protocol } from '../protocol.js';
import { testSample } from '../sample.js';
import { DEFLECTION_COUNTS, ofDeflections } from '../sweeps.js';

const ROWS = [CLEAN_ROW, ...SIX_ATTACKS];
const DEFENCES = DEFLECTION_COUNTS.map(ofDeflections);
const sampleOf = (plan: Plan) => testSample(plan.images, 0.25);

export const table7: Protocol = {
  name: 'table7',
  title: 'Table 7: numbers of deflections',
  demands: plan => [{ sample: sampleOf(plan), attacks: attacksOf(ROWS), defences: DEFENCES }],
  section: (measured, plan) => ({
    id: 'table7',
    title: table7.title,
    paragraphs: ['Window 10, single runs.'],
    tables: [
      {
        id: 'table7',
        title: 'Accuracy under attack by deflections, single run',
        corner: 'Attack',
        columns: ['No defence', ...DEFLECTION_COUNTS.map(grouped)],
        rows: accuracyRows(
          measured,
          sampleOf(plan),
          ROWS,
          DEFENCES,
          'single',
          ({ paper }) => PAPER_TABLE_7[paper] ?? [],
        ),
        notes: [],
      },
    ],
    plots: [],
  }),
};
