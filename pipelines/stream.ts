/**
 * A stream of images that join as they come, as jobs that are open for an hour each. Any number of processes add to one
 * job, and each may be lost at any moment:
 *
 *     image ──▶ waiting ──with others, in a chunk──▶ written ──▶ named ──▶ in the queue ──▶ acknowledged
 *
 * The next chunk belongs to whoever creates its object. One that finds it there names it and puts it into the queue in
 * the other's place, who may be gone, and takes the number behind it.
 */
import { createHash } from 'node:crypto';
import type { ResolvedOptions } from '../src/config/settings.js';
import { DeflectorError } from '../src/errors.js';
import { createChunk, formatChunk, MAX_CHUNKS, readChunk } from '../src/jobs/chunk-files.js';
import { type ChunkPayload, chunkTask } from '../src/jobs/chunk-task.js';
import { checkJobName, type Job } from '../src/jobs/job.js';
import type { JobRecords } from '../src/jobs/job-records.js';
import { firstQueue, type StageQueues } from '../src/jobs/stage-queues.js';
import { type Lane, MAX_CHUNK, type TaskQueue } from '../src/queue/queue.js';
import { type Destination, openDestination } from '../src/sinks/destination.js';
import type { S3Connection } from '../src/storage/s3-connection.js';
import type { StoreAddress } from '../src/storage/store-address.js';
import type { ConditionalStore, JobItem, VerdictError } from '../src/types.js';
import { addressOf, frozenDefence, newJobId } from './producer.js';

/** Images that may wait for their chunk. */
const MAX_WAITING = 10_000;

/** Milliseconds for which the length of the queue is taken as known. */
const COUNT_FRESH_MS = 200;

/** Milliseconds between two looks whether the hour of a job is over. */
const ROLL_EVERY_MS = 60_000;

/** A job that is open for longer than this was left by a process that was lost. */
const STALE_MS = 2 * 3_600_000;

export interface StreamPorts {
  readonly records: JobRecords;
  readonly queues: Pick<StageQueues, 'fetch' | 'defend'>;
  readonly s3: S3Connection;
}

export interface StreamOrder {
  /** What the names of its jobs begin with: at most 32 characters. */
  readonly name: string;
  readonly lane: Lane;
  /** Where images may come from, for people. */
  readonly inputs: readonly string[];
  /** What `StreamImage.store` counts. */
  readonly stores: readonly StoreAddress[];
  /** Folder for chunks and verdicts, or s3://bucket/prefix. */
  readonly out: string;
  readonly options: ResolvedOptions;
}

export interface StreamImage {
  readonly key: string;
  readonly store: number;
  /** Set where it is known that the key cannot be defended. */
  readonly error?: VerdictError;
}

/** Where an image has gone. */
export interface Placed {
  readonly job: string;
  readonly id: string;
  readonly chunk: number;
  /** In its chunk, from 0. */
  readonly place: number;
}

interface Waiting {
  readonly image: StreamImage;
  resolve(placed: Placed): void;
  reject(error: unknown): void;
}

/** The job that takes images now, and how far it is. */
interface OpenJob {
  readonly job: Job;
  readonly store: ConditionalStore;
  /** Of the clock of this process. */
  readonly hour: string;
  chunks: number;
  images: number;
}

export class JobStream {
  readonly #order: StreamOrder;
  readonly #ports: StreamPorts;
  readonly #defence: Pick<Job, 'settings' | 'model' | 'localizer'>;
  readonly #out: Destination;
  /** That the chunks begin in. */
  readonly #queue: TaskQueue<ChunkPayload>;
  /** Streams that differ in anything have jobs of their own. */
  readonly #digest: string;
  readonly #now: () => Date;
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | undefined;
  #open: OpenJob | undefined;
  #counted: { readonly at: number; readonly full: Promise<boolean> } | undefined;
  readonly #rolling: NodeJS.Timeout;

  private constructor(
    order: StreamOrder,
    ports: StreamPorts,
    defence: Pick<Job, 'settings' | 'model' | 'localizer'>,
    now: () => Date,
  ) {
    this.#order = order;
    this.#ports = ports;
    this.#defence = defence;
    this.#out = openDestination(order.out, ports.s3);
    this.#queue = firstQueue(order.options, ports.queues);
    this.#now = now;
    const { options } = order;
    const identity = JSON.stringify([
      defence,
      order.lane,
      order.stores,
      this.#out.place(''),
      options.chunk,
      options.fetch,
    ]);
    this.#digest = createHash('sha256').update(identity).digest('hex').slice(0, 8);
    this.#rolling = setInterval(() => void this.#roll().catch(() => undefined), ROLL_EVERY_MS);
    this.#rolling.unref();
  }

  /**
   * Opens a stream, and closes what lost processes left open of it.
   *
   * @param now the time, which only says when a job is old enough
   * @throws DeflectorError of the model, the destination and Redis
   */
  static async open(order: StreamOrder, ports: StreamPorts, now = () => new Date()): Promise<JobStream> {
    checkJobName(order.name);
    await openDestination(order.out, ports.s3).check();
    const stream = new JobStream(order, ports, await frozenDefence(order.options), now);
    await stream.#closeStale();
    return stream;
  }

