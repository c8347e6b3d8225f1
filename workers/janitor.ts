/**
 * Looks after what no stage has in hand. Chunks that no queue holds although they have no verdicts are put back: what a
 * producer named and did not get to queue, and what Redis forgot in a crash (an append-only file is synced once a
 * second). Packs that nobody will read are cleared.
 */
import { chunkTask, STAGE_QUEUES } from '../src/jobs/chunk-task.js';
import type { Job } from '../src/jobs/job.js';
import type { JobRecords } from '../src/jobs/job-records.js';
import { type ScratchPorts, sweepPacks } from '../src/jobs/scratch.js';
import { firstQueue, type StageQueues } from '../src/jobs/stage-queues.js';
import type { Log } from '../src/telemetry/log.js';

/** Chunks that are looked at together. */
const PAGE = 500;

export interface JanitorPorts extends ScratchPorts {
  readonly records: JobRecords;
  readonly queues: StageQueues;
}

/** Puts back what is missing of one job. @returns how many chunks */
async function repair(job: Job, ports: Pick<JanitorPorts, 'records' | 'queues'>): Promise<number> {
  const { records, queues } = ports;
  const { state, chunks } = await records.progress(job);
  if (state !== 'listing' && state !== 'running') return 0;
  let repaired = 0;
  for (let start = 0; start < chunks; ) {
    const page: number[] = [];
    let next = chunks;
    for await (const chunk of records.outstanding(job, chunks, start)) {
      page.push(chunk);
      if (page.length < PAGE) continue;
      next = chunk + 1;
      break;
    }
    start = next;
    const lostChunks = await missing(job, page, ports);
    await firstQueue(job, queues).add(lostChunks.map(chunk => chunkTask(job, chunk)));
    repaired += lostChunks.length;
  }
  return repaired;
}

/**
 * A chunk is in the queue of the next stage before it leaves that of the stage before, and counted before it leaves the
 * last. Asked for in this order, one that is nowhere was lost.
 */
async function missing(
  job: Job,
  chunks: readonly number[],
  { records, queues }: Pick<JanitorPorts, 'records' | 'queues'>,
): Promise<number[]> {
  if (chunks.length === 0) return [];
  const chunkOf = new Map(chunks.map(chunk => [chunkTask(job, chunk).id, chunk]));
  let nowhere = [...chunkOf.keys()];
  for (const stage of STAGE_QUEUES) nowhere = await queues[stage].missing(nowhere);
  const lost: number[] = [];
  for (const id of nowhere) {
    const chunk = chunkOf.get(id)!;
    for await (const outstanding of records.outstanding(job, chunk + 1, chunk)) lost.push(outstanding);
  }
  return lost;
}

/**
 * Looks after all jobs from time to time, or leaves it to the janitor of another worker.
 *
 * @param interval milliseconds, an even number
 * @param expiry milliseconds that a pack may lie
 * @returns how to stop
 */
export function startJanitor(
  ports: JanitorPorts & { readonly log: Log },
  interval: number,
  expiry: number,
): { stop(): Promise<void> } {
  let round: Promise<void> | undefined;
  const look = async (): Promise<void> => {
    // Of all workers one is enough: a round costs Redis something for each job, and for each chunk that waits. Half of the
    // interval, so that the same worker may take the next one.
    if (!(await ports.records.takeErrand('look', interval / 2))) return;
    for await (const job of ports.records.list()) {
      const repaired = await repair(job, ports);
      if (repaired > 0) ports.log.warn({ job: job.name, chunks: repaired }, 'Chunks that were in no queue are back');
    }
    const swept = await sweepPacks(ports, expiry);
    if (swept > 0) ports.log.info({ packs: swept }, 'Packs that were of no use any more are gone');
  };
  const timer = setInterval(() => {
    // A round that fails, while Redis is away for one, is followed by the next.
    round ??= look()
      .catch(() => undefined)
      .finally(() => {
        round = undefined;
      });
  }, interval);
  return {
    stop: async () => {
      clearInterval(timer);
      await round;
    },
  };
}
