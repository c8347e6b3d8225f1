/** The content of `run.json`: what ran, on what, with what, and how it went; enough to run it again. */
import type { ErrorCode } from '../errors.js';
import type { Device, ModelIdentity } from '../types.js';

export const RUN_SCHEMA = 'deflector/run@1';

/** Field order is the order of the printed JSON. */
export interface RunSummary {
  readonly schema: typeof RUN_SCHEMA;
  /**
   * `running`: it still runs, or was killed. `complete`: every key has its verdict. `interrupted`: it was asked to stop.
   * `failed`: see `failure`. All but `complete` go on with `--resume`.
   */
  readonly status: 'running' | 'complete' | 'interrupted' | 'failed';
  /** Present with status `failed`. */
  readonly failure?: { readonly code: ErrorCode; readonly message: string };
  /** Arguments that repeat the run, program first, every setting spelled out. */
  readonly command: readonly string[];
  /** Inputs as the user gave them. */
  readonly inputs: readonly string[];
  readonly model: ModelIdentity;
  /** Present where another model makes the activation map. */
  readonly localizer?: ModelIdentity;
  /** What executed the model: `onnxruntime-cpu` ... */
  readonly runtime: string;
  /** The GPU that proved to compute it; absent on the CPU. */
  readonly device?: Device;
  /** Worker threads. */
  readonly threads: number;
  readonly recipe: string;
  readonly seed: string;
  /** The resolved settings of the defence as `printDefence` gives them, as in every verdict. */
  readonly defence: Readonly<Record<string, unknown>>;
  /** All resolved settings, by their names in deflector.yaml. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly versions: {
    readonly deflector: string;
    readonly node: string;
    readonly onnxruntime: string;
    readonly sharp: string;
  };
  readonly counts: RunCounts;
  /** ISO 8601, UTC: when this call began and ended (of a resumed job: the last call). */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly ms: {
    /** From the first key listed to the last verdict durable, this call only. */
    readonly total: number;
    /** Images that this call gave a verdict (fewer than `counts.total` after a resume). */
    readonly images: number;
  };
}

/** Of the whole job, resumed parts included. */
export interface RunCounts {
  /** Verdicts: `ok` and errors. */
  readonly total: number;
  readonly ok: number;
  /** Part of `ok`. */
  readonly suspicious: number;
  /** Error verdicts by code; codes that did not occur are absent. */
  readonly errors: Readonly<Partial<Record<ErrorCode, number>>>;
}

/** Error verdicts of all codes. */
export function failedCount(counts: RunCounts): number {
  return Object.values(counts.errors).reduce((sum, count) => sum + count, 0);
}

/** Arguments as a line that a POSIX shell reads back as the same arguments. */
export function shellCommand(command: readonly string[]): string {
  return command.map(word => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ');
}
