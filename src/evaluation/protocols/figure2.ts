/** Figure 2: probabilities of the true and of the adversarial class as more and more pixels are deflected, nothing denoised. */

import { grouped } from '../../report/numbers.js';
import { type AttackCase, CLEAN, IGSM_MINIMAL, LBFGS_MINIMAL } from '../attack-case.js';
import { variant } from '../defence-case.js';
import { curves } from '../plots.js';
import type { Plan, Protocol } from '../protocol.js';
import type { Case } from '../rates.js';
import { numberEntry } from '../report-content.js';
import { testSample } from '../sample.js';

const COUNTS = [10, 100, 1000, 5000, 10_000] as const;

const DEFENCES = COUNTS.map(deflections =>
  variant(`deflect-only-${deflections}`, `${deflections} deflections`, {
    deflections,
    order: ['deflect'],
    map: 'uniform',
    runs: 1,
  }),
);

const ATTACKS: readonly AttackCase[] = [CLEAN, IGSM_MINIMAL, LBFGS_MINIMAL];

const sampleOf = (plan: Plan) => testSample(plan.images, 0.25);

export const figure2: Protocol = {
  name: 'figure2',
  title: 'Figure 2: class probabilities under deflection',
  demands: plan => [{ sample: sampleOf(plan), attacks: ATTACKS, defences: DEFENCES }],
  section(measured, plan) {
    const series = ATTACKS.flatMap(attack => {
      const means = (of: (one: Case) => number) =>
        DEFENCES.map(defence => {
          const cases = measured.cases(sampleOf(plan), attack, defence);
          return cases.reduce((sum, one) => sum + of(one), 0) / Math.max(cases.length, 1);
        });
      const trueClass = { attack, name: 'True class', values: means(({ outcome }) => outcome.probabilityTrue) };
      const reached = {
        attack,
        name: 'Class of the attack',
        values: means(({ outcome }) => outcome.probabilityAttacked),
      };
      return attack === CLEAN ? [trueClass] : [trueClass, reached];
    });
    return {
      id: 'figure2',
      title: figure2.title,
      paragraphs: [
        'In the paper deflection alone brings the true class back while clean images hardly notice: where the lines of an attack cross, it does; where they stay apart, the model is not moved by deflection.',
      ],
      tables: [
        {
          id: 'figure2',
          title: 'Mean probability by number of deflected pixels',
          corner: '',
          columns: COUNTS.map(grouped),
          rows: series.map(({ attack, name, values }) => ({
            title: name,
            group: attack.title,
            entries: values.map(value => numberEntry(value, 3)),
          })),
          notes: [`n ${measured.measurements(sampleOf(plan), CLEAN).length}.`],
        },
      ],
      plots: [
        {
          id: 'figure2',
          title: 'Mean class probability after deflection',
          description:
            'Mean probabilities of the true class and of the adversarial class by number of deflected pixels.',
          spec: curves(
            series.flatMap(({ attack, name, values }) =>
              values.map((y, i) => ({ x: COUNTS[i]!, y, series: name, panel: attack.title })),
            ),
            { x: 'deflections', y: 'probability', logarithmic: true },
          ),
        },
      ],
    };
  },
};
