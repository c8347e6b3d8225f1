/**
 * The worker of the stages fetch and defend, fused: takes chunks, leaves their verdicts in the job's store, and names
 * them to the publish stage.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ChunkGates, defendChunk } from '../pipelines/chunk.js';
import { embeddedLimits } from '../pipelines/embedded.js';
import { hardenDecoder } from '../src/images/decode.js';
import { readChunk, writeVerdicts } from '../src/jobs/chunk-files.js';
import { type ChunkPayload, chunkTask } from '../src/jobs/chunk-task.js';
import type { Job } from '../src/jobs/job.js';
import { Gate } from '../src/queue/gate.js';
import type { Consumer, Delivery } from '../src/queue/queue.js';
import type { FetchedImage, JobItem, Verdict } from '../src/types.js';
import { Isolation } from './isolation.js';
import { type JobEngine, JobEngines } from './job-engine.js';
import { consumerOptions, KnownJobs, type StagePorts, type StageWorker, type WorkerOptions } from './stage.js';

/** Milliseconds between two looks whether a job in hand was cancelled. */
const CANCEL_CHECK_MS = 500;

/** Chunks that may wait to be published before this stage waits. */
const PUBLISH_LIMIT = 10_000;

/** Ends the process: a thread that hangs can be ended no other way. */
export type GiveUp = (message: string) => void;

/** @throws DeflectorError QUEUE_UNAVAILABLE */
export async function startDefendWorker(
  ports: StagePorts,
  options: WorkerOptions,
  giveUp: GiveUp,
): Promise<StageWorker> {
  hardenDecoder();
  const worker = new DefendWorker(ports, options, giveUp);
  await worker.start();
  return worker;
}

class DefendWorker implements StageWorker {
  readonly #ports: StagePorts;
  readonly #options: WorkerOptions;
  readonly #giveUp: GiveUp;
  readonly #jobs: KnownJobs;
  readonly #engines: JobEngines;
  readonly #gates = new Map<'model' | 'original', ChunkGates>();
  /** Suspect chunks are done one at a time, so that a process of this worker has at most one at its side. */
  readonly #isolating = new Gate(1);
  /** Jobs of the chunks in hand, and how to let go of them. */
  readonly #inHand = new Map<AbortController, Job>();
  #checking: NodeJS.Timeout | undefined;
  #consumer: Consumer | undefined;

  constructor(ports: StagePorts, options: WorkerOptions, giveUp: GiveUp) {
    this.#ports = ports;
    this.#options = options;
    this.#giveUp = giveUp;
    this.#jobs = new KnownJobs(ports.records);
    this.#engines = new JobEngines(options, ports.openStore, ports.observer);
  }

  async start(): Promise<void> {
    const handle = this.#handle.bind(this);
    this.#consumer = await this.#ports.queues.defend.consume(
      consumerOptions('defend', this.#ports, this.#options, handle),
    );
    this.#checking = setInterval(() => void this.#dropCancelled(), CANCEL_CHECK_MS);
    const { health } = this.#ports;
    health.addReadiness('model', () => this.#engines.fault);
    health.addLiveness('threads', () => this.#engines.stuck(this.#options.imageLimit));
  }

  async close(patience: number): Promise<void> {
    await this.#consumer?.close(patience);
    clearInterval(this.#checking);
    await this.#engines.close();
  }

  async #handle({ payload, losses, signal }: Delivery<ChunkPayload>): Promise<void> {
    const job = await this.#jobs.wanted(payload);
    // What another delivery of this chunk did needs no doing again.
    if (job === undefined || (await this.#ports.records.isDone(job, payload.chunk))) return;
    const cancelled = new AbortController();
    this.#inHand.set(cancelled, job);
    try {
      const either = AbortSignal.any([signal, cancelled.signal]);
      const suspect = losses > 0 || payload.suspect === true;
      const verdicts = await this.#verdicts(job, payload.chunk, suspect, either);
      await writeVerdicts(this.#ports.openStore(job.out), payload.chunk, verdicts);
      await this.#publish(job, payload, either);
    } catch (error) {
      if (!cancelled.signal.aborted) throw error;
    } finally {
      this.#inHand.delete(cancelled);
    }
  }

  async #verdicts(job: Job, chunk: number, suspect: boolean, signal: AbortSignal): Promise<readonly Verdict[]> {
    const items = await readChunk(this.#ports.openStore(job.out), chunk);
    if (suspect) return this.#isolating.run(() => this.#apart(job, chunk, items, signal));
    const engine = await this.#engines.open(job);
    await this.#ports.records.note(job, engine.defender);
    const ports = { ...engine.ports, defend: (image: FetchedImage) => this.#defend(image, engine) };
    return defendChunk(items, ports, engine.options, this.#gatesOf(engine), signal);
  }

  async #defend(image: FetchedImage, { pool }: JobEngine): Promise<Verdict> {
    const { imageLimit } = this.#options;
    const hung = () => this.#giveUp(`${image.key} was not defended within ${imageLimit} s`);
    const timer = setTimeout(hung, imageLimit * 1000);
    try {
      return (await pool.defend(image)).verdict;
    } finally {
      clearTimeout(timer);
    }
  }

  /** One image after another, each where it can hurt no other. */
  async #apart(job: Job, chunk: number, items: readonly JobItem[], signal: AbortSignal): Promise<readonly Verdict[]> {
    this.#ports.log(`defend: chunk ${chunk} of ${job.name} lost its worker; its images are defended one by one`);
    const isolation = new Isolation(job, this.#options);
    const letGo = () => void isolation.close();
    signal.addEventListener('abort', letGo);
    try {
      const verdicts: Verdict[] = [];
      for (const item of items) {
        signal.throwIfAborted();
        verdicts.push(await isolation.defend(item));
      }
      signal.throwIfAborted();
      return verdicts;
    } finally {
      signal.removeEventListener('abort', letGo);
      await isolation.close();
    }
  }

  async #publish(job: Job, { chunk, since }: ChunkPayload, signal: AbortSignal): Promise<void> {
    const { publish } = this.#ports.queues;
    while ((await publish.counts())[job.lane] >= PUBLISH_LIMIT) await sleep(CANCEL_CHECK_MS, undefined, { signal });
    await publish.add([chunkTask(job, chunk, since === undefined ? {} : { since })]);
  }

  #gatesOf({ options }: JobEngine): ChunkGates {
    const { at } = options.defence;
    const found = this.#gates.get(at);
    if (found !== undefined) return found;
    const { window, fetching } = embeddedLimits(this.#options.threads, options.maxBytes, at === 'original');
    const gates = new ChunkGates({ held: window, fetching });
    this.#gates.set(at, gates);
    return gates;
  }

  async #dropCancelled(): Promise<void> {
    for (const [controller, job] of [...this.#inHand]) {
      // Where Redis does not answer nothing is dropped.
      if (await this.#ports.records.isOver(job).catch(() => false)) controller.abort();
    }
  }
}
