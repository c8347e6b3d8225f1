/** Figure 1: how far deflection moves an image, and how much of that shrinkage takes back. The paper shows one image. */

import { grouped } from '../../report/numbers.js';
import { CLEAN } from '../attack-case.js';
import { type DefenceCase, variant } from '../defence-case.js';
import { curves } from '../plots.js';
import type { Plan, Protocol } from '../protocol.js';
import { numberEntry } from '../report-content.js';
import { testSample } from '../sample.js';

const COUNTS = [100, 1000, 5000, 10_000] as const;

const of = (deflections: number, order: readonly string[], title: string): DefenceCase =>
  variant(`${order.join('-')}-${deflections}`, title, { deflections, order, map: 'uniform', runs: 1 });

const SERIES = [
  { title: 'Deflected', cases: COUNTS.map(count => of(count, ['deflect'], 'Deflected')) },
  { title: 'Deflected and denoised', cases: COUNTS.map(count => of(count, ['deflect', 'denoise'], 'Denoised')) },
];

const sampleOf = (plan: Plan) => testSample(plan.images, 0.15);

export const figure1: Protocol = {
  name: 'figure1',
  title: 'Figure 1: what deflection and denoising do to an image',
  demands: plan => [{ sample: sampleOf(plan), attacks: [CLEAN], defences: SERIES.flatMap(({ cases }) => cases) }],
  section(measured, plan) {
    const sample = sampleOf(plan);
    const rms = SERIES.map(({ title, cases }) => ({
      title,
      values: cases.map(defence => {
        const outcomes = measured.cases(sample, CLEAN, defence);
        return (255 * outcomes.reduce((sum, { outcome }) => sum + outcome.rms, 0)) / Math.max(outcomes.length, 1);
      }),
    }));
    return {
      id: 'figure1',
      title: figure1.title,
      paragraphs: [
        'The paper shows one photograph with growing numbers of deflected pixels, the difference to the original, and the difference after denoising. Here are the sizes of those differences over many clean images: root mean square, in grey levels of 255.',
      ],
      tables: [
        {
          id: 'figure1',
          title: 'Mean difference to the clean image, grey levels',
          corner: '',
          columns: COUNTS.map(count => `${grouped(count)} deflections`),
          rows: rms.map(({ title, values }) => ({ title, entries: values.map(value => numberEntry(value, 2)) })),
          notes: [`n ${measured.measurements(sample, CLEAN).length}.`],
        },
      ],
      plots: [
        {
          id: 'figure1',
          title: 'Difference to the clean image',
          description: 'Root mean square difference by number of deflected pixels, before and after denoising.',
          spec: curves(
            rms.flatMap(({ title, values }) =>
              values.map((y, i) => ({ x: COUNTS[i]!, y, series: title, panel: 'Clean images' })),
            ),
            { x: 'deflections', y: 'grey levels', logarithmic: true },
          ),
        },
      ],
    };
  },
};
