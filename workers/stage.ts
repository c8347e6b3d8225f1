/** What the workers of all stages share. */
import type { ChunkPayload } from '../src/jobs/chunk-task.js';
import type { DeadLetter, Job } from '../src/jobs/job.js';
import type { JobRecords } from '../src/jobs/job-records.js';
import { type ConsumerOptions, type Delivery, retryDelay, type TaskQueue } from '../src/queue/queue.js';
import { toVerdictError } from '../src/stages/common.js';
import type { StageName, StageObserver } from '../src/stages/observer.js';
import type { OpenStore } from '../src/storage/open-store.js';
import type { S3Options } from '../src/storage/s3-connection.js';
import type { Health } from '../src/telemetry/health.js';

/** The settings of group `worker`, and what a worker takes of the others. */
export interface WorkerOptions extends S3Options {
  readonly concurrency: number;
  readonly attempts: number;
  readonly losses: number;
  /** Seconds. */
  readonly lock: number;
  readonly drain: number;
  readonly imageLimit: number;
  readonly threads: number;
  readonly batch: number;
}

/** A worker of one stage at work. */
export interface StageWorker {
  /** Finishes what is in hand, for at most `patience` milliseconds, and hands the rest back. */
  close(patience: number): Promise<void>;
}

export interface StagePorts {
  readonly records: JobRecords;
  readonly queues: { readonly defend: TaskQueue<ChunkPayload>; readonly publish: TaskQueue<ChunkPayload> };
  readonly openStore: OpenStore;
  /** Told how the work goes on. */
  readonly observer: StageObserver;
  /** Asked whether this process lives, and whether it is ready for work. */
  readonly health: Health;
  /** Told what people should know, one line each. */
  log(line: string): void;
}

/** Jobs whose records are remembered. */
const JOBS_KEPT = 16;

/** The records of jobs: what a job is never changes. */
export class KnownJobs {
  readonly #records: JobRecords;
  readonly #known = new Map<string, Job>();

  constructor(records: JobRecords) {
    this.#records = records;
  }

  /** @returns `undefined` where nobody wants its verdicts any more: it was cancelled, or is not known */
  async wanted({ job: name, id }: ChunkPayload): Promise<Job | undefined> {
    if (await this.#records.isOver({ name, id })) return undefined;
    const known = this.#known.get(id) ?? (await this.#records.get(name));
    if (known.id !== id) return undefined;
    this.#known.delete(id);
    this.#known.set(id, known);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= JOBS_KEPT) break;
      this.#known.delete(oldest);
    }
    return known;
  }
}

/** How every stage takes from its queue. */
export function consumerOptions(
  stage: StageName,
  ports: StagePorts,
  options: WorkerOptions,
  handle: (delivery: Delivery<ChunkPayload>) => Promise<void>,
): ConsumerOptions<ChunkPayload> {
  const { observer } = ports;
  const told = (what: string, error: unknown) => ports.log(`${stage}: ${what}: ${toVerdictError(error).message}`);
  return {
    concurrency: options.concurrency,
    attempts: options.attempts,
    losses: options.losses,
    lock: options.lock * 1000,
    backoff: retryDelay,
    handle: async delivery => {
      if (delivery.losses > 0) observer.workerLost(stage);
      try {
        await handle(delivery);
        observer.chunkDone(stage);
      } catch (error) {
        const { job, chunk } = delivery.payload;
        if (!delivery.signal.aborted) told(`chunk ${chunk} of ${job}, try ${delivery.failures + 1}`, error);
        throw error;
      }
    },
    again: (_, error) => observer.retried(stage, toVerdictError(error).code),
    bury: async ({ payload, failures, losses }, error) => {
      const { code, message } = toVerdictError(error);
      const { job, id, chunk } = payload;
      const letter: DeadLetter = { chunk, code, message, failures: failures + 1, losses, at: new Date().toISOString() };
      await ports.records.bury({ name: job, id }, letter);
      observer.gaveUp(stage, code);
      told(`chunk ${chunk} of ${job} is given up`, error);
    },
    trouble: error => told('the queue', error),
  };
}
