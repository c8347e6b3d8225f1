/** Whether memory grows while a runtime is called over and over. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { RuntimeName } from '../../src/models/runtime-names.js';
import { median } from './statistics.js';

/** What a process held after a number of calls, garbage collected. */
export interface SoakSample {
  readonly call: number;
  /** Resident memory in bytes. */
  readonly rss: number;
  /** Classifiers that were opened and not yet disposed of. */
  readonly sessions: number;
  /** Live tensors, where the runtime counts them. */
  readonly tensors?: number | undefined;
  /** Threads of the operating system, where it tells. */
  readonly threads?: number | undefined;
}

export interface Soak {
  readonly samples: readonly SoakSample[];
  /** After the last classifier was disposed of. */
  readonly end: SoakSample;
}

const PROCESS = fileURLToPath(new URL('./soak-process.js', import.meta.url));

/**
 * Calls a runtime in a process of its own, with batches of one to eight images, feature maps every other time.
 *
 * @param reopen calls after which the classifier is disposed of and opened anew
 * @throws Error where the runtime fails, with what it said
 */
export async function soak(runtime: RuntimeName, model: string, calls: number, reopen: number): Promise<Soak> {
  const args = ['--expose-gc', PROCESS, runtime, model, String(calls), String(reopen)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 24 });
  return JSON.parse(stdout) as Soak;
}

/**
 * Growth of resident memory in bytes a call: the slope of the line through the medians of the second and the last quarter of
 * the samples, since the first quarter is warming up.
 */
export function growthPerCall(samples: readonly SoakSample[]): number {
  const quarter = Math.floor(samples.length / 4);
  const middle = samples.slice(quarter, 2 * quarter);
  const last = samples.slice(-quarter);
  const at = (part: readonly SoakSample[]) => median(part.map(sample => sample.call));
  const rss = (part: readonly SoakSample[]) => median(part.map(sample => sample.rss));
  return (rss(last) - rss(middle)) / (at(last) - at(middle));
}
