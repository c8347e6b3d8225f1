/** Table 4: rival defences, by the share of fooled images that they put right; and what they cost on clean images. */
import { attacksOf, CLEAN_ROW } from '../accuracy-table.js';
import { CLEAN, COMPARED_ATTACKS, type PaperAttack } from '../attack-case.js';
import {
  DEFLECTION,
  DEFLECTION_MAP,
  type DefenceCase,
  JPEG,
  PAPER,
  PAPER_MODERN,
  rival,
  SHRINKAGE,
  variant,
} from '../defence-case.js';
import { PAPER_TABLE_4 } from '../paper-tables.js';
import { dots } from '../plots.js';
import type { Measured, Plan, Protocol } from '../protocol.js';
import { type Case, cellOf, compare, isRight } from '../rates.js';
import { EMPTY, numberEntry, type Row, rateEntry, textEntry } from '../report-content.js';
import { type Sample, testSample } from '../sample.js';

interface Rival {
  readonly defence: DefenceCase;
  readonly group: string;
  /** Share of the images: what costs more is tried on fewer. */
  readonly share: number;
  readonly marked?: boolean;
}

const SQUEEZING = 'Feature squeezing (Xu et al.)';
const RESIZING = 'Random resizing and padding (Xie et al.)';
const QUILTING = 'Quilting and TVM (Guo et al.)';
const OURS = 'PD: pixel deflection, R-CAM: robust activation map';
const OTHERS = 'Others';

/** A quilt takes a third of a second: one run, as its authors' figures have it. */
const ONE_RUN = { runs: 1 } as const;

const RIVALS: readonly Rival[] = [
  { group: SQUEEZING, share: 1, defence: rival('(a) Bit depth, 2 bits', 'bits:2') },
  { group: SQUEEZING, share: 1, defence: rival('(b) Bit depth, 5 bits', 'bits:5') },
  { group: SQUEEZING, share: 1, defence: rival('(c) Median 2x2', 'median:2') },
  { group: SQUEEZING, share: 1, defence: rival('(d) Median 3x3', 'median:3') },
  { group: SQUEEZING, share: 0.15, defence: rival('(e) Non-local means 11-3-2', 'nlm:11-3-2') },
  { group: SQUEEZING, share: 0.15, defence: rival('(f) Non-local means 13-3-4', 'nlm:13-3-4') },
  { group: SQUEEZING, share: 0.15, defence: rival('(b) + (c) + (f)', 'squeeze') },
  { group: RESIZING, share: 0.25, defence: rival('Pixel padding', 'resizepad:0.9-pad') },
  { group: RESIZING, share: 0.25, defence: rival('Pixel resizing', 'resizepad:0.9-resize') },
  { group: RESIZING, share: 0.25, defence: rival('Padding + resizing', 'resizepad') },
  { group: QUILTING, share: 0.1, defence: rival('Quilting', 'quilt', ONE_RUN) },
  { group: QUILTING, share: 0.1, defence: rival('TVM + quilting', 'tvm,quilt', ONE_RUN) },
  { group: QUILTING, share: 0.1, defence: rival('Cropping + TVM + quilting', 'crop,tvm,quilt', ONE_RUN) },
  { group: OTHERS, share: 1, defence: JPEG },
  { group: OTHERS, share: 1, defence: rival('JPEG, quality 30', 'jpeg:30') },
  { group: OURS, share: 0.25, defence: DEFLECTION },
  { group: OURS, share: 0.25, defence: DEFLECTION_MAP },
  { group: OURS, share: 0.25, defence: variant('pd-rcam-dct', 'PD + R-CAM + DCT', { order: ['deflect', 'dct'] }) },
  { group: OURS, share: 1, defence: SHRINKAGE },
  { group: OURS, share: 0.25, defence: PAPER_MODERN },
  { group: OURS, share: 1, defence: PAPER },
];

/** Defences of others that are tried on all images. */
export const CHEAP_RIVALS: readonly DefenceCase[] = RIVALS.filter(
  ({ share, group }) => share === 1 && group !== OURS,
).map(({ defence }) => defence);

const COLUMNS = [CLEAN_ROW, ...COMPARED_ATTACKS];

function rivalsOf({ recommended }: Plan): readonly Rival[] {
  if (recommended === undefined) return RIVALS;
  return [...RIVALS, { group: 'Recommended for this model', share: 1, defence: recommended, marked: true }];
}

