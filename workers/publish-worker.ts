/** The worker of the stage publish: counts the verdicts of each chunk in the job's record, once, and clears its pack. */
import { readVerdictsOf } from '../src/jobs/chunk-files.js';
import { countVerdicts, type DeadLetter } from '../src/jobs/job.js';
import { clearPack } from '../src/jobs/scratch.js';
import { systemClock } from '../src/stages/common.js';
import type { Verdict } from '../src/types.js';
import {
  consumerOptions,
  type Handed,
  KnownJobs,
  type StagePorts,
  type StageWorker,
  type WorkerOptions,
} from './stage.js';

/** @throws DeflectorError QUEUE_UNAVAILABLE */
export async function startPublishWorker(ports: StagePorts, options: WorkerOptions): Promise<StageWorker> {
  const jobs = new KnownJobs(ports.records);
  const handle = async ({ payload, failures, losses, trace, log }: Handed): Promise<void> => {
    const job = await jobs.wanted(payload);
    if (job === undefined) return;
    const started = systemClock.now();
    const verdicts = await readVerdictsOf(ports.openStore(job.out), payload.chunk);
    const left = ports.observer.entered('publish', verdicts.length);
    try {
      const found = letterOf(payload.chunk, verdicts);
      const letter = found === undefined ? undefined : { ...found, failures, losses };
      const counted = await ports.records.mark(job, payload.chunk, countVerdicts(verdicts), letter);
      if (job.fetch === 'separate') await clearPack(job, payload.chunk, ports);
      if (!counted) return;
      ports.observer.published({ verdicts, ms: systemClock.now() - started, since: payload.since, trace });
      if (letter === undefined) return;
      ports.observer.gaveUp('publish', letter.code);
      log.error({ code: letter.code, error: letter.message, keys: letter.keys }, 'Images given up');
    } finally {
      left();
    }
  };
  return ports.queues.publish.consume(consumerOptions('publish', ports, options, handle));
}

/** The images whose fault is not theirs for certain: those that took their worker down, or that the model failed on. */
function letterOf(chunk: number, verdicts: readonly Verdict[]): Omit<DeadLetter, 'failures' | 'losses'> | undefined {
  const given = verdicts.flatMap(verdict => (verdict.status === 'error' && verdict.error.retryable ? [verdict] : []));
  const [first] = given;
  if (first === undefined) return undefined;
  const { code, message } = first.error;
  return { chunk, code, message, keys: given.map(({ key }) => key), at: new Date().toISOString() };
}
