/** What the workers of all stages share. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ChunkGates } from '../pipelines/chunk.js';
import { embeddedLimits } from '../pipelines/embedded.js';
import type { ResolvedOptions } from '../src/config/settings.js';
import { hasVerdicts, readChunk, writeVerdicts } from '../src/jobs/chunk-files.js';
import { baggageOf, type ChunkPayload, chunkTask, type StageQueue } from '../src/jobs/chunk-task.js';
import { type DeadLetter, type Job, pastDeadline } from '../src/jobs/job.js';
import type { JobRecords } from '../src/jobs/job-records.js';
import type { ScratchPorts } from '../src/jobs/scratch.js';
import type { StageQueues } from '../src/jobs/stage-queues.js';
import { type ConsumerOptions, type Delivery, retryDelay } from '../src/queue/queue.js';
import { toVerdictError } from '../src/stages/common.js';
import { failedVerdict } from '../src/stages/defend.js';
import type { StageObserver, TraceParent } from '../src/stages/observer.js';
import type { OpenStore } from '../src/storage/open-store.js';
import type { S3Options } from '../src/storage/s3-connection.js';
import type { Health } from '../src/telemetry/health.js';
import { type Log, traceFields } from '../src/telemetry/log.js';
import { type Tracer, traced } from '../src/telemetry/tracer.js';

/** The settings of group `worker`, and what a worker takes of the others. */
export interface WorkerOptions extends S3Options {
  readonly concurrency: number;
  readonly attempts: number;
  readonly losses: number;
  /** Seconds. */
  readonly lock: number;
  readonly drain: number;
  readonly imageLimit: number;
  /** Packs in a lane. */
  readonly fetchAhead: number;
  /** Hours. */
  readonly scratchExpiry: number;
  readonly threads: number;
  readonly batch: number;
  /** What the worker proves its runtime with. */
  readonly model: string;
  readonly runtime: ResolvedOptions['runtime'];
  readonly device: number;
}

/** A worker of one stage at work. */
export interface StageWorker {
  /** Finishes what is in hand, for at most `patience` milliseconds, and hands the rest back. */
  close(patience: number): Promise<void>;
}

/** Ends the process: a thread that hangs can be ended no other way. */
export type GiveUp = (message: string) => void;

export interface StagePorts extends ScratchPorts {
  readonly records: JobRecords;
  readonly queues: StageQueues;
  readonly openStore: OpenStore;
  /** Told how the work goes on. */
  readonly observer: StageObserver;
  /** Asked whether this process lives, and whether it is ready for work. */
  readonly health: Health;
  readonly tracer: Tracer;
  readonly log: Log;
}

/** Milliseconds between two looks at what is full. */
const FULL_PAUSE_MS = 200;

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

/** A delivery to a stage, and what belongs to it. */
export interface Handed extends Delivery<ChunkPayload> {
  /** The trace that the work on it is a part of. */
  readonly trace: TraceParent | undefined;
  /** Says which chunk of which job it is about. */
  readonly log: Log;
}

/** How every stage takes from its queue. */
export function consumerOptions(
  stage: StageQueue,
  { observer, tracer, log, records }: StagePorts,
  options: WorkerOptions,
  handle: (delivery: Handed) => Promise<void>,
): ConsumerOptions<ChunkPayload> {
  const about = ({ payload: { job, chunk } }: Delivery<ChunkPayload>) => log.child({ stage, job, chunk });
  const fieldsOf = (error: unknown) => {
    const { code, message } = toVerdictError(error);
    return { code, error: message };
  };
  return {
    concurrency: options.concurrency,
    attempts: options.attempts,
    losses: options.losses,
    lock: options.lock * 1000,
    backoff: retryDelay,
    handle: async delivery => {
      const { payload, failures, losses, signal } = delivery;
      if (losses > 0) observer.workerLost(stage);
      const attributes = {
        'deflector.job': payload.job,
        'deflector.chunk': payload.chunk,
        'deflector.failures': failures,
        'deflector.losses': losses,
      };
      const work = { parent: payload.trace, kind: 'consumer', attributes } as const;
      await traced(tracer, `${stage} chunk`, work, async trace => {
        const own = about(delivery).child(traceFields(trace));
        const began = performance.now();
        try {
          await handle({ ...delivery, trace, log: own });
          observer.chunkDone(stage);
          own.debug({ ms: Math.round(performance.now() - began) }, 'Chunk done');
        } catch (error) {
          if (!signal.aborted) own.warn({ ...fieldsOf(error), try: failures + 1 }, 'Chunk failed');
          throw error;
        }
      });
    },
    again: (_, error) => observer.retried(stage, toVerdictError(error).code),
    bury: async (delivery, error) => {
      const { code, message } = toVerdictError(error);
      const { payload, failures, losses } = delivery;
      const { job, id, chunk } = payload;
      const letter: DeadLetter = { chunk, code, message, failures: failures + 1, losses, at: new Date().toISOString() };
      await records.bury({ name: job, id }, letter);
      observer.gaveUp(stage, code);
      about(delivery).error({ ...fieldsOf(error), ...traceFields(payload.trace) }, 'Chunk given up');
    },
    trouble: error => log.warn({ stage, ...fieldsOf(error) }, 'Trouble with the queue'),
  };
}

/** Gives the error verdicts of a chunk whose job's time was over before it was begun. */
export async function expire(job: Job, { payload, trace }: Handed, ports: StagePorts): Promise<void> {
  const store = ports.openStore(job.out);
  // Verdicts of an earlier delivery may be counted at this moment.
  if (!(await hasVerdicts(store, payload.chunk))) {
    const items = await readChunk(store, payload.chunk);
    await writeVerdicts(
      store,
      payload.chunk,
      items.map(item => failedVerdict(pastDeadline(job, item))),
    );
  }
  await ports.queues.publish.add([chunkTask(job, payload.chunk, baggageOf(payload, trace))]);
}

/** Waits while something is full. @throws the reason of `signal` */
export async function roomFor(isFull: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  while (await isFull()) await sleep(FULL_PAUSE_MS, undefined, { signal });
}

/** Ends the worker where an image takes longer than it may: no other image would get its turn any more. */
export async function withinLimit<T>(key: string, seconds: number, giveUp: GiveUp, work: () => Promise<T>): Promise<T> {
  const timer = setTimeout(() => giveUp(`${key} was not done within ${seconds} s`), seconds * 1000);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
  }
}

/** The gates of a process, one pair for images of the model's size and one for images of their own. */
export class SharedGates {
  readonly #threads: number;
  readonly #gates = new Map<'model' | 'original', ChunkGates>();

  constructor(threads: number) {
    this.#threads = threads;
  }

  of({ maxBytes, defence: { at } }: Pick<ResolvedOptions, 'maxBytes' | 'defence'>): ChunkGates {
    const { window, fetching } = embeddedLimits(this.#threads, maxBytes, at === 'original');
    const gates = this.#gates.get(at) ?? new ChunkGates({ held: window, fetching });
    this.#gates.set(at, gates);
    return gates;
  }
}
