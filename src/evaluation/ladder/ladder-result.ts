/** What a ladder finds, image by image, and what it comes to. */
import { type Interval, wilsonInterval } from '../statistics.js';
import type { ClimbResult } from './climber.js';
import { RUNGS } from './rungs.js';

export const LADDER_SCHEMA = 'deflector/ladder@1';

/** One image on one rung against one defence. Field order is the order of the printed JSON. */
export interface LadderResult extends ClimbResult {
  readonly schema: typeof LADDER_SCHEMA;
  readonly defence: string;
  /** Id of the rung. */
  readonly attack: string;
  readonly key: string;
  /** Of the clean pixels. */
  readonly sha256: string;
  /** The true class. */
  readonly label: number;
}

/** One rung against one defence. Field order is the order of the printed JSON. */
export interface LadderRow {
  readonly defence: string;
  readonly rung: number;
  /** Id of the rung, its title, and what its attacker knows. */
  readonly attack: string;
  readonly title: string;
  readonly knows: string;
  /** Images; the undefended model gets all of them right when clean. */
  readonly n: number;
  /** Of them right under attack: by the undefended model, and by the defence. */
  readonly correctUndefended: number;
  readonly correctDefended: number;
  /** correctDefended / n with Wilson's 95 % interval. */
  readonly accuracy: number;
  readonly interval: Interval;
  /** |x - x'| / |x| */
  readonly medianL2: number;
  /** Means over the images: gradients and forward passes of the network. */
  readonly gradients: number;
  readonly forward: number;
}

/**
 * Rows in the order of the defences, then of the rungs.
 *
 * @param results of any order; those of images that the undefended model gets wrong when clean count nowhere
 */
export function ladderRows(defences: readonly string[], results: readonly LadderResult[]): LadderRow[] {
  return defences.flatMap(defence =>
    RUNGS.flatMap(({ rung, id, title, knows }) => {
      const counted = results.filter(
        result => result.defence === defence && result.attack === id && result.clean === result.label,
      );
      const n = counted.length;
      if (n === 0) return [];
      const correct = (kind: 'undefended' | 'defended') =>
        counted.filter(result => result[kind] === result.label).length;
      const mean = (kind: 'gradients' | 'forward') => counted.reduce((sum, result) => sum + result[kind], 0) / n;
      const correctDefended = correct('defended');
      return [
        {
          ...{ defence, rung, attack: id, title, knows, n },
          correctUndefended: correct('undefended'),
          correctDefended,
          accuracy: correctDefended / n,
          interval: wilsonInterval(correctDefended, n),
          medianL2: median(counted.map(({ l2 }) => l2)),
          gradients: mean('gradients'),
          forward: mean('forward'),
        },
      ];
    }),
  );
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.ceil(sorted.length / 2) - 1]! + sorted[Math.floor(sorted.length / 2)]!) / 2;
}
