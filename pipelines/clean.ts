/** Removes what a job leaves in its store for itself: the chunks of its listing and of its verdicts, and its packs. */
import { DeflectorError } from '../src/errors.js';
import { chunkFiles } from '../src/jobs/chunk-files.js';
import type { Job } from '../src/jobs/job.js';
import type { JobRecords } from '../src/jobs/job-records.js';
import { packName, type ScratchPorts, sweepPacks } from '../src/jobs/scratch.js';
import type { Destination } from '../src/sinks/destination.js';

/** Chunks whose files are removed together. */
const PAGE = 500;

/** Chunks that a producer may have written and not named. */
const UNNAMED = 64;

export interface CleanPorts extends ScratchPorts {
  readonly records: JobRecords;
}

/**
 * Removes the chunks of a job that has ended. Its results stay, and its record says that it can be exported no more.
 *
 * @param own the job's own place
 * @param discard also where the verdicts were never exported
 * @throws DeflectorError JOB_UNFINISHED; what store and records throw
 */
export async function cleanJob(job: Job, own: Destination, discard: boolean, ports: CleanPorts): Promise<void> {
  const { records } = ports;
  const { state, chunks, exportedAt } = await records.progress(job);
  if (state !== 'complete' && state !== 'cancelled') {
    throw new DeflectorError('JOB_UNFINISHED', `The job ${job.name} is ${state}: its chunks are still needed`);
  }
  if (state === 'complete' && exportedAt === undefined && !discard) {
    const message = `The results of the job ${job.name} were never exported; --discard gives them up`;
    throw new DeflectorError('JOB_UNFINISHED', message);
  }
  await sweepPacks(ports);
  // Said first: what is half removed can be exported no more.
  await records.markCleaned(job);
  for (let first = 0; first < chunks + UNNAMED; first += PAGE) {
    const numbers = Array.from({ length: Math.min(PAGE, chunks + UNNAMED - first) }, (_, n) => first + n);
    await own.removeAll(numbers.flatMap(chunk => [...chunkFiles(chunk), packName(job.id, chunk)]));
  }
}
