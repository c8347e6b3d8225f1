/** Figure 7 (and 4): activation maps of one class and robust ones, under attack. The paper shows examples. */
import { MAIN_ATTACKS } from '../attack-case.js';
import type { Plan, Protocol } from '../protocol.js';
import { median } from '../rates.js';
import { numberEntry } from '../report-content.js';
import { testSample } from '../sample.js';

const sampleOf = (plan: Plan) => testSample(plan.images);

export const figure7: Protocol = {
  name: 'figure7',
  title: 'Figure 7: activation maps under attack',
  demands: plan => [{ sample: sampleOf(plan), attacks: MAIN_ATTACKS.map(({ attack }) => attack), defences: [] }],
  section: (measured, plan) => ({
    id: 'figure7',
    title: figure7.title,
    paragraphs: [
      'A map of the top class follows the attack to the wrong class; a map of the five first classes should stay where the object is. Correlation of the map of the attacked image with that of the clean image, median over the fooled images: 1 where the attack does not move the map.',
    ],
    tables: [
      {
        id: 'figure7',
        title: 'Correlation of maps before and after the attack',
        corner: 'Attack',
        columns: ['n', 'CAM, top class', 'R-CAM, five classes', 'R-CAM nearer, share of images'],
        rows: MAIN_ATTACKS.map(({ attack }) => {
          const pairs = measured
            .measurements(sampleOf(plan), attack)
            .filter(({ attacked, label }) => attacked !== label)
            .flatMap(({ location }) => location.mapAgreement ?? []);
          const nearer = pairs.filter(({ cam, rcam }) => rcam > cam).length;
          return {
            title: attack.title,
            entries: [
              numberEntry(pairs.length, 0),
              numberEntry(median(pairs.map(({ cam }) => cam)), 3),
              numberEntry(median(pairs.map(({ rcam }) => rcam)), 3),
              numberEntry(pairs.length === 0 ? null : nearer / pairs.length, 2),
            ],
          };
        }),
        notes: [],
      },
    ],
    plots: [],
  }),
};
