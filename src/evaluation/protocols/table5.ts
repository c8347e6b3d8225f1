/** Table 5: parts of the defence alone and together, and JPEG. */
import { accuracyRows, attacksOf, CLEAN_ROW } from '../accuracy-table.js';
import { SIX_ATTACKS } from '../attack-case.js';
import { DEFLECTION_MAP, JPEG, PAPER, rival, SHRINKAGE, variant } from '../defence-case.js';
import { PAPER_TABLE_5 } from '../paper-tables.js';
import type { Plan, Protocol } from '../protocol.js';
import { testSample } from '../sample.js';

const ROWS = [CLEAN_ROW, ...SIX_ATTACKS];

const DEFENCES = [
  JPEG,
  SHRINKAGE,
  DEFLECTION_MAP,
  variant('pd-jpeg', 'PD, JPEG', { order: ['deflect', 'jpeg:75'] }),
  rival('PD, WD, JPEG', 'deflect,denoise,jpeg:75'),
  PAPER,
];

const sampleOf = (plan: Plan) => testSample(plan.images, 0.25);

export const table5: Protocol = {
  name: 'table5',
  title: 'Table 5: parts of the defence, and JPEG',
  demands: plan => [{ sample: sampleOf(plan), attacks: attacksOf(ROWS), defences: DEFENCES }],
  section: (measured, plan) => ({
    id: 'table5',
    title: table5.title,
    paragraphs: [
      'PD: pixel deflection by the robust activation map; WD: wavelet shrinkage; JPEG of quality 75. Votes of ten where runs differ.',
    ],
    tables: [
      {
        id: 'table5',
        title: 'Accuracy under attack, Ens-10',
        corner: 'Attack',
        columns: ['No defence', 'JPEG', 'WD', 'PD', 'PD, JPEG', 'PD, WD, JPEG', 'PD, WD'],
        rows: accuracyRows(measured, sampleOf(plan), ROWS, DEFENCES, 'vote', ({ paper }) => [
          undefined,
          ...(PAPER_TABLE_5[paper] ?? []),
        ]),
        notes: [],
      },
    ],
    plots: [],
  }),
};
