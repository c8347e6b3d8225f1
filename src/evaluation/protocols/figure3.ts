/** Figure 3: where attacks put their energy, beside where the model looks. */
import { CLEAN, MAIN_ATTACKS } from '../attack-case.js';
import type { Measurement } from '../measurement.js';
import { heatMaps } from '../plots.js';
import type { Plan, Protocol } from '../protocol.js';
import { median } from '../rates.js';
import { numberEntry } from '../report-content.js';
import { testSample } from '../sample.js';

const ATTACKS = MAIN_ATTACKS.map(({ attack }) => attack);

const sampleOf = (plan: Plan) => testSample(plan.images);

export const figure3: Protocol = {
  name: 'figure3',
  title: 'Figure 3: where attacks put their energy',
  demands: plan => [{ sample: sampleOf(plan), attacks: [CLEAN, ...ATTACKS], defences: [] }],
  section(measured, plan) {
    const sample = sampleOf(plan);
    const looked = measured.measurements(sample, CLEAN);
    return {
      id: 'figure3',
      title: figure3.title,
      paragraphs: [
        "Squared perturbation by place, averaged over images, beside the average robust activation map (each panel on its own scale). Focus: the mean of an image's own activation map under its perturbation, over the map's plain mean; 1 where an attack does not care where the object is.",
      ],
      tables: [
        {
          id: 'figure3',
          title: 'Focus of attacks on what the model looks at',
          corner: 'Attack',
          columns: ['n', 'Focus, median'],
          rows: ATTACKS.map(attack => {
            const focus = measured.measurements(sample, attack).flatMap(({ location }) => location.focus ?? []);
            return { title: attack.title, entries: [numberEntry(focus.length, 0), numberEntry(median(focus), 2)] };
          }),
          notes: [],
        },
      ],
      plots: [
        {
          id: 'figure3',
          title: 'Average places',
          description: 'Heat maps: the average activation map, and the average energy of each attack.',
          spec: heatMaps([
            { panel: 'Activation map', values: average(looked, ({ location }) => location.map) },
            ...ATTACKS.map(attack => ({
              panel: attack.title,
              values: average(measured.measurements(sample, attack), ({ location }) => location.energy),
            })),
          ]),
        },
      ],
    };
  },
};

function average(measurements: readonly Measurement[], of: (measurement: Measurement) => readonly number[]): number[] {
  const [first, ...rest] = measurements.map(of);
  const sums = [...(first ?? [])];
  for (const grid of rest) for (const [i, value] of grid.entries()) sums[i]! += value;
  return sums.map(sum => Number((sum / measurements.length).toPrecision(3)));
}
