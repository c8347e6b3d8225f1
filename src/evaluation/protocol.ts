/** What a protocol is: what it needs measured, and what it makes of it. */
import type { AttackCase } from './attack-case.js';
import type { DefenceCase } from './defence-case.js';
import type { LadderRow } from './ladder/ladder-result.js';
import type { Measurement } from './measurement.js';
import type { Case } from './rates.js';
import type { Section } from './report-content.js';
import type { Sample } from './sample.js';

/** Attacks on a sample, and defences to put to the attacked images. */
export interface Demand {
  readonly sample: Sample;
  readonly attacks: readonly AttackCase[];
  readonly defences: readonly DefenceCase[];
}

/** What a protocol may go by. */
export interface Plan {
  /** Images of the main tables; secondary ones take a share. */
  readonly images: number;
  /** Names of the models; the evaluation is about the first. */
  readonly models: readonly string[];
  /** The recipe that the model's folder recommends; `undefined`: the paper's. */
  readonly recommended: DefenceCase | undefined;
}

/** What was measured. All lists are in the order of the sample. */
export interface Measured {
  /** Images of a sample: as many as were asked for, or as there are. */
  measurements(sample: Sample, attack: AttackCase): readonly Measurement[];
  cases(sample: Sample, attack: AttackCase, defence: DefenceCase): readonly Case[];
  /** Of the adaptive ladder, where that was climbed. */
  readonly ladder: readonly LadderRow[];
}

export interface Protocol {
  /** As on the command line. */
  readonly name: string;
  readonly title: string;
  demands(plan: Plan): readonly Demand[];
  section(measured: Measured, plan: Plan): Section;
}
