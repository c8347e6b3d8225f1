/** The adaptive ladder: what is left of a defence as its attacker learns more of it. */
import { CLEAN } from '../attack-case.js';
import { type DefenceCase, JPEG, PAPER, rival } from '../defence-case.js';
import type { LadderBudget } from '../ladder/climber.js';
import { LADDER_BUDGET } from '../ladder/ladder.js';
import { dots } from '../plots.js';
import type { Plan, Protocol } from '../protocol.js';
import { rateOf } from '../rates.js';
import { numberEntry, rateEntry } from '../report-content.js';
import { type Sample, testSample } from '../sample.js';

/**
 * Rungs of a recipe whose runs differ by design: one of each place. There every rung takes its attackers many times the
 * gradients that a defence takes of which one run tells about all.
 */
const RUNGS_OF_RECOMMENDED: ReadonlySet<string> = new Set([
  'clean',
  'unaware',
  'bpda',
  'bpda-eot-10',
  'exact',
  'apgd-ce',
  'transfer',
  'known-seed',
  'noise',
]);

interface Climbing extends DefenceCase {
  /** Ids of rungs; default: all. */
  readonly rungs?: ReadonlySet<string>;
}

/** The paper's defence, the recommended one, and rivals of which one draws. */
export function ladderDefences({ recommended }: Plan): readonly Climbing[] {
  const rivals = [JPEG, rival('Median 3x3', 'median:3'), rival('Padding + resizing', 'resizepad')];
  if (recommended === undefined) return [PAPER, ...rivals];
  return [PAPER, { ...recommended, rungs: RUNGS_OF_RECOMMENDED }, ...rivals];
}

/** Of the usual budget: as many questions as a defence of ten runs leaves time for. */
export const PROTOCOL_BUDGET: LadderBudget = Object.freeze({ ...LADDER_BUDGET, queries: 300 });

/** An attack on a rung takes hundreds of gradients an image. */
export function ladderSample(plan: Plan): Sample {
  return testSample(plan.images, 0.05);
}

export const ladder: Protocol = {
  name: 'ladder',
  title: 'Adaptive ladder: attackers who know of the defence',
  // Only that the images are right when clean: the ladder attacks by itself.
  demands: plan => [{ sample: ladderSample(plan), attacks: [CLEAN], defences: [] }],
  section(measured, plan) {
    const defences = ladderDefences(plan);
    const rows = defences.flatMap(({ id, title }) =>
      measured.ladder.filter(({ defence }) => defence === id).map(row => ({ ...row, group: title })),
    );
    return {
      id: 'ladder',
      title: ladder.title,
      paragraphs: [
        "From no attack and random noise to an attacker who knows the defence's seed; docs/adaptive-attacks.md says what each rung does. Votes are drawn by a seed that the attacker does not know, but on the rung that says so. What a defence is worth against attackers who know of it is the lowest of its rows.",
      ],
      tables: [
        {
          id: 'ladder',
          title: 'Accuracy by rung',
          corner: 'Rung',
          columns: ['Place', '|L2|', 'Undefended model', 'Defended', 'Gradients', 'Forward passes'],
          rows: rows.map(row => ({
            title: row.title,
            group: row.group,
            entries: [
              numberEntry(row.rung, 0),
              numberEntry(row.medianL2, 3),
              rateEntry(rateOf(row.correctUndefended, row.n)),
              rateEntry(rateOf(row.correctDefended, row.n)),
              numberEntry(row.gradients, 0),
              numberEntry(row.forward, 0),
            ],
          })),
          notes: [
            'Gradients and forward passes of the network: mean an image, those that carry the defence out included.',
            ...(plan.recommended === undefined
              ? []
              : [
                  'The recommended recipe is put to some of the rungs: its runs differ, which makes each many times as long.',
                ]),
          ],
        },
      ],
      plots: [
        {
          id: 'ladder',
          title: 'Accuracy by rung',
          description: 'Accuracy of each defence with intervals, rung by rung.',
          spec: dots(
            rows.map(row => ({
              row: row.title,
              series: row.group,
              panel: 'Defended',
              rate: rateOf(row.correctDefended, row.n),
            })),
            'accuracy',
          ),
        },
      ],
    };
  },
};
