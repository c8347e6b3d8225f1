/**
 * The attacks of the protocols, with the parameters they run under: for each attack of the paper the strength that the paper
 * states, and where an attack iterates both of its forms.
 */

/** One attack under fixed parameters. Its name says nothing to the images made: they depend on `attack` and `parameters`. */
export interface AttackCase {
  /** Unique among all cases. */
  readonly id: string;
  /** For tables. */
  readonly title: string;
  /** Name in the catalogue of attacks; `undefined`: the clean image, or one that was made elsewhere. */
  readonly attack: string | undefined;
  /** As the command line takes them; what is left out takes its default. */
  readonly parameters: Readonly<Record<string, string | number>>;
  /** What the attack does once the model is fooled; one step knows no difference. */
  readonly form: 'one step' | 'minimal' | 'full' | undefined;
}

function attackCase(
  id: string,
  title: string,
  form: AttackCase['form'],
  attack: string,
  parameters: AttackCase['parameters'],
): AttackCase {
  return Object.freeze({ id, title, attack, parameters, form });
}

/** No attack. */
export const CLEAN: AttackCase = Object.freeze({
  id: 'clean',
  title: 'Clean',
  attack: undefined,
  parameters: {},
  form: undefined,
});

/** L-infinity 6/255 on photographs is a normalised L2 of about .05, the paper's. */
const FGSM = attackCase('fgsm', 'FGSM', 'one step', 'fgsm', { epsilon: '6/255' });

/** As the paper has it (section 2): stops when an adversarial image has been found. */
export const IGSM_MINIMAL = attackCase('igsm-minimal', 'IGSM', 'minimal', 'igsm', {
  epsilon: '8/255',
  step: '2/255',
  steps: 10,
  form: 'minimal',
});

const IGSM_FULL = attackCase('igsm-full', 'IGSM, 4 steps', 'full', 'igsm', {
  epsilon: '4/255',
  step: '1.5/255',
  steps: 4,
  form: 'full',
});

/** At the paper's strength without a stop. */
const IGSM_STRONG = attackCase('igsm-strong', 'IGSM, 8 steps', 'full', 'igsm', {
  epsilon: '6/255',
  step: '1.5/255',
  steps: 8,
  form: 'full',
});

/** Judged by the image in 8 bits: by exact pixels nothing of it is left after rounding. */
const DEEPFOOL_MINIMAL = attackCase('deepfool-minimal', 'DFool', 'minimal', 'deepfool', {
  candidates: 3,
  steps: 15,
  overshoot: 0.5,
  form: 'minimal',
});

/** As published, judged by exact pixels: what rounding to 8 bits leaves of it. */
const DEEPFOOL_EXACT = attackCase('deepfool-exact', 'DFool, as published', 'minimal', 'deepfool', {
  candidates: 3,
  steps: 6,
  form: 'minimal',
  judge: 'exact',
});

const DEEPFOOL = attackCase('deepfool', 'DFool, stretched', 'full', 'deepfool', {
  candidates: 3,
  steps: 4,
  form: 'full',
  reach: 0.02,
  judge: 'exact',
});

const JSMA_MINIMAL = attackCase('jsma-minimal', 'JSMA', 'minimal', 'jsma', {
  theta: 0.05,
  gamma: 0.2,
  width: 1000,
  form: 'minimal',
});

const JSMA_FULL = attackCase('jsma-full', 'JSMA, all of its values', 'full', 'jsma', {
  theta: 0.05,
  gamma: 0.06,
  width: 1000,
  form: 'full',
});

export const LBFGS_MINIMAL = attackCase('lbfgs-minimal', 'LBFGS', 'minimal', 'lbfgs', {
  steps: 10,
  searches: 2,
  constant: 0.3,
});

const LBFGS_FULL = attackCase('lbfgs-full', 'LBFGS, margin 3, least likely', 'full', 'lbfgs', {
  steps: 12,
  searches: 1,
  constant: 0.01,
  confidence: 3,
  target: 'least',
});

const CW_MINIMAL = attackCase('cw-minimal', 'C&W', 'minimal', 'cw', {
  steps: 40,
  searches: 2,
  constant: 2,
  rate: 0.005,
});

/** A light search with a margin of 1, as a light attacker would run it. */
const CW = attackCase('cw', 'C&W, margin 1', 'full', 'cw', {
  steps: 25,
  searches: 2,
  constant: 4,
  confidence: 1,
  rate: 0.01,
});

const CW_STRONG = attackCase('cw-strong', 'C&W, margin 15', 'full', 'cw', {
  steps: 30,
  searches: 1,
  constant: 10,
  confidence: 15,
  rate: 0.02,
});

