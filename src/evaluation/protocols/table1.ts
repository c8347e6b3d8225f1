/** Table 1: the attacks at the paper's strengths and beyond, without a defence, with one run, with ten. */
import { CLEAN, LARGE_ATTACKS, MAIN_ATTACKS, OTHER_FORMS, type PaperAttack } from '../attack-case.js';
import { type DefenceCase, PAPER } from '../defence-case.js';
import { PAPER_TABLE_1, PAPER_TABLE_1_LARGE } from '../paper-tables.js';
import { type DotPoint, dots } from '../plots.js';
import type { Measured, Plan, Protocol } from '../protocol.js';
import { cellOf, strengthOf } from '../rates.js';
import { EMPTY, numberEntry, type Row, rateEntry, textEntry } from '../report-content.js';
import { type Sample, testSample } from '../sample.js';

/** Other forms and large perturbations are on fewer images. */
const SHARE = 0.25;

interface Group {
  readonly title: string | undefined;
  readonly share: number;
  readonly rows: readonly RowCase[];
  readonly printed: typeof PAPER_TABLE_1;
}

const GROUPS: readonly Group[] = [
  { title: undefined, share: 1, rows: [{ attack: CLEAN, paper: 'Clean' }, ...MAIN_ATTACKS], printed: PAPER_TABLE_1 },
  { title: 'Other forms', share: SHARE, rows: OTHER_FORMS, printed: PAPER_TABLE_1 },
  { title: 'Large perturbations', share: SHARE, rows: LARGE_ATTACKS, printed: PAPER_TABLE_1_LARGE },
];

export const table1: Protocol = {
  name: 'table1',
  title: 'Table 1: attacks, without and with the defence',
  demands(plan) {
    return GROUPS.map(({ share, rows }) => ({
      sample: testSample(plan.images, share),
      attacks: rows.map(({ attack }) => attack),
      defences: defencesOf(plan),
    }));
  },
  section(measured, plan) {
    const rowsOf = (make: (sample: Sample, row: RowCase, printed: Group['printed']) => Row): Row[] =>
      GROUPS.flatMap(({ title, share, rows, printed }) =>
        rows.map(row => ({
          ...make(testSample(plan.images, share), row, printed),
          ...(title === undefined ? {} : { group: title }),
        })),
      );
    return {
      id: 'table1',
      title: table1.title,
      paragraphs: [
        'Share of images with the right label. The attacks do not know of the defence. Each that iterates comes in two forms: minimal, which stops when the model is fooled, and full, which spends its budget; how far past the boundary an attack goes (its margin) decides most of what a defence recovers.',
      ],
      tables: [
        {
          id: 'table1',
          title: 'Accuracy under attack',
          corner: 'Attack',
          columns: [
            'Form',
            '|L2|',
            'No defence',
            'Paper, single run',
            'Paper, Ens-10',
            'Destruction rate, Ens-10',
            ...(plan.recommended === undefined ? [] : [`${plan.recommended.title}, vote`]),
          ],
          rows: rowsOf((sample, row, printed) => accuracyRow(measured, plan, sample, row, printed)),
          notes: [
            "|L2|: median of ||x - x'|| / ||x|| over the fooled images. With each share: Wilson's 95 % interval, n, and what the paper has for ResNet-50.",
          ],
        },
        {
          id: 'table1-strength',
          title: 'What the attacks reached',
          corner: 'Attack',
          columns: [
            'Form',
            'n',
            'Fooled, exact pixels',
            'Fooled, 8 bits',
            'Margin',
            '|L2|',
            'L∞ · 255',
            'SSIM',
            'Gradients',
          ],
          rows: rowsOf((sample, row) => strengthRow(measured, sample, row)).slice(1),
          notes: [
            'Margin: median over the fooled images of the best wrong score less the true one, after rounding to 8 bits; so are |L2|, L∞ and SSIM. Gradients: mean number of gradients of the model an image.',
          ],
        },
      ],
      plots: [
        {
          id: 'table1',
          title: 'Accuracy under attack',
          description:
            'Accuracy without a defence and with defences, with intervals, by attack; diamonds are the figures of the paper.',
          spec: dots(
            GROUPS.flatMap(({ title, share, rows, printed }) =>
              rows.flatMap(row => dotsOf(measured, plan, testSample(plan.images, share), row, printed, title)),
            ),
            'accuracy',
          ),
        },
      ],
    };
  },
};

function dotsOf(
  measured: Measured,
  plan: Plan,
  sample: Sample,
  { attack, paper }: RowCase,
  printed: Group['printed'],
  group: string | undefined,
): DotPoint[] {
  const row = group === undefined ? attack.title : `${attack.title} (${group.toLowerCase()})`;
  const theirs = printed[paper];
  const [ours, ...others] = defencesOf(plan).map(defence => cellOf(measured.cases(sample, attack, defence)));
  const point = (series: string, rate: DotPoint['rate'], share?: number): DotPoint => ({
    row,
    series,
    panel: 'All attacks',
    rate,
    paper: share === undefined ? undefined : share / 100,
  });
  return [
    point('No defence', ours!.undefended, theirs?.none),
    point('Paper, Ens-10', ours!.vote, theirs?.ensemble),
    ...others.map(({ vote }) => point(`${plan.recommended?.title}, vote`, vote)),
  ];
}

function defencesOf({ recommended }: Plan): readonly DefenceCase[] {
  return recommended === undefined ? [PAPER] : [PAPER, recommended];
}

type RowCase = PaperAttack | { readonly attack: PaperAttack['attack']; readonly paper: 'Clean' };

function accuracyRow(
  measured: Measured,
  plan: Plan,
  sample: Sample,
  { attack, paper }: RowCase,
  printed: typeof PAPER_TABLE_1,
): Row {
  const [ours, ...others] = defencesOf(plan).map(defence => cellOf(measured.cases(sample, attack, defence)));
  const { undefended, single, vote, destroyedVote } = ours!;
  const theirs = printed[paper];
  return {
    title: attack.title,
    entries: [
      attack.form === undefined ? EMPTY : textEntry(attack.form),
      numberEntry(attack === CLEAN ? 0 : strengthOf(measured.measurements(sample, attack)).l2, 3, theirs?.l2),
      rateEntry(undefended, theirs?.none),
      rateEntry(single, theirs?.single),
      rateEntry(vote, theirs?.ensemble),
      attack === CLEAN ? EMPTY : rateEntry(destroyedVote),
      ...others.map(other => rateEntry(other.vote)),
    ],
  };
}

function strengthRow(measured: Measured, sample: Sample, { attack }: RowCase): Row {
  const measurements = measured.measurements(sample, attack);
  const { l2, linf, ssim, margin, gradients } = strengthOf(measurements);
  const before = measurements.filter(({ fooledBeforeRounding }) => fooledBeforeRounding).length;
  const after = measurements.filter(({ attacked, label }) => attacked !== label).length;
  return {
    title: attack.title,
    entries: [
      textEntry(attack.form ?? ''),
      numberEntry(measurements.length, 0),
      numberEntry(before, 0),
      numberEntry(after, 0),
      numberEntry(margin, 2),
      numberEntry(l2, 4),
      numberEntry(linf === null ? null : linf * 255, 0),
      numberEntry(ssim, 3),
      numberEntry(gradients, 1),
    ],
  };
}
