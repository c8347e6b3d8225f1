/** Table 2: Table 1 again on other images. The paper takes a larger sample; here it is one that Table 1 has no image of. */
import { accuracyRows, attacksOf, CLEAN_ROW } from '../accuracy-table.js';
import { SIX_ATTACKS } from '../attack-case.js';
import { PAPER } from '../defence-case.js';
import { PAPER_TABLE_2 } from '../paper-tables.js';
import type { Plan, Protocol } from '../protocol.js';
import { cellOf, strengthOf } from '../rates.js';
import { numberEntry, rateEntry } from '../report-content.js';
import { searchSample } from '../sample.js';

const ROWS = [CLEAN_ROW, ...SIX_ATTACKS];

const sampleOf = (plan: Plan) => searchSample(plan.images, 0.2);

export const table2: Protocol = {
  name: 'table2',
  title: 'Table 2: the same on other images',
  demands: plan => [{ sample: sampleOf(plan), attacks: attacksOf(ROWS), defences: [PAPER] }],
  section(measured, plan) {
    const sample = sampleOf(plan);
    const accuracies = accuracyRows(measured, sample, ROWS, [PAPER], 'single', ({ paper }) => [
      PAPER_TABLE_2[paper]?.none,
      PAPER_TABLE_2[paper]?.single,
    ]);
    return {
      id: 'table2',
      title: table2.title,
      paragraphs: [
        "The paper repeats Table 1 on 10,000 images of all classes. Here it is repeated on the search split, of which no image is in Table 1: figures that agree with Table 1's do not hang on the choice of images.",
      ],
      tables: [
        {
          id: 'table2',
          title: 'Accuracy under attack, search split',
          corner: 'Attack',
          columns: ['|L2|', 'No defence', 'Paper, single run', 'Paper, Ens-10'],
          rows: accuracies.map((row, i) => {
            const { attack, paper } = ROWS[i]!;
            const { l2 } = strengthOf(measured.measurements(sample, attack));
            const { vote } = cellOf(measured.cases(sample, attack, PAPER));
            const printed = PAPER_TABLE_2[paper];
            return {
              ...row,
              entries: [
                numberEntry(attack.attack === undefined ? 0 : l2, 3, printed?.l2),
                ...row.entries,
                rateEntry(vote, printed?.ensemble),
              ],
            };
          }),
          notes: [],
        },
      ],
      plots: [],
    };
  },
};
