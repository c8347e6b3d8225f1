/** Accuracy against the strength of the attack: where defences begin to help, and where they end. */
import { type AttackCase, fgsmOf, igsmOf, STRENGTHS } from '../attack-case.js';
import { type DefenceCase, JPEG, PAPER } from '../defence-case.js';
import { type LinePoint, lines } from '../plots.js';
import type { Plan, Protocol } from '../protocol.js';
import { cellOf } from '../rates.js';
import { rateEntry } from '../report-content.js';
import { testSample } from '../sample.js';

const FAMILIES = [
  { panel: 'FGSM, one step', attacks: STRENGTHS.map(fgsmOf) },
  { panel: 'IGSM, 8 full steps', attacks: STRENGTHS.map(igsmOf) },
];

const sampleOf = (plan: Plan) => testSample(plan.images, 0.25);

const defencesOf = ({ recommended }: Plan): readonly DefenceCase[] =>
  recommended === undefined ? [PAPER, JPEG] : [PAPER, JPEG, recommended];

export const strength: Protocol = {
  name: 'strength',
  title: 'Accuracy against strength',
  demands: plan => [
    { sample: sampleOf(plan), attacks: FAMILIES.flatMap(({ attacks }) => attacks), defences: defencesOf(plan) },
  ],
  section(measured, plan) {
    const defences = defencesOf(plan);
    const cell = (attack: AttackCase, defence: DefenceCase) => cellOf(measured.cases(sampleOf(plan), attack, defence));
    const points = FAMILIES.flatMap(({ panel, attacks }) =>
      attacks.flatMap((attack, i): LinePoint[] => [
        { x: STRENGTHS[i]!, panel, series: 'No defence', rate: cell(attack, PAPER).undefended },
        ...defences.map(defence => ({
          x: STRENGTHS[i]!,
          panel,
          series: defence.title,
          rate: cell(attack, defence).vote,
        })),
      ]),
    );
    return {
      id: 'strength',
      title: strength.title,
      paragraphs: [
        'Not in the paper. Largest change of a value, in grey levels; attacks that do not know of the defence.',
      ],
      tables: FAMILIES.map(({ panel }, family) => ({
        id: `strength-${family + 1}`,
        title: panel,
        corner: 'Defence',
        columns: STRENGTHS.map(steps => `${steps}/255`),
        rows: [...new Set(points.map(({ series }) => series))].map(series => ({
          title: series,
          entries: points
            .filter(point => point.panel === panel && point.series === series)
            .map(({ rate }) => rateEntry(rate)),
        })),
        notes: [],
      })),
      plots: [
        {
          id: 'strength',
          title: 'Accuracy against strength',
          description: 'Accuracy with intervals by largest change of a value, with and without defences.',
          spec: lines(points, { x: 'largest change, of 255', y: 'accuracy' }),
        },
      ],
    };
  },
};
