/** The content of evaluation.json: all figures of an evaluation, and what they were made from. */
import type { ModelIdentity } from '../types.js';
import type { Section } from './report-content.js';

export const EVALUATION_SCHEMA = 'deflector/evaluation@1';

/** A model, and the images that its figures are of. */
export interface EvaluatedModel extends ModelIdentity {
  /** Of each split: images that count, and images that were left out because the undefended model gets them wrong. */
  readonly test: { readonly images: number; readonly wrong: number };
  readonly search: { readonly images: number; readonly wrong: number };
}

/** Field order is the order of the printed JSON. */
export interface EvaluationReport {
  readonly schema: typeof EVALUATION_SCHEMA;
  readonly protocol: string;
  /** Arguments that make the report again, program first. */
  readonly command: readonly string[];
  /** The first one is what the evaluation is about. */
  readonly models: readonly EvaluatedModel[];
  /** What executed the models. */
  readonly runtime: string;
  readonly data: {
    /** As the user named it. */
    readonly source: string;
    /** SHA-256 over the digests of the images that count, in their order. */
    readonly sha256: string;
    readonly listed: number;
    /** Could not be read, or without a class, of those that were looked at. */
    readonly unusable: number;
    readonly labels: string;
  };
  /** Images asked for in the main tables. */
  readonly images: number;
  readonly seed: string;
  /** The recipe that the model's folder recommends. */
  readonly recipe: string;
  /** Settings of the defences by the names of tables. */
  readonly defences: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly attacks: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly platform: string };
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly duration: {
    /** Of this call, milliseconds. */
    readonly ms: number;
    /** Images under attacks that this call measured, and that were found in the cache. */
    readonly measured: number;
    readonly fromCache: number;
    /** Milliseconds of one thread that attacks and defences took, in whichever call. */
    readonly threadMs: number;
  };
  /** What the defence does and does not do for this model, in plain words. */
  readonly card: readonly string[];
  readonly sections: readonly Section[];
}
