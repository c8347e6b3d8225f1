/** Table 9: how replacements are drawn, what replaces, what denoises; averaged over the six attacks. */
import { attacksOf } from '../accuracy-table.js';
import { SIX_ATTACKS } from '../attack-case.js';
import { type DefenceCase, variant } from '../defence-case.js';
import { PAPER_TABLE_9 } from '../paper-tables.js';
import type { Measured, Plan, Protocol } from '../protocol.js';
import { cellOf, rateOf } from '../rates.js';
import { type Entry, type Row, rateEntry } from '../report-content.js';
import { testSample } from '../sample.js';
import { ofWindow, WINDOWS } from '../sweeps.js';

/** In place of the wavelets, after deflection; the paper states no parameters. */
const DENOISERS: readonly { readonly defence: DefenceCase; readonly printed: number }[] = [
  { title: 'Bilateral', order: 'bilateral', printed: PAPER_TABLE_9.denoising.bilateral },
  { title: 'Anisotropic', order: 'anisotropic', printed: PAPER_TABLE_9.denoising.anisotropic },
  { title: 'TVM', order: 'tv', printed: PAPER_TABLE_9.denoising.tvm },
  { title: 'Deconvolution', order: 'wiener', printed: PAPER_TABLE_9.denoising.deconvolution },
  { title: 'Wavelet', order: 'denoise', printed: PAPER_TABLE_9.denoising.wavelet },
].map(({ title, order, printed }) => ({
  defence: variant(`pd-${order}`, title, { runs: 1, order: ['deflect', order] }),
  printed,
}));

interface Variants {
  readonly title: string;
  readonly group: string;
  readonly defences: readonly DefenceCase[];
  readonly printed: readonly number[];
}

const SAMPLING: readonly Variants[] = (['uniform', 'gaussian'] as const).map(sampling => ({
  title: sampling === 'uniform' ? 'Uniform' : 'Gaussian',
  group: 'Sampling, of a random pixel',
  defences: WINDOWS.map(window => ofWindow(window, { sampling })),
  printed: PAPER_TABLE_9.sampling[sampling],
}));

const REPLACEMENT: readonly Variants[] = (['min', 'max', 'mean', 'random'] as const).map(replace => ({
  title: `${replace.charAt(0).toUpperCase()}${replace.slice(1)}`,
  group: 'Replacement, uniform sampling',
  defences: WINDOWS.map(window => ofWindow(window, { replace })),
  printed: PAPER_TABLE_9.replacement[replace],
}));

const VARIANTS = [...SAMPLING, ...REPLACEMENT];

const sampleOf = (plan: Plan) => testSample(plan.images, 0.15);

export const table9: Protocol = {
  name: 'table9',
  title: 'Table 9: sampling, replacement, denoising',
  demands: plan => [
    {
      sample: sampleOf(plan),
      attacks: attacksOf(SIX_ATTACKS),
      defences: [...VARIANTS.flatMap(({ defences }) => defences), ...DENOISERS.map(({ defence }) => defence)],
    },
  ],
  section(measured, plan) {
    const average = (defence: DefenceCase, printed: number | undefined): Entry =>
      averaged(measured, plan, defence, printed);
    return {
      id: 'table9',
      title: table9.title,
      paragraphs: [
        'Accuracy over all six attacks together, single runs. An interval counts each attack on an image as a case of its own, so it is a little too narrow.',
      ],
      tables: [
        {
          id: 'table9',
          title: 'Accuracy by technique and window',
          corner: 'Technique',
          columns: WINDOWS.map(window => `Window ${window}`),
          rows: VARIANTS.map(
            ({ title, group, defences, printed }): Row => ({
              title,
              group,
              entries: defences.map((defence, i) => average(defence, printed[i])),
            }),
          ),
          notes: [],
        },
        {
          id: 'table9-denoising',
          title: 'Accuracy by what denoises after deflection',
          corner: '',
          columns: DENOISERS.map(({ defence }) => defence.title),
          rows: [{ title: 'Six attacks', entries: DENOISERS.map(({ defence, printed }) => average(defence, printed)) }],
          notes: ['The paper states no parameters for these filters; those used here are the defaults of the steps.'],
        },
      ],
      plots: [],
    };
  },
};

function averaged(measured: Measured, plan: Plan, defence: DefenceCase, printed: number | undefined): Entry {
  const cells = SIX_ATTACKS.map(({ attack }) => cellOf(measured.cases(sampleOf(plan), attack, defence)).single);
  const total = (of: 'correct' | 'n') => cells.reduce((sum, rate) => sum + rate[of], 0);
  return rateEntry(rateOf(total('correct'), total('n')), printed);
}