export const table4: Protocol = {
  name: 'table4',
  title: 'Table 4: rival defences',
  demands: plan =>
    rivalsOf(plan).map(({ defence, share }) => ({
      sample: testSample(plan.images, share),
      attacks: attacksOf(COLUMNS),
      defences: [defence],
    })),
  section(measured, plan) {
    const rivals = rivalsOf(plan);
    const candidate = plan.recommended ?? PAPER;
    return {
      id: 'table4',
      title: table4.title,
      paragraphs: [
        'Destruction rate: of the images that an attack fools, the share that a defence puts right. A defence can buy it with clean accuracy: look at both. Votes of ten runs where runs differ, but for quilting.',
      ],
      tables: [
        {
          id: 'table4',
          title: 'Destruction rates',
          corner: 'Defence',
          columns: ['n', 'Clean accuracy', ...COMPARED_ATTACKS.map(({ attack }) => attack.title), 'Mean'],
          rows: rivals.map(one => destructionRow(measured, plan, one)),
          notes: [
            "n: images right when clean; fewer for what takes longer, always the first of the same order. Beside a rate: the paper's, on ResNet-50. Mean: of the six columns of attacks.",
          ],
        },
        {
          id: 'table4-tests',
          title: `${candidate.title} against each other defence`,
          corner: 'Defence',
          columns: [
            'Images',
            'Clean: only this',
            'Clean: only the other',
            'p',
            'Attacked: only this',
            'Only the other',
            'p',
            'By image, p',
          ],
          rows: rivals
            .filter(({ defence }) => defence.id !== candidate.id)
            .map(one => testRow(measured, plan, candidate, one)),
          notes: [
            `Of the images that both were tried on: how often only ${candidate.title} is right and how often only the other. p: McNemar's exact test. Attacked: all six attacks together, whose pairs on one image are not independent; 'by image' asks for each image which of the two is right under more attacks, and is the safer one.`,
          ],
        },
      ],
      plots: [
        {
          id: 'table4',
          title: 'Destruction rates',
          description:
            'Destruction rates of all defences with intervals, a panel for each attack; diamonds are those of the paper.',
          spec: dots(
            COMPARED_ATTACKS.flatMap(({ attack, paper }) =>
              rivals.map(({ defence, share }) => ({
                row: defence.title,
                series: 'here',
                panel: attack.title,
                rate: cellOf(measured.cases(testSample(plan.images, share), attack, defence)).destroyedVote,
                paper: attack.id === 'igsm-full' ? undefined : shareOf(PAPER_TABLE_4[defence.id]?.[paper]),
              })),
            ),
            'destruction rate',
          ),
        },
      ],
    };
  },
};

function shareOf(percent: number | undefined): number | undefined {
  return percent === undefined ? undefined : percent / 100;
}

function destructionRow(measured: Measured, plan: Plan, { defence, group, share, marked }: Rival): Row {
  const sample = testSample(plan.images, share);
  const cellFor = (attack: PaperAttack['attack']) => cellOf(measured.cases(sample, attack, defence));
  const cells = COMPARED_ATTACKS.map(({ attack }) => cellFor(attack));
  const rates = cells.map(({ destroyedVote }) => destroyedVote.rate);
  const counted = rates.filter(rate => rate !== null);
  const mean = counted.length === rates.length ? counted.reduce((a, b) => a + b, 0) / rates.length : null;
  const printed = PAPER_TABLE_4[defence.id];
  return {
    title: defence.title,
    group,
    ...(marked === true ? { marked } : {}),
    entries: [
      numberEntry(cells[0]!.vote.n, 0),
      rateEntry(cellFor(CLEAN).vote),
      ...COMPARED_ATTACKS.map(({ attack, paper }, i) =>
        rateEntry(cells[i]!.destroyedVote, attack.id === 'igsm-full' ? undefined : printed?.[paper]),
      ),
      mean === null ? EMPTY : textEntry(`${(100 * mean).toFixed(1)} %`),
    ],
  };
}

function testRow(measured: Measured, plan: Plan, candidate: DefenceCase, { defence, group, share }: Rival): Row {
  const sample: Sample = testSample(plan.images, share);
  const right = (of: DefenceCase, attack: PaperAttack['attack']) =>
    measured.cases(sample, attack, of).map((one: Case) => isRight(one));
  const clean = compare(right(candidate, CLEAN), right(defence, CLEAN));
  const ours = COMPARED_ATTACKS.map(({ attack }) => right(candidate, attack));
  const theirs = COMPARED_ATTACKS.map(({ attack }) => right(defence, attack));
  const attacked = compare(ours.flat(), theirs.flat());
  const score = (lists: readonly (readonly boolean[])[], image: number) => lists.filter(list => list[image]).length;
  const images = Array.from({ length: clean.n }, (_, image) => [score(ours, image), score(theirs, image)] as const);
  const byImage = compare(
    images.map(([a, b]) => a > b),
    images.map(([a, b]) => b > a),
  );
  return {
    title: defence.title,
    group,
    entries: [
      numberEntry(clean.n, 0),
      numberEntry(clean.onlyFirst, 0),
      numberEntry(clean.onlySecond, 0),
      textEntry(probability(clean.p)),
      numberEntry(attacked.onlyFirst, 0),
      numberEntry(attacked.onlySecond, 0),
      textEntry(probability(attacked.p)),
      textEntry(probability(byImage.p)),
    ],
  };
}

function probability(p: number): string {
  return p < 0.0001 ? '< 0.0001' : p.toPrecision(2);
}
