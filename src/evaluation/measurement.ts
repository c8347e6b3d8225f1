/** What is kept of one image under one attack: figures and labels, never pixels. */
import type { Calls } from '../attacks/model-queries.js';

export const MEASUREMENT_SCHEMA = 'deflector/measurement@1';

/** Cells along each side of the grids that say where in an image something is. */
export const GRID = 14;

/** One image under one attack, and what became of it under defences. Field order is the order of the printed JSON. */
export interface Measurement {
  readonly schema: typeof MEASUREMENT_SCHEMA;
  /** The true class. */
  readonly label: number;
  /** What the undefended model says of the clean image; where it is wrong, nothing was attacked and all else is of the clean image. */
  readonly clean: number;
  /** What it says of the attacked image. */
  readonly attacked: number;
  /** Before rounding to 8 bits; `null` for images made elsewhere and where nothing was attacked. */
  readonly fooledBeforeRounding: boolean | null;
  /** max z_other - z_true of the attacked image. */
  readonly margin: number;
  readonly l2: number;
  readonly linf: number;
  readonly ssim: number;
  readonly calls: Calls;
  /** Place of the true class among the scores of the attacked image, from 1. */
  readonly rankOfTrue: number;
  /** Place of the attacked label among the scores of the clean image, from 1. */
  readonly rankOfAttacked: number;
  /** Of the true class, undefended. */
  readonly probability: number;
  readonly location: Location;
  /** By key of the defence. */
  readonly outcomes: Readonly<Record<string, Outcome>>;
  /** Spent on the attack. */
  readonly ms: number;
}

/** Where an attack puts its energy, beside where the model looks. */
export interface Location {
  /** Shares of the squared perturbation, GRID x GRID, row by row; all 0 where nothing was changed. */
  readonly energy: readonly number[];
  /** Means of the clean image's robust activation map, GRID x GRID; all 0 where the model makes no maps. */
  readonly map: readonly number[];
  /** Mean of that map under the perturbation over its mean under equal shares: 1 where attacks do not look at it. `null` where either is not there. */
  readonly focus: number | null;
  /** Pearson's correlation of the clean image's map with the attacked image's, of the top class and robust; `null` without maps. */
  readonly mapAgreement: { readonly cam: number; readonly rcam: number } | null;
}

/** What one defence makes of one image. */
export interface Outcome {
  /** Class that run 0 gives: what a single run is worth. */
  readonly first: number;
  /** Class that the vote gives. */
  readonly voted: number;
  readonly runsExecuted: number;
  /** Share of the executed runs that gave the voted class. */
  readonly agreement: number;
  /** Means over the executed runs: probability of the true class, and of the class the attack had reached. */
  readonly probabilityTrue: number;
  readonly probabilityAttacked: number;
  /** Mean over classes of how far run 0 moves a score. */
  readonly moved: number;
  /** Root mean square of how far run 0 moves a value, on the [0,1] scale. */
  readonly rms: number;
  readonly ms: number;
}