  /** Whether more images should not be taken now: the queue is full, or too many wait here. @throws DeflectorError QUEUE_UNAVAILABLE */
  async isFull(): Promise<boolean> {
    if (this.#waiting.length >= MAX_WAITING) return true;
    const at = performance.now();
    if (this.#counted === undefined || at - this.#counted.at > COUNT_FRESH_MS) {
      this.#counted = { at, full: this.#isQueueFull() };
    }
    return this.#counted.full;
  }

  async #isQueueFull(): Promise<boolean> {
    const counts = await this.#queue.counts();
    return counts[this.#order.lane] >= this.#order.options.queueLimit;
  }

  /**
   * Adds images; resolves when they are durable and in the queue.
   *
   * @throws DeflectorError of the store and Redis; the images may have been taken nevertheless
   */
  append(images: readonly StreamImage[]): Promise<Placed[]> {
    const placed = images.map(
      image => new Promise<Placed>((resolve, reject) => this.#waiting.push({ image, resolve, reject })),
    );
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    return Promise.all(placed);
  }

  /** Waits for what was added, and closes the job, so that it ends with its last chunk. */
  async close(): Promise<void> {
    clearInterval(this.#rolling);
    while (this.#flushing !== undefined) await this.#flushing;
    await this.#closeOpen();
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const size = Math.min(this.#order.options.chunk, MAX_CHUNK);
      const group = this.#waiting.splice(0, size);
      try {
        const { job, chunk } = await this.#take(group.map(({ image }) => image));
        for (const [place, { resolve }] of group.entries()) resolve({ job: job.name, id: job.id, chunk, place });
      } catch (error) {
        this.#open = undefined;
        for (const { reject } of group) reject(error);
      }
    }
  }

  async #take(images: readonly StreamImage[]): Promise<{ job: Job; chunk: number }> {
    for (;;) {
      const open = await this.#current();
      const { job, store, chunks: chunk } = open;
      const items: JobItem[] = images.map((image, place) => ({ index: open.images + place, ...image }));
      const own = await createChunk(store, chunk, formatChunk(items));
      const count = own ? images.length : (await readChunk(store, chunk)).length;
      const answer = await this.#ports.records.append(job, chunk, count);
      if (answer === 'closed') {
        this.#open = undefined;
        continue;
      }
      if (answer === 'ok' || own) await this.#queue.add([chunkTask(job, chunk)]);
      open.chunks++;
      open.images += count;
      // Another process was here: only Redis knows how far the job is.
      if (answer === 'behind' || !own) await this.#look(open);
      if (own) return { job, chunk };
    }
  }

  async #look(open: OpenJob): Promise<void> {
    const { chunks, images } = await this.#ports.records.cursor(open.job);
    open.chunks = chunks;
    open.images = images;
  }

  /** The job that takes images now: that of this hour, or the first behind it that is not closed. */
  async #current(): Promise<OpenJob> {
    const hour = this.#now().toISOString().slice(0, 13).replace(/\D/g, '');
    if (this.#open?.hour === hour && this.#open.chunks < MAX_CHUNKS) return this.#open;
    await this.#closeOpen();
    for (let serial = 1; ; serial++) {
      const job = await this.#ports.records.create(this.#describe(hour, serial), this.#order.options.keepJobs);
      const progress = await this.#ports.records.progress(job);
      if (progress.state !== 'listing' || progress.chunks >= MAX_CHUNKS) continue;
      const { store } = this.#out.folder(job.name);
      this.#open = { job, store, hour, chunks: progress.chunks, images: progress.images };
      return this.#open;
    }
  }

  #describe(hour: string, serial: number): Job {
    const { lane, inputs, stores, options } = this.#order;
    const name = `${this.#order.name}-${hour}-${this.#digest}${serial === 1 ? '' : `.${serial}`}`;
    return {
      name,
      id: newJobId(),
      createdAt: this.#now().toISOString(),
      lane,
      chunk: options.chunk,
      fetch: options.fetch,
      inputs: [...inputs],
      stores: [...stores],
      out: addressOf(this.#out.folder(name).place('')),
      ...this.#defence,
      stream: this.#order.name,
    };
  }

  /** Ends the job of an hour that is over, also where no image comes any more. */
  async #roll(): Promise<void> {
    const hour = this.#now().toISOString().slice(0, 13).replace(/\D/g, '');
    if (this.#open !== undefined && this.#open.hour !== hour && this.#flushing === undefined) await this.#closeOpen();
    await this.#closeStale();
  }

  async #closeOpen(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined) await this.#ports.records.close(open.job);
  }

  async #closeStale(): Promise<void> {
    for await (const job of this.#ports.records.list()) {
      if (job.stream !== this.#order.name || this.#now().getTime() - Date.parse(job.createdAt) < STALE_MS) continue;
      const { closed } = await this.#ports.records.cursor(job).catch(unlessGone);
      if (!closed) await this.#ports.records.close(job);
    }
  }
}

function unlessGone(error: unknown): { closed: boolean } {
  if (error instanceof DeflectorError && error.code === 'JOB_NOT_FOUND') return { closed: true };
  throw error;
}
