/**
 * The worker of the stage defend: takes chunks, leaves their verdicts in the job's store, and names them to the publish
 * stage. It fetches the images itself, or finds them in the pack that the fetch stage left.
 */
import { defendChunk, fetching, type Obtain, unpacking } from '../pipelines/chunk.js';
import { optionsOf } from '../pipelines/job-work.js';
import type { ResolvedOptions } from '../src/config/settings.js';
import { DeflectorError } from '../src/errors.js';
import { hardenDecoder } from '../src/images/decode.js';
import { encodePng } from '../src/images/write.js';
import { readChunk, writeVerdicts } from '../src/jobs/chunk-files.js';
import { baggageOf, chunkTask } from '../src/jobs/chunk-task.js';
import { isPastDeadline, type Job, pastDeadline } from '../src/jobs/job.js';
import { clearPack, openPack } from '../src/jobs/scratch.js';
import { Gate } from '../src/queue/gate.js';
import type { Consumer } from '../src/queue/queue.js';
import { datasetForm, defendedPath } from '../src/sinks/defended-dataset.js';
import { failedVerdict } from '../src/stages/defend.js';
import { fetchImage, isFetched } from '../src/stages/fetch.js';
import type { FailedImage, FetchedImage, JobItem, Verdict } from '../src/types.js';
import { ChunksInHand } from './in-hand.js';
import { Isolation } from './isolation.js';
import { type Engines, JobEngines } from './job-engine.js';
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

/** Chunks that may wait to be published before this stage waits. */
const PUBLISH_LIMIT = 10_000;

/** Times that a chunk goes back to the fetch stage for a pack that is of no use; then its failures count. */
const RETURNS = 5;

/**
 * @param engines what defends; the models on this machine
 * @throws DeflectorError QUEUE_UNAVAILABLE
 */
export async function startDefendWorker(
  ports: StagePorts,
  options: WorkerOptions,
  giveUp: GiveUp,
  engines: Engines = new JobEngines(options, ports.openStore, ports.observer),
): Promise<StageWorker> {
  hardenDecoder();
  const worker = new DefendWorker(ports, options, giveUp, engines);
  await worker.start();
  return worker;
}

class DefendWorker implements StageWorker {
  readonly #ports: StagePorts;
  readonly #options: WorkerOptions;
  readonly #giveUp: GiveUp;
  readonly #jobs: KnownJobs;
  readonly #engines: Engines;
  readonly #gates: SharedGates;
  readonly #inHand: ChunksInHand;
  /** Suspect chunks are done one at a time, so that a process of this worker has at most one at its side. */
  readonly #isolating = new Gate(1);
  #consumer: Consumer | undefined;

  constructor(ports: StagePorts, options: WorkerOptions, giveUp: GiveUp, engines: Engines) {
    this.#ports = ports;
    this.#options = options;
    this.#giveUp = giveUp;
    this.#jobs = new KnownJobs(ports.records);
    this.#engines = engines;
    this.#gates = new SharedGates(options.threads);
    this.#inHand = new ChunksInHand(ports.records);
  }

