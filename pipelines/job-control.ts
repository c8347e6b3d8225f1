/** Ending jobs, and trying again what was given up. */
import { readVerdictsOf } from '../src/jobs/chunk-files.js';
import { chunkTask, STAGE_QUEUES } from '../src/jobs/chunk-task.js';
import { countVerdicts, type Job, refuseCleaned } from '../src/jobs/job.js';
import type { JobRecords } from '../src/jobs/job-records.js';
import { type ScratchPorts, sweepPacks } from '../src/jobs/scratch.js';
import { firstQueue, type StageQueues } from '../src/jobs/stage-queues.js';
import type { OpenStore } from '../src/storage/open-store.js';

export interface ControlPorts extends ScratchPorts {
  readonly records: JobRecords;
  readonly queues: StageQueues;
  readonly openStore: OpenStore;
}

/** Tasks that are discarded together. */
const PAGE = 500;

/** Ends a job: its chunks leave the queues, and workers let go of those that they have in hand. */
export async function cancel(job: Job, ports: ControlPorts): Promise<void> {
  const { records, queues } = ports;
  await records.cancel(job);
  const { chunks } = await records.progress(job);
  const discard = async (ids: readonly string[]) => {
    for (const stage of STAGE_QUEUES) await queues[stage].discard(ids);
  };
  let page: string[] = [];
  for await (const chunk of records.outstanding(job, chunks)) {
    page.push(chunkTask(job, chunk).id);
    if (page.length < PAGE) continue;
    await discard(page);
    page = [];
  }
  await discard(page);
  // What a worker still has in hand it clears itself, or the janitor does.
  await sweepPacks(ports);
}

/**
 * Puts chunks that were given up back into the queue, and those with images that took their workers down, each of whose
 * images is then defended in a process of its own.
 *
 * @returns how many chunks
 */
export async function retry(job: Job, { records, queues, openStore }: ControlPorts): Promise<number> {
  const progress = await records.progress(job);
  const { chunks, state } = progress;
  refuseCleaned(job, progress);
  if (state === 'cancelled') return 0;
  const none = countVerdicts([]);
  let count = 0;
  const again = async (chunk: number, counts: typeof none, suspect: boolean): Promise<void> => {
    await records.unmark(job, chunk, counts);
    await firstQueue(job, queues).add([chunkTask(job, chunk, suspect ? { suspect } : {})]);
    count++;
  };
  for await (const letter of records.letters(job)) {
    const counts =
      letter.keys === undefined ? none : countVerdicts(await readVerdictsOf(openStore(job.out), letter.chunk));
    await again(letter.chunk, counts, letter.code === 'WORKER_LOST');
  }
  // Of more than the letters that are kept only the chunks are known.
  for await (const chunk of records.dead(job, chunks)) await again(chunk, none, false);
  return count;
}