const FGSM_LARGE = attackCase('fgsm-large', 'FGSM', 'one step', 'fgsm', { epsilon: '15/255' });

const IGSM_LARGE = attackCase('igsm-large', 'IGSM, 8 steps', 'full', 'igsm', {
  epsilon: '20/255',
  step: '4/255',
  steps: 8,
  form: 'full',
});

const DEEPFOOL_LARGE = attackCase('deepfool-large', 'DFool, stretched', 'full', 'deepfool', {
  ...DEEPFOOL.parameters,
  reach: 0.08,
});

const JSMA_LARGE = attackCase('jsma-large', 'JSMA, all of its values', 'full', 'jsma', {
  theta: 0.1,
  gamma: 0.06,
  width: 1000,
  form: 'full',
});

const LBFGS_LARGE = attackCase('lbfgs-large', 'LBFGS, margin 6, least likely', 'full', 'lbfgs', {
  steps: 15,
  searches: 1,
  constant: 0.00001,
  confidence: 6,
  target: 'least',
});

/** An attack and where the paper has it: its name there, in the rows of strengths up to .05 or of large ones. */
export interface PaperAttack {
  readonly attack: AttackCase;
  readonly paper: 'FGSM' | 'IGSM' | 'DFool' | 'JSMA' | 'LBFGS' | 'C&W';
}

/** One form of each attack at the paper's strengths, and both of IGSM: what most figures are of. */
export const MAIN_ATTACKS: readonly PaperAttack[] = [
  { attack: FGSM, paper: 'FGSM' },
  { attack: IGSM_MINIMAL, paper: 'IGSM' },
  { attack: IGSM_FULL, paper: 'IGSM' },
  { attack: DEEPFOOL, paper: 'DFool' },
  { attack: JSMA_MINIMAL, paper: 'JSMA' },
  { attack: LBFGS_MINIMAL, paper: 'LBFGS' },
  { attack: CW, paper: 'C&W' },
];

/** The other forms, at the paper's strengths. */
export const OTHER_FORMS: readonly PaperAttack[] = [
  { attack: IGSM_STRONG, paper: 'IGSM' },
  { attack: DEEPFOOL_EXACT, paper: 'DFool' },
  { attack: DEEPFOOL_MINIMAL, paper: 'DFool' },
  { attack: JSMA_FULL, paper: 'JSMA' },
  { attack: LBFGS_FULL, paper: 'LBFGS' },
  { attack: CW_MINIMAL, paper: 'C&W' },
  { attack: CW_STRONG, paper: 'C&W' },
];

/** The rows 'large perturbations' of Table 1. */
export const LARGE_ATTACKS: readonly PaperAttack[] = [
  { attack: FGSM_LARGE, paper: 'FGSM' },
  { attack: IGSM_LARGE, paper: 'IGSM' },
  { attack: DEEPFOOL_LARGE, paper: 'DFool' },
  { attack: JSMA_LARGE, paper: 'JSMA' },
  { attack: LBFGS_LARGE, paper: 'LBFGS' },
];

/** One form of each of the six attacks, for the tables that vary the defence. */
export const SIX_ATTACKS: readonly PaperAttack[] = [
  { attack: FGSM, paper: 'FGSM' },
  { attack: IGSM_MINIMAL, paper: 'IGSM' },
  { attack: DEEPFOOL, paper: 'DFool' },
  { attack: JSMA_MINIMAL, paper: 'JSMA' },
  { attack: LBFGS_MINIMAL, paper: 'LBFGS' },
  { attack: CW, paper: 'C&W' },
];

/** What defences are compared on: those of Table 4, IGSM in both forms, and L-BFGS. */
export const COMPARED_ATTACKS: readonly PaperAttack[] = [
  { attack: FGSM, paper: 'FGSM' },
  { attack: IGSM_MINIMAL, paper: 'IGSM' },
  { attack: IGSM_FULL, paper: 'IGSM' },
  { attack: DEEPFOOL, paper: 'DFool' },
  { attack: LBFGS_MINIMAL, paper: 'LBFGS' },
  { attack: CW, paper: 'C&W' },
];

/** FGSM and the full IGSM at growing strengths: largest change in steps of 1/255. */
export const STRENGTHS = [1, 2, 4, 6, 10, 16] as const;

export function fgsmOf(steps: number): AttackCase {
  return attackCase(`fgsm-${steps}`, 'FGSM', 'one step', 'fgsm', { epsilon: `${steps}/255` });
}

export function igsmOf(steps: number): AttackCase {
  const parameters = { epsilon: `${steps}/255`, step: `${steps / 4}/255`, steps: 8, form: 'full' };
  return attackCase(`igsm-${steps}`, 'IGSM, 8 steps', 'full', 'igsm', parameters);
}
