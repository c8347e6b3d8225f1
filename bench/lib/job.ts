/** The product itself, as a partner in measurements: a job from a folder of images to a folder of results. */
import { join } from 'node:path';
import { JOB_FILES, runJob } from '../../pipelines/job.js';
import { resolveSettings, type UserOptions } from '../../src/config/settings.js';
import { readVerdicts } from '../../src/sinks/json-lines-sink.js';
import type { OkVerdict } from '../../src/types.js';

export interface MeasuredJob {
  /** From the moment that the model is live until the last verdict is on the disk. */
  readonly seconds: number;
  /** From nothing until the report is written. */
  readonly wholeSeconds: number;
  /** CPU time of the process during `seconds`. */
  readonly cpuSeconds: number;
  /** Forward passes of all images, undefended ones included. */
  readonly passes: number;
  /** In the order of input. */
  readonly verdicts: readonly OkVerdict[];
}

/**
 * Defends a folder.
 *
 * @param flags settings as the command line takes them
 * @throws Error where an image could not be defended
 */
export async function measureJob(folder: string, out: string, flags: UserOptions): Promise<MeasuredJob> {
  const options = resolveSettings({ flags });
  let [live, done] = [Number.NaN, Number.NaN];
  const observer = {
    started: () => {
      live = performance.now();
      cpu = process.cpuUsage();
    },
    reporting: () => {
      done = performance.now();
      cpu = process.cpuUsage(cpu);
    },
  };
  let cpu = process.cpuUsage();
  const start = performance.now();
  const { passes } = await runJob(
    { inputs: [folder], out, existing: 'overwrite', options },
    observer,
    new AbortController().signal,
  );
  const end = performance.now();
  const verdicts: OkVerdict[] = [];
  for await (const verdict of readVerdicts(join(out, JOB_FILES.results))) {
    if (verdict.status === 'error') throw new Error(`${verdict.key}: ${verdict.error.message}`);
    verdicts.push(verdict);
  }
  return {
    seconds: (done - live) / 1000,
    wholeSeconds: (end - start) / 1000,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    passes,
    verdicts,
  };
}
