/**
 * The worker of the stage fetch, for jobs whose stages are separate: takes chunks, reads, checks, decodes and resizes
 * their images, and leaves them as packs for the defend stage. It has no model live.
 */
import { type ChunkGates, fetchChunk, fetching } from '../pipelines/chunk.js';
import { checkModels, fetchPortsOf, optionsOf } from '../pipelines/job-work.js';
import type { ResolvedOptions } from '../src/config/settings.js';
import { hardenDecoder } from '../src/images/decode.js';
import { readChunk } from '../src/jobs/chunk-files.js';
import { baggageOf, chunkTask } from '../src/jobs/chunk-task.js';
import { isPastDeadline, type Job, pastDeadline } from '../src/jobs/job.js';
import { clearPack, writePack } from '../src/jobs/scratch.js';
import { identityOf, openModel } from '../src/models/registry.js';
import { Gate } from '../src/queue/gate.js';
import type { Consumer } from '../src/queue/queue.js';
import { type FetchPorts, fetchImage } from '../src/stages/fetch.js';
import type { FailedImage, FetchedImage, JobItem } from '../src/types.js';
import { ChunksInHand } from './in-hand.js';
import { Isolation } from './isolation.js';
import { unfit } from './job-engine.js';
import {
  consumerOptions,
  expire,
  type GiveUp,
  type Handed,
  KnownJobs,
  roomFor,
  SharedGates,
  type StagePorts,
  type StageWorker,
  type WorkerOptions,
  withinLimit,
} from './stage.js';

/** Jobs that are kept ready: what their stores hold in memory serves more than one chunk. */
const JOBS_READY = 4;

/** @throws DeflectorError QUEUE_UNAVAILABLE */
export async function startFetchWorker(
  ports: StagePorts,
  options: WorkerOptions,
  giveUp: GiveUp,
): Promise<StageWorker> {
  hardenDecoder();
  const worker = new FetchWorker(ports, options, giveUp);
  await worker.start();
  return worker;
}

/** A job made ready to be fetched. */
interface JobFetch {
  readonly options: ResolvedOptions;
  readonly ports: FetchPorts;
}

class FetchWorker implements StageWorker {
  readonly #ports: StagePorts;
  readonly #options: WorkerOptions;
  readonly #giveUp: GiveUp;
  readonly #jobs: KnownJobs;
  readonly #gates: SharedGates;
  readonly #inHand: ChunksInHand;
  /** By the id of the job; the one used last stands last. */
  readonly #ready = new Map<string, Promise<JobFetch>>();
  /** Why the job that was asked for last cannot be fetched here. */
  #fault: string | undefined;
  /** Suspect chunks are fetched one at a time, so that a process of this worker has at most one at its side. */
  readonly #isolating = new Gate(1);
  #consumer: Consumer | undefined;

  constructor(ports: StagePorts, options: WorkerOptions, giveUp: GiveUp) {
    this.#ports = ports;
    this.#options = options;
    this.#giveUp = giveUp;
    this.#jobs = new KnownJobs(ports.records);
    this.#gates = new SharedGates(options.threads);
    this.#inHand = new ChunksInHand(ports.records);
  }

  async start(): Promise<void> {
    const handle = this.#handle.bind(this);
    this.#consumer = await this.#ports.queues.fetch.consume(
      consumerOptions('fetch', this.#ports, this.#options, handle),
    );
    this.#ports.health.addReadiness('model files', () => this.#fault);
  }

  async close(patience: number): Promise<void> {
    await this.#consumer?.close(patience);
    this.#inHand.close();
  }

  async #handle(delivery: Handed): Promise<void> {
    const { payload, losses, signal, trace } = delivery;
    const job = await this.#jobs.wanted(payload);
    if (job === undefined) return;
    const { chunk, suspect = false } = payload;
    const { records, packs, queues } = this.#ports;
    if (await records.isDone(job, chunk)) {
      await clearPack(job, chunk, this.#ports);
      return;
    }
    if (isPastDeadline(job)) return expire(job, delivery, this.#ports);
    const done = await this.#inHand.hold(job, signal, async either => {
      const { fetchAhead } = this.#options;
      // A chunk whose pack is counted already is not waited for: it may be the very one that the others wait for.
      const isFull = async () =>
        !isPastDeadline(job) && !(await packs.has(job, chunk)) && (await packs.count(job.lane)) >= fetchAhead;
      await roomFor(isFull, either);
      await this.#pack(job, delivery, suspect || losses > 0, either);
      await queues.defend.add([chunkTask(job, chunk, baggageOf(payload, trace))]);
    });
    if (!done) await clearPack(job, chunk, this.#ports);
  }

  async #pack(job: Job, delivery: Handed, suspect: boolean, signal: AbortSignal): Promise<void> {
    const { payload, trace } = delivery;
    const { chunk } = payload;
    const items = await readChunk(this.#ports.openStore(job.out), chunk);
    const ready = await this.#open(job);
    const gates = this.#gates.of(ready.options);
    if (suspect) await this.#isolating.run(() => this.#apart(job, delivery, items, gates, signal));
    else {
      const limit = this.#options.imageLimit;
      const obtain = fetching(gates, async item => {
        if (isPastDeadline(job)) return pastDeadline(job, item);
        return withinLimit(item.key, limit, this.#giveUp, () =>
          fetchImage(item, { ...ready.ports, trace }, ready.options),
        );
      });
      await writePack(job, chunk, fetchChunk(items, obtain, gates, signal), this.#ports);
    }
  }

  /** One image after another, each in a process where it can hurt no other. */
  async #apart(
    job: Job,
    { payload: { chunk }, trace, log }: Handed,
    items: readonly JobItem[],
    gates: ChunkGates,
    signal: AbortSignal,
  ): Promise<void> {
    log.warn('Chunk lost its worker: its images are fetched one by one');
    const isolation = new Isolation(job, 'fetch', this.#options, this.#ports.observer, trace);
    const images = async function* (): AsyncGenerator<FetchedImage | FailedImage, void, undefined> {
      for (const item of items) {
        signal.throwIfAborted();
        yield await gates.held.run(async () => {
          return isPastDeadline(job) ? pastDeadline(job, item) : isolation.fetch(item);
        });
      }
      signal.throwIfAborted();
    };
    await isolation.during(signal, () => writePack(job, chunk, images(), this.#ports));
  }

  /** @throws DeflectorError WORKER_UNFIT where this machine cannot do the job */
  #open(job: Job): Promise<JobFetch> {
    const ready = this.#ready.get(job.id) ?? this.#prepare(job);
    this.#ready.delete(job.id);
    this.#ready.set(job.id, ready);
    ready.catch(() => this.#ready.delete(job.id));
    for (const oldest of this.#ready.keys()) if (this.#ready.size > JOBS_READY) this.#ready.delete(oldest);
    return ready;
  }

  async #prepare(job: Job): Promise<JobFetch> {
    try {
      const options = optionsOf(job);
      const { preprocessing } = await openModel(options.model);
      // The localiser sees what the model sees: nothing here depends on it.
      checkModels(job, { model: await identityOf(options), localizer: job.localizer });
      this.#fault = undefined;
      return { options, ports: fetchPortsOf(job, options, preprocessing, this.#ports.openStore, this.#ports.observer) };
    } catch (error) {
      const fault = unfit(error);
      this.#fault = fault.message;
      throw fault;
    }
  }
}
