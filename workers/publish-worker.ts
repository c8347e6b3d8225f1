/**
 * The worker of the stage publish: delivers the verdicts of each chunk, counts them in the job's record, once, and clears
 * its pack.
 */
import { DeflectorError } from '../src/errors.js';
import { readVerdictsOf } from '../src/jobs/chunk-files.js';
import { countVerdicts, type DeadLetter } from '../src/jobs/job.js';
import { clearPack } from '../src/jobs/scratch.js';
import { systemClock } from '../src/stages/common.js';
import type { ResultSink, Verdict } from '../src/types.js';
import {
  consumerOptions,
  type Handed,
  KnownJobs,
  type StagePorts,
  type StageWorker,
  type WorkerOptions,
} from './stage.js';

/**
 * Delivers the verdicts of each chunk to all sinks, and then counts them.
 *
 * @throws DeflectorError QUEUE_UNAVAILABLE
 */
export async function startPublishWorker(
  ports: StagePorts,
  options: WorkerOptions,
  sinks: readonly ResultSink[] = [],
): Promise<StageWorker> {
  const jobs = new KnownJobs(ports.records);
  const handle = async ({ payload, failures, losses, signal, trace, log }: Handed): Promise<void> => {
    const job = await jobs.wanted(payload);
    const { chunk } = payload;
    if (job === undefined) return;
    if (await ports.records.isDone(job, chunk)) {
      if (job.fetch === 'separate') await clearPack(job, chunk, ports);
      return;
    }
    const started = systemClock.now();
    const verdicts = await readVerdictsOf(ports.openStore(job.out), chunk);
    const left = ports.observer.entered('publish', verdicts.length);
    try {
      const origin = { job: job.name, id: job.id, chunk };
      const refusals = await Promise.all(sinks.map(sink => refusalOf(sink.write(verdicts, origin, signal))));
      const found = letterOf(chunk, verdicts, refusals.filter(refusal => refusal !== '').join('; '));
      const letter = found === undefined ? undefined : { ...found, failures, losses };
      const counted = await ports.records.mark(job, chunk, countVerdicts(verdicts), letter);
      if (job.fetch === 'separate') await clearPack(job, chunk, ports);
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

/**
 * Why a sink takes verdicts no more, where that is so. They are not lost: they lie in the job's store, and the dead letter
 * of the chunk says what is missing where.
 *
 * @throws what may pass: the chunk is then published again
 */
async function refusalOf(writing: Promise<void>): Promise<string> {
  try {
    await writing;
    return '';
  } catch (error) {
    if (error instanceof DeflectorError && error.code === 'SINK_REFUSED') return error.message;
    throw error;
  }
}

/**
 * The images whose fault is not theirs for certain: those that took their worker down, or that the model failed on; all of
 * a chunk that a sink refused.
 */
function letterOf(
  chunk: number,
  verdicts: readonly Verdict[],
  refusal: string,
): Omit<DeadLetter, 'failures' | 'losses'> | undefined {
  const given = verdicts.flatMap(verdict => (verdict.status === 'error' && verdict.error.retryable ? [verdict] : []));
  const [first] = given;
  const at = new Date().toISOString();
  if (first === undefined) {
    if (refusal === '') return undefined;
    return { chunk, code: 'SINK_REFUSED', message: refusal, keys: verdicts.map(({ key }) => key), at };
  }
  const { code, message } = first.error;
  const all = refusal === '' ? message : `${message}; ${refusal}`;
  return { chunk, code, message: all, keys: (refusal === '' ? given : verdicts).map(({ key }) => key), at };
}