  async start(): Promise<void> {
    const handle = this.#handle.bind(this);
    this.#consumer = await this.#ports.queues.defend.consume(
      consumerOptions('defend', this.#ports, this.#options, handle),
    );
    const { health } = this.#ports;
    health.addReadiness('model', () => this.#engines.fault);
    health.addLiveness('threads', () => this.#engines.stuck(this.#options.imageLimit));
  }

  async close(patience: number): Promise<void> {
    await this.#consumer?.close(patience);
    this.#inHand.close();
    await this.#engines.close();
  }

  async #handle(delivery: Handed): Promise<void> {
    const { payload, losses, signal } = delivery;
    const job = await this.#jobs.wanted(payload);
    if (job === undefined) return;
    // What another delivery of this chunk did needs no doing again.
    if (await this.#ports.records.isDone(job, payload.chunk)) {
      if (job.fetch === 'separate') await clearPack(job, payload.chunk, this.#ports);
      return;
    }
    if (isPastDeadline(job)) return expire(job, delivery, this.#ports);
    await this.#inHand.hold(job, signal, async either => {
      try {
        await this.#work(job, delivery, losses > 0 || payload.suspect === true, either);
      } catch (error) {
        const { returned = 0 } = payload;
        if (!(error instanceof DeflectorError) || error.code !== 'PACK_INVALID' || returned >= RETURNS) throw error;
        await this.#giveBack(job, delivery, error);
      }
    });
  }

  async #work(job: Job, delivery: Handed, suspect: boolean, signal: AbortSignal): Promise<void> {
    const { payload, trace } = delivery;
    const { chunk } = payload;
    const items = await readChunk(this.#ports.openStore(job.out), chunk);
    const verdicts = suspect
      ? await this.#isolating.run(() => this.#apart(job, delivery, items, signal))
      : await this.#together(job, delivery, items, signal);
    await writeVerdicts(this.#ports.openStore(job.out), chunk, verdicts);
    const { publish } = this.#ports.queues;
    await roomFor(async () => (await publish.counts())[job.lane] >= PUBLISH_LIMIT, signal);
    await publish.add([chunkTask(job, chunk, baggageOf(payload, trace))]);
  }

  async #together(
    job: Job,
    { payload: { chunk }, trace }: Handed,
    items: readonly JobItem[],
    signal: AbortSignal,
  ): Promise<readonly Verdict[]> {
    const { pool, options, ports, defender } = await this.#engines.open(job);
    await this.#ports.records.note(job, defender);
    const gates = this.#gates.of(options);
    const within = <T>(key: string, work: () => Promise<T>) =>
      withinLimit(key, this.#options.imageLimit, this.#giveUp, work);
    const emit = this.#emitter(job, options);
    const defend = async (image: FetchedImage): Promise<Verdict> => {
      if (isPastDeadline(job)) return failedVerdict({ ...image, ...pastDeadline(job, image) });
      const { verdict, defended } = await within(image.key, () =>
        pool.defend(image, { defended: emit !== undefined }, trace),
      );
      if (defended !== undefined) await emit?.(image, await encodePng(defended));
      return verdict;
    };
    const fetch = fetching(gates, async item => {
      return isPastDeadline(job)
        ? pastDeadline(job, item)
        : within(item.key, () => fetchImage(item, { ...ports, trace }, options));
    });
    return this.#obtaining(job, chunk, items, pack =>
      defendChunk(items, pack === undefined ? fetch : unpacking(pack), defend, gates, signal),
    );
  }

  /** One image after another, each where it can hurt no other. */
  #apart(
    job: Job,
    { payload: { chunk }, trace, log }: Handed,
    items: readonly JobItem[],
    signal: AbortSignal,
  ): Promise<readonly Verdict[]> {
    log.warn('Chunk lost its worker: its images are defended one by one');
    const work = job.fetch === 'separate' ? 'defend' : 'both';
    const isolation = new Isolation(job, work, this.#options, this.#ports.observer, trace);
    const emit = this.#emitter(job, optionsOf(job));
    const one = async (item: JobItem, obtain: Obtain | undefined): Promise<Verdict> => {
      // A pack is read image by image, whatever becomes of them.
      const image = await obtain?.(item);
      if (isPastDeadline(job)) return failedVerdict({ ...image, ...pastDeadline(job, item) });
      if (image !== undefined && !isFetched(image)) return failedVerdict(image);
      const { verdict, png } = await (image === undefined ? isolation.defend(item) : isolation.defendPixels(image));
      if (png !== undefined) await emit?.(item, png);
      return verdict;
    };
    return isolation.during(signal, () =>
      this.#obtaining(job, chunk, items, async pack => {
        const obtain = pack === undefined ? undefined : unpacking(pack);
        const verdicts: Verdict[] = [];
        for (const item of items) {
          signal.throwIfAborted();
          verdicts.push(await one(item, obtain));
        }
        signal.throwIfAborted();
        return verdicts;
      }),
    );
  }

  /** Where the job wants defended images: what writes one, before its verdict is durable. */
  #emitter(job: Job, options: ResolvedOptions) {
    if (options.emit !== 'defended') return undefined;
    const store = this.#ports.openStore(job.out);
    const form = datasetForm(options);
    return ({ key, index }: Pick<JobItem, 'key' | 'index'>, png: Uint8Array): Promise<void> =>
      store.write(defendedPath(form, key, index), png);
  }

  /** @param work is given the images of the chunk where the fetch stage left them */
  async #obtaining<T>(
    job: Job,
    chunk: number,
    items: readonly JobItem[],
    work: (pack: AsyncGenerator<FetchedImage | FailedImage> | undefined) => Promise<T>,
  ): Promise<T> {
    if (job.fetch === 'fused') return work(undefined);
    const pack = openPack(job, chunk, items, optionsOf(job), this.#ports);
    try {
      return await work(pack);
    } finally {
      await pack.return();
    }
  }

  /** A pack that is damaged or gone is made anew. */
  async #giveBack(job: Job, { payload, trace, log }: Handed, error: DeflectorError): Promise<void> {
    const { chunk, returned = 0 } = payload;
    // Another delivery may have come to its end meanwhile, and its pack have been cleared.
    if (await this.#ports.records.isDone(job, chunk)) return;
    log.warn({ code: error.code, error: error.message }, 'Chunk goes back to the fetch stage');
    await clearPack(job, chunk, this.#ports);
    await this.#ports.queues.fetch.add([
      chunkTask(job, chunk, { ...baggageOf(payload, trace), returned: returned + 1 }),
    ]);
  }
}
