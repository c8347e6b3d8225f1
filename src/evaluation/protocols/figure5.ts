/** Figure 5: accuracy along each parameter of the defence, on images that no table is of. */
import { attacksOf, CLEAN_ROW } from '../accuracy-table.js';
import { SIX_ATTACKS } from '../attack-case.js';
import type { DefenceCase } from '../defence-case.js';
import { type LinePoint, lines } from '../plots.js';
import type { Plan, Protocol } from '../protocol.js';
import { cellOf } from '../rates.js';
import { rateEntry } from '../report-content.js';
import { searchSample } from '../sample.js';
import { DEFLECTION_COUNTS, ofDeflections, ofSigma, ofWindow, WINDOWS } from '../sweeps.js';

const ROWS = [CLEAN_ROW, ...SIX_ATTACKS];

const SIGMAS = [0.01, 0.02, 0.04, 0.06, 0.08, 0.12] as const;

interface Sweep {
  readonly parameter: string;
  readonly logarithmic: boolean;
  readonly steps: readonly { readonly x: number; readonly defence: DefenceCase }[];
}

const SWEEPS: readonly Sweep[] = [
  { parameter: 'sigma', logarithmic: false, steps: SIGMAS.map(x => ({ x, defence: ofSigma(x) })) },
  {
    parameter: 'deflections',
    logarithmic: true,
    steps: DEFLECTION_COUNTS.map(x => ({ x, defence: ofDeflections(x) })),
  },
  { parameter: 'window', logarithmic: true, steps: WINDOWS.map(x => ({ x, defence: ofWindow(x) })) },
];

const sampleOf = (plan: Plan) => searchSample(plan.images, 0.2);

export const figure5: Protocol = {
  name: 'figure5',
  title: 'Figure 5: search for parameters',
  demands: plan => [
    {
      sample: sampleOf(plan),
      attacks: attacksOf(ROWS),
      defences: SWEEPS.flatMap(({ steps }) => steps.map(({ defence }) => defence)),
    },
  ],
  section(measured, plan) {
    const swept = SWEEPS.map(sweep => ({
      sweep,
      points: ROWS.flatMap(({ attack }) =>
        sweep.steps.map(
          ({ x, defence }): LinePoint => ({
            x,
            series: attack.title,
            panel: `by ${sweep.parameter}`,
            rate: cellOf(measured.cases(sampleOf(plan), attack, defence)).single,
          }),
        ),
      ),
    }));
    return {
      id: 'figure5',
      title: figure5.title,
      paragraphs: [
        "One parameter is varied, the others stay at the paper's (sigma 0.04, 100 deflections, window 10). Single runs, search split: parameters may be chosen by these figures, for no table is of these images.",
      ],
      tables: swept.map(({ sweep, points }) => ({
        id: `figure5-${sweep.parameter}`,
        title: `Accuracy by ${sweep.parameter}`,
        corner: 'Attack',
        columns: sweep.steps.map(({ x }) => String(x)),
        rows: ROWS.map(({ attack }) => ({
          title: attack.title,
          entries: points.filter(({ series }) => series === attack.title).map(({ rate }) => rateEntry(rate)),
        })),
        notes: [],
      })),
      plots: swept.map(({ sweep, points }) => ({
        id: `figure5-${sweep.parameter}`,
        title: `Accuracy by ${sweep.parameter}`,
        description: `Accuracy with intervals along ${sweep.parameter}, a line for each attack.`,
        spec: lines(points, { x: sweep.parameter, y: 'accuracy', logarithmic: sweep.logarithmic }),
      })),
    };
  },
};
