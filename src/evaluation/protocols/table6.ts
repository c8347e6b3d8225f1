/** Table 6: how coefficients are removed. */
import { accuracyRows, attacksOf, CLEAN_ROW } from '../accuracy-table.js';
import { SIX_ATTACKS } from '../attack-case.js';
import { PAPER, variant } from '../defence-case.js';
import { PAPER_TABLE_6 } from '../paper-tables.js';
import type { Plan, Protocol } from '../protocol.js';
import { testSample } from '../sample.js';

const ROWS = [CLEAN_ROW, ...SIX_ATTACKS];

const DEFENCES = [
  variant('bayes-hard', 'Bayes, hard', { threshold: 'hard' }),
  variant('visu', 'VISU', { shrink: 'visu' }),
  variant('sure', 'SURE', { shrink: 'sure' }),
  PAPER,
];

const sampleOf = (plan: Plan) => testSample(plan.images, 0.25);

export const table6: Protocol = {
  name: 'table6',
  title: 'Table 6: thresholding techniques',
  demands: plan => [{ sample: sampleOf(plan), attacks: attacksOf(ROWS), defences: DEFENCES }],
  section: (measured, plan) => ({
    id: 'table6',
    title: table6.title,
    paragraphs: [
      'After pixel deflection, votes of ten. The paper does not say by which rule its hard thresholds are set; here it is the Bayesian one.',
    ],
    tables: [
      {
        id: 'table6',
        title: 'Accuracy under attack, Ens-10',
        corner: 'Attack',
        columns: ['No defence', 'Hard', 'VISU', 'SURE', 'Bayes'],
        rows: accuracyRows(measured, sampleOf(plan), ROWS, DEFENCES, 'vote', ({ paper }) => [
          undefined,
          ...(PAPER_TABLE_6[paper] ?? []),
        ]),
        notes: [],
      },
    ],
    plots: [],
  }),
};
