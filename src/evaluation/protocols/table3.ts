/** Table 3: other classifiers. Which ones, the caller says (--compare). */
import { attacksOf, CLEAN_ROW } from '../accuracy-table.js';
import { SIX_ATTACKS } from '../attack-case.js';
import { PAPER } from '../defence-case.js';
import { PAPER_TABLE_3 } from '../paper-tables.js';
import type { Plan, Protocol } from '../protocol.js';
import { cellOf, strengthOf } from '../rates.js';
import { numberEntry, type Row, rateEntry, textEntry } from '../report-content.js';
import { type Sample, testSample } from '../sample.js';

const ROWS = [CLEAN_ROW, ...SIX_ATTACKS];

function samplesOf(plan: Plan): readonly { readonly name: string; readonly sample: Sample }[] {
  return plan.models.map((name, model) => ({ name, sample: { ...testSample(plan.images, 0.15), model } }));
}

export const table3: Protocol = {
  name: 'table3',
  title: 'Table 3: other classifiers',
  demands: plan => samplesOf(plan).map(({ sample }) => ({ sample, attacks: attacksOf(ROWS), defences: [PAPER] })),
  section(measured, plan) {
    const ours = samplesOf(plan).flatMap(({ name, sample }) =>
      ROWS.map(({ attack }): Row => {
        const cell = cellOf(measured.cases(sample, attack, PAPER));
        const { l2 } = strengthOf(measured.measurements(sample, attack));
        return {
          title: attack.title,
          group: `${modelName(name)}, here`,
          entries: [
            numberEntry(attack.attack === undefined ? 0 : l2, 3),
            rateEntry(cell.undefended),
            rateEntry(cell.single),
            rateEntry(cell.vote),
          ],
        };
      }),
    );
    const printed = Object.entries(PAPER_TABLE_3).flatMap(([name, rows]) =>
      Object.entries(rows).map(
        ([attack, { l2, none, single, ensemble }]): Row => ({
          title: attack,
          group: `${name}, the paper`,
          entries: [textEntry(l2.toFixed(2)), ...[none, single, ensemble].map(value => textEntry(`${value} %`))],
        }),
      ),
    );
    return {
      id: 'table3',
      title: table3.title,
      paragraphs: [
        plan.models.length > 1
          ? 'The same attacks, made against each model, and the defence with the same parameters.'
          : 'No other model was named (--compare): these are the rows of the model at hand, beside those that the paper prints for three others.',
      ],
      tables: [
        {
          id: 'table3',
          title: 'Accuracy under attack, by classifier',
          corner: 'Attack',
          columns: ['|L2|', 'No defence', 'Single run', 'Ens-10'],
          rows: [...ours, ...printed],
          notes: [],
        },
      ],
      plots: [],
    };
  },
};

/** A folder is known by its last part. */
function modelName(nameOrFolder: string): string {
  return nameOrFolder.split(/[/\\]/).filter(Boolean).at(-1) ?? nameOrFolder;
}
