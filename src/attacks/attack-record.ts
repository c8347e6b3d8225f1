/** What `attacks.jsonl` says of an image, and what all of them come to. */
import { type Interval, wilsonInterval } from '../evaluation/statistics.js';
import type { Label, VerdictError } from '../types.js';
import type { Calls } from './model-queries.js';

export const ATTACK_SCHEMA = 'deflector/attack@1';

interface RecordHead {
  readonly schema: typeof ATTACK_SCHEMA;
  readonly key: string;
}

/** An image that was attacked. Field order is the order of the printed JSON. All figures are of the 8-bit image. */
export interface AttackedRecord extends RecordHead {
  readonly sha256: string;
  readonly status: 'attacked';
  /** The attacked image, below the folder of the results. */
  readonly file: string;
  /** Whether the model's preprocessing of `file` gives exactly the attacked pixels. */
  readonly exact: boolean;
  readonly label: Label;
  readonly adversarial: Label;
  readonly fooled: boolean;
  readonly fooledBeforeRounding: boolean;
  readonly margin: number;
  readonly l2: number;
  readonly linf: number;
  readonly ssim: number;
  readonly calls: Calls;
  readonly ms: { readonly attack: number };
}

export type AttackRecord =
  | AttackedRecord
  /** The model gets the image wrong when clean, so there is nothing to attack. */
  | (RecordHead & {
      readonly sha256: string;
      readonly status: 'wrong';
      readonly label: Label;
      readonly predicted: Label;
    })
  | (RecordHead & { readonly sha256?: string; readonly status: 'error'; readonly error: VerdictError });

/** Figures over the images that were attacked; medians over those that were fooled. `null` where there is none. */
export interface AttackSummary {
  readonly total: number;
  readonly attacked: number;
  /** Wrong when clean. */
  readonly wrong: number;
  readonly errors: number;
  readonly fooled: number;
  readonly fooledBeforeRounding: number;
  readonly successRate: number | null;
  /** Wilson, 95 %. */
  readonly interval: Interval | null;
  readonly median: { readonly [figure in 'margin' | 'l2' | 'linf' | 'ssim']: number | null };
  readonly meanCalls: { readonly [kind in keyof Calls]: number | null };
}

export function summarise(records: readonly AttackRecord[]): AttackSummary {
  const attacked = records.filter(record => record.status === 'attacked');
  const fooled = attacked.filter(record => record.fooled);
  const some = attacked.length > 0;
  const mean = (kind: keyof Calls) =>
    some ? attacked.reduce((sum, record) => sum + record.calls[kind], 0) / attacked.length : null;
  const middle = (figure: 'margin' | 'l2' | 'linf' | 'ssim') => median(fooled.map(record => record[figure]));
  return {
    total: records.length,
    attacked: attacked.length,
    wrong: records.filter(record => record.status === 'wrong').length,
    errors: records.filter(record => record.status === 'error').length,
    fooled: fooled.length,
    fooledBeforeRounding: attacked.filter(record => record.fooledBeforeRounding).length,
    successRate: some ? fooled.length / attacked.length : null,
    interval: some ? wilsonInterval(fooled.length, attacked.length) : null,
    median: { margin: middle('margin'), l2: middle('l2'), linf: middle('linf'), ssim: middle('ssim') },
    meanCalls: { gradients: mean('gradients'), scores: mean('scores') },
  };
}

function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  if (sorted.length === 0) return null;
  return sorted.length % 2 === 1 ? sorted[Math.floor(half)]! : (sorted[half - 1]! + sorted[half]!) / 2;
}
