/** Figure 6: how near the adversarial and the true class are to each other in the model's ranking. */
import { MAIN_ATTACKS } from '../attack-case.js';
import { PAPER_SECOND_CLASS } from '../paper-tables.js';
import { stacks } from '../plots.js';
import type { Plan, Protocol } from '../protocol.js';
import { rateOf } from '../rates.js';
import { numberEntry, rateEntry } from '../report-content.js';
import { testSample } from '../sample.js';

const RANKS = [2, 3, 4, 5] as const;

const sampleOf = (plan: Plan) => testSample(plan.images);

export const figure6: Protocol = {
  name: 'figure6',
  title: 'Figure 6: ranks of the adversarial and of the true class',
  demands: plan => [{ sample: sampleOf(plan), attacks: MAIN_ATTACKS.map(({ attack }) => attack), defences: [] }],
  section(measured, plan) {
    const rows = MAIN_ATTACKS.map(({ attack }) => {
      const fooled = measured
        .measurements(sampleOf(plan), attack)
        .filter(measurement => measurement.attacked !== measurement.label);
      return {
        attack,
        adversarial: fooled.map(({ rankOfAttacked }) => rankOfAttacked),
        original: fooled.map(({ rankOfTrue }) => rankOfTrue),
      };
    });
    const within = (ranks: readonly number[], most: number) =>
      rateOf(ranks.filter(rank => rank <= most).length, ranks.length);
    const parts = (panel: string, of: 'adversarial' | 'original') =>
      rows.flatMap(row => {
        const ranks = row[of];
        const share = (count: number) => (ranks.length === 0 ? 0 : count / ranks.length);
        return [
          ...RANKS.map(rank => ({ part: `place ${rank}`, share: share(ranks.filter(one => one === rank).length) })),
          { part: 'beyond the top 5', share: share(ranks.filter(one => one > 5).length) },
        ].map(part => ({ ...part, row: row.attack.title, panel }));
      });
    return {
      id: 'figure6',
      title: figure6.title,
      paragraphs: [
        'Of the fooled images. The paper finds the adversarial class second on the clean image nearly 40 % of the time, and the true class often still among the first five of the adversarial image: that is what makes a robust map of five classes worth having.',
      ],
      tables: [
        {
          id: 'figure6',
          title: 'Places in the ranking',
          corner: 'Attack',
          columns: [
            'n',
            'Adversarial class second on the clean image',
            'among its first 5',
            'True class second on the adversarial image',
            'among its first 5',
          ],
          rows: rows.map(({ attack, adversarial, original }) => ({
            title: attack.title,
            entries: [
              numberEntry(adversarial.length, 0),
              rateEntry(within(adversarial, 2), PAPER_SECOND_CLASS),
              rateEntry(within(adversarial, 5)),
              rateEntry(within(original, 2)),
              rateEntry(within(original, 5)),
            ],
          })),
          notes: ['L-BFGS and JSMA aim at the second class by construction.'],
        },
      ],
      plots: [
        {
          id: 'figure6',
          title: 'Places in the ranking',
          description:
            'Share of fooled images by the place of the adversarial class on the clean image, and of the true class on the adversarial image.',
          spec: stacks(
            [
              ...parts('Adversarial class, on the clean image', 'adversarial'),
              ...parts('True class, on the adversarial image', 'original'),
            ],
            'share of fooled images',
          ),
        },
      ],
    };
  },
};
