/**
 * The rungs of the adaptive ladder, from an attacker who does not know of the defence to one who knows its seed. What is
 * measured and why: docs/adaptive-attacks.md. Athalye, Carlini, Wagner, 'Obfuscated Gradients Give a False Sense of
 * Security', ICML 2018 (BPDA, EOT); Tramer et al., 'On Adaptive Attacks to Adversarial Example Defenses', NeurIPS 2020.
 */

/** How an attacker goes back through the defence, which it carries out itself with draws of its own. */
export interface WhiteBox {
  readonly kind: 'white-box';
  /** `identity`: BPDA, the defence counts as no change; `exact`: its transposed Jacobian, at the draws of the run. */
  readonly backward: 'identity' | 'exact';
  /** Runs whose gradients are averaged at each step (EOT). */
  readonly draws: number;
  /** `kept`: the same draws at every step. */
  readonly freshness: 'fresh' | 'kept';
  /** The activation map that runs go by: of the clean image, or of the image in hand, and then also as something to attack. */
  readonly map: 'clean' | 'attacked';
  /** What is made large: the attack's own loss averaged over runs, or how far the vote is lost. */
  readonly objective: 'runs' | 'vote';
  /** `known`: the attacker has the seed of the defence, and tries each candidate on the very runs that will be voted on. */
  readonly seed: 'secret' | 'known';
}

/** What an attacker of a rung is given to work with. */
export type Access =
  /** No attack. */
  | { readonly kind: 'clean' }
  /** Signs of random noise, of the largest change allowed. */
  | { readonly kind: 'noise' }
  /** The model's gradients; the defence is unknown. */
  | { readonly kind: 'undefended' }
  | WhiteBox
  /** Answers of the defended model alone. */
  | { readonly kind: 'queries' }
  /** The gradients of another model. */
  | { readonly kind: 'surrogate' };

export interface Rung {
  /** Place on the ladder, 0 to 10; several rungs may stand on one. */
  readonly rung: number;
  /** Unique among all rungs; as users name it. */
  readonly id: string;
  readonly title: string;
  /** What the attacker knows, as a clause. */
  readonly knows: string;
  readonly access: Access;
  /** Name in the catalogue of attacks; `undefined` for `clean` and `noise`. */
  readonly attack: string | undefined;
}

/** Steps by which BPDA and the exact gradient are followed. */
const DESCENT = 'pgd';

const WHITE_BOX: WhiteBox = {
  kind: 'white-box',
  backward: 'identity',
  draws: 10,
  freshness: 'fresh',
  map: 'clean',
  objective: 'runs',
  seed: 'secret',
};

const EXACT: WhiteBox = { ...WHITE_BOX, backward: 'exact' };

function bpda(draws: number): Rung {
  return {
    rung: 2,
    id: `bpda-eot-${draws}`,
    title: `BPDA, EOT over ${draws} ${draws === 1 ? 'draw' : 'draws'}`,
    knows: 'model and defence',
    access: { ...WHITE_BOX, draws },
    attack: DESCENT,
  };
}

/** All rungs, in their order. */
export const RUNGS: readonly Rung[] = Object.freeze([
  { rung: 0, id: 'clean', title: 'no attack', knows: 'nothing', access: { kind: 'clean' }, attack: undefined },
  {
    rung: 0,
    id: 'unaware',
    title: 'PGD, unaware',
    knows: 'the model',
    access: { kind: 'undefended' },
    attack: DESCENT,
  },
  {
    rung: 1,
    id: 'bpda',
    title: 'BPDA, one run kept',
    knows: 'model and defence',
    access: { ...WHITE_BOX, draws: 1, freshness: 'kept' },
    attack: DESCENT,
  },
  ...[1, 10, 20, 40].map(bpda),
  {
    rung: 3,
    id: 'exact',
    title: 'exact gradient, EOT over 10 draws',
    knows: 'model and defence',
    access: EXACT,
    attack: DESCENT,
  },
  {
    rung: 4,
    id: 'map-aware',
    title: 'exact gradient, through the activation map too',
    knows: 'model and defence',
    access: { ...EXACT, map: 'attacked' },
    attack: DESCENT,
  },
  {
    rung: 5,
    id: 'vote-aware',
    title: 'exact gradient, against the vote',
    knows: 'model and defence',
    access: { ...EXACT, objective: 'vote' },
    attack: DESCENT,
  },
  {
    rung: 6,
    id: 'apgd-ce',
    title: 'APGD-CE, exact gradient, EOT over 10 draws',
    knows: 'model and defence',
    access: EXACT,
    attack: 'apgd-ce',
  },
  {
    rung: 6,
    id: 'apgd-dlr',
    title: 'APGD-DLR, exact gradient, EOT over 10 draws',
    knows: 'model and defence',
    access: EXACT,
    attack: 'apgd-dlr',
  },
  ...[
    ['square', 'Square'],
    ['spsa', 'SPSA'],
    ['hopskipjump', 'HopSkipJump'],
  ].map(
    ([id, title]): Rung => ({
      rung: 7,
      id: id!,
      title: `${title}, by queries`,
      knows: id === 'hopskipjump' ? 'labels that the defence gives' : 'scores that the defence gives',
      access: { kind: 'queries' },
      attack: id,
    }),
  ),
  {
    rung: 8,
    id: 'transfer',
    title: 'PGD on another model',
    knows: 'another model',
    access: { kind: 'surrogate' },
    attack: DESCENT,
  },
  {
    rung: 9,
    id: 'known-seed',
    title: 'exact gradient, tried under the seed of the defence',
    knows: 'model, defence and its seed',
    access: { ...EXACT, seed: 'known' },
    attack: DESCENT,
  },
  {
    rung: 10,
    id: 'noise',
    title: 'random noise of the same size',
    knows: 'nothing',
    access: { kind: 'noise' },
    attack: undefined,
  },
]);
