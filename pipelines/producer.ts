/**
 * The producer of a distributed job: lists the inputs, cuts the listing into chunks and puts them into the queue.
 *
 * A chunk is first written to the job's store, then named in the job's record, then put into the queue. What a crash
 * leaves out of the queue is found by its name (see workers/janitor.ts), and a producer that is started again goes on
 * behind the last name: it lists from the beginning and holds what it sees against the digest of what was named.
 */
import { createHash, randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { printSettings, type ResolvedOptions } from '../src/config/settings.js';
import { flagOf, RESULT_SETTINGS, UNRECORDED_SETTINGS } from '../src/config/table.js';
import { deadlineAfter } from '../src/config/value-types.js';
import { DeflectorError } from '../src/errors.js';
import { formatChunk, MAX_CHUNKS, writeChunk } from '../src/jobs/chunk-files.js';
import { type ChunkPayload, chunkTask } from '../src/jobs/chunk-task.js';
import { checkJobName, type Job } from '../src/jobs/job.js';
import type { Cursor, JobRecords } from '../src/jobs/job-records.js';
import { firstQueue, type StageQueues } from '../src/jobs/stage-queues.js';
import { identityOf, openModel, resolveModel } from '../src/models/registry.js';
import type { TaskQueue } from '../src/queue/queue.js';
import { type Destination, openDestination } from '../src/sinks/destination.js';
import { type JobInputs, openInputs } from '../src/storage/inputs.js';
import { storeOpener } from '../src/storage/open-store.js';
import { isS3Address } from '../src/storage/s3-address.js';
import type { S3Connection } from '../src/storage/s3-connection.js';
import type { StoreAddress } from '../src/storage/store-address.js';
import { type Span, type Tracer, UNTRACED } from '../src/telemetry/tracer.js';
import type { JobItem, ModelIdentity, ObjectStore } from '../src/types.js';

/** Chunks that are written, named and queued together. */
const BATCH = 16;

/** Milliseconds between two looks at a queue that is full. */
const FULL_PAUSE_MS = 200;

export interface ProducerPorts {
  readonly records: JobRecords;
  readonly queues: Pick<StageQueues, 'fetch' | 'defend'>;
  /** Where inputs and results in S3 are. */
  readonly s3: S3Connection;
  /** The trace of each chunk begins here. */
  readonly tracer?: Tracer | undefined;
}

export interface JobOrder {
  readonly name: string;
  /** As the user typed them. */
  readonly inputs: readonly string[];
  /** Folder of the results, or s3://bucket/prefix. */
  readonly out: string;
  readonly options: ResolvedOptions;
}

export interface Produced {
  readonly job: Job;
  readonly chunks: number;
  readonly images: number;
  /** Whether the listing came to its end; false where `signal` stopped it. */
  readonly complete: boolean;
}

/** What an order makes of a job before it is known whether there is one of its name. */
async function describeJob(order: JobOrder, inputs: JobInputs, out: Destination): Promise<Job> {
  const { options } = order;
  const createdAt = new Date().toISOString();
  return {
    name: checkJobName(order.name),
    id: newJobId(),
    createdAt,
    lane: options.lane,
    chunk: options.chunk,
    fetch: options.fetch,
    inputs: [...order.inputs],
    stores: [...inputs.addresses],
    out: addressOf(out.place('')),
    ...(options.deadline === null ? {} : { deadline: deadlineOf(options.deadline, createdAt) }),
    ...(await frozenDefence(options)),
  };
}

/** Tells jobs of one name apart. */
export function newJobId(): string {
  return randomBytes(4).toString('hex');
}

/** What a job keeps of its settings: those that every worker is to take, and the models that they name. */
export async function frozenDefence(options: ResolvedOptions): Promise<Pick<Job, 'settings' | 'model' | 'localizer'>> {
  const localizer =
    options.localizer !== null && options.defence.map !== 'uniform'
      ? (await openModel(options.localizer)).identity
      : undefined;
  return {
    settings: await settingsOf(options),
    model: await identityOf(options),
    ...(localizer === undefined ? {} : { localizer }),
  };
}

/** A deadline as ISO 8601; a duration counts from the creation of the job. */
function deadlineOf(deadline: string, createdAt: string): string {
  return new Date(deadlineAfter(Date.parse(createdAt), deadline)).toISOString();
}

/** Opens the inputs of an order; what it makes is never among them. @throws DeflectorError INPUT_NOT_FOUND, SETTINGS_INVALID */
function openOrder(order: JobOrder, out: Destination, s3: S3Connection): Promise<JobInputs> {
  const links = order.options.followLinks ? 'anywhere' : 'inside';
  return openInputs(order.inputs, { exclude: [out.place('')], links, s3 });
}

/**
 * Produces a job to its end, or goes on with one.
 *
 * @param named is told how many images are named so far
 * @throws DeflectorError JOB_MISMATCH where the job of that name is another one; what stores, records and queue throw
 */
export async function produce(
  order: JobOrder,
  ports: ProducerPorts,
  named: (images: number) => void,
  signal: AbortSignal,
): Promise<Produced> {
  const out = openDestination(order.out, ports.s3);
  await out.check();
  const inputs = await openOrder(order, out, ports.s3);
  const described = await describeJob(order, inputs, out);
  const job = await ports.records.create(described, order.options.keepJobs);
  checkSame(job, described, order.options.deadline);
  const before = await ports.records.cursor(job);
  if (before.closed) return { job, chunks: before.chunks, images: before.images, complete: true };
  const producer = new Producer(job, before, order.options.queueLimit, ports, named);
  const complete = await producer.run(inputs.items(), signal);
  return { job, ...producer.named, complete };
}

class Producer {
  readonly #job: Job;
  /** What was named before this producer. */
  readonly #before: Cursor;
  readonly #limit: number;
  readonly #ports: ProducerPorts;
  readonly #told: (images: number) => void;
  readonly #store: ObjectStore;
  readonly #queue: TaskQueue<ChunkPayload>;
  #cursor: Cursor = { chunks: 0, images: 0, digest: '' };
  /** Chunks that are cut and not yet named, with the cursor behind each. */
  #cut: { readonly bytes: Uint8Array; readonly cursor: Cursor }[] = [];

  constructor(job: Job, before: Cursor, limit: number, ports: ProducerPorts, told: (images: number) => void) {
    this.#job = job;
    this.#before = before;
    this.#limit = limit;
    this.#ports = ports;
    this.#told = told;
    this.#store = storeOpener(ports.s3)(job.out);
    this.#queue = firstQueue(job, ports.queues);
  }

  get named(): { chunks: number; images: number } {
    const { chunks, images } = this.#cursor;
    return { chunks, images };
  }

  /** @returns whether the listing came to its end */
  async run(items: AsyncIterable<JobItem>, signal: AbortSignal): Promise<boolean> {
    let chunk: JobItem[] = [];
    for await (const item of items) {
      if (signal.aborted) return false;
      chunk.push(item);
      if (chunk.length < this.#job.chunk) continue;
      await this.#take(chunk, signal);
      chunk = [];
    }
    if (chunk.length > 0) await this.#take(chunk, signal);
    await this.#flush(signal);
    if (signal.aborted) return false;
    if (this.#cursor.chunks < this.#before.chunks) throw otherListing(this.#job);
    await this.#ports.records.close(this.#job);
    return true;
  }

  async #take(items: readonly JobItem[], signal: AbortSignal): Promise<void> {
    const bytes = formatChunk(items);
    const last = this.#cut.at(-1)?.cursor ?? this.#cursor;
    const digest = createHash('sha256').update(last.digest).update(bytes).digest('hex');
    const cursor = { chunks: last.chunks + 1, images: last.images + items.length, digest };
    if (cursor.chunks > MAX_CHUNKS) {
      throw new DeflectorError('SETTINGS_INVALID', `A job may have ${MAX_CHUNKS} chunks; split it, or raise --chunk`);
    }
    if (cursor.chunks <= this.#before.chunks) {
      // An earlier producer named it.
      this.#cursor = cursor;
      if (cursor.chunks === this.#before.chunks && digest !== this.#before.digest) throw otherListing(this.#job);
      return;
    }
    this.#cut.push({ bytes, cursor });
    if (this.#cut.length >= BATCH) await this.#flush(signal);
  }

  async #flush(signal: AbortSignal): Promise<void> {
    if (this.#cut.length === 0) return;
    await this.#room(signal);
    if (signal.aborted) return;
    const { records } = this.#ports;
    if (await records.isOver(this.#job)) {
      throw new DeflectorError('INTERRUPTED', `The job ${this.#job.name} was cancelled`);
    }
    const first = this.#cursor.chunks;
    const cut = this.#cut;
    const spans = cut.map((_, place) => this.#beginSpan(first + place));
    await Promise.all(cut.map(({ bytes, cursor }) => writeChunk(this.#store, cursor.chunks - 1, bytes)));
    const { cursor } = cut.at(-1)!;
    await records.advance(this.#job, first, cursor);
    await this.#queue.add(
      spans.map(({ context: trace }, place) =>
        chunkTask(this.#job, first + place, trace === undefined ? {} : { trace }),
      ),
    );
    for (const span of spans) span.end();
    this.#cut = [];
    this.#cursor = cursor;
    this.#told(cursor.images);
  }

  #beginSpan(chunk: number): Span {
    const attributes = { 'deflector.job': this.#job.name, 'deflector.chunk': chunk };
    return (this.#ports.tracer ?? UNTRACED).begin('enqueue chunk', { kind: 'producer', attributes });
  }

  /** Waits while as many chunks as may be are waiting in the lane. */
  async #room(signal: AbortSignal): Promise<void> {
    const { lane } = this.#job;
    while (!signal.aborted && (await this.#queue.counts())[lane] >= this.#limit) {
      await sleep(FULL_PAUSE_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}

/**
 * The settings as every worker is to read them.
 *
 * A model in a folder is named by its whole path: a worker may have been started elsewhere.
 */
async function settingsOf(options: ResolvedOptions): Promise<Job['settings']> {
  const settings: Record<string, unknown> = printSettings(options);
  for (const name of UNRECORDED_SETTINGS) delete settings[name];
  for (const name of ['model', 'localizer'] as const) {
    const value = options[name];
    if (value !== null) settings[name] = await placeOf(value);
  }
  if (options.voters !== null) settings.voters = await Promise.all(options.voters.map(placeOf));
  return settings;
}

/** A name as it is, a folder by its whole path. */
async function placeOf(model: string): Promise<string> {
  return /[/\\]|^\./.test(model) ? resolveModel(model) : model;
}

/** The address of a folder, which every worker has to reach under the same one. */
export function addressOf(place: string): StoreAddress {
  return { url: isS3Address(place) ? place : pathToFileURL(resolve(place)).href, prefix: '' };
}

/** @throws DeflectorError JOB_MISMATCH */
function checkSame(began: Job, now: Job, deadline: string | null): void {
  const same = (what: string, before: unknown, after: unknown): void => {
    const [a, b] = [JSON.stringify(before ?? null), JSON.stringify(after ?? null)];
    // The fields of what is read back from a record may have another order.
    if (isDeepStrictEqual(JSON.parse(a), JSON.parse(b))) return;
    throw new DeflectorError('JOB_MISMATCH', `The job ${began.name} began with ${what} ${a}, not ${b}`);
  };
  for (const name of RESULT_SETTINGS) same(flagOf(name), began.settings[name], now.settings[name]);
  const digests = (job: Job) => [job.model, job.localizer].map((model?: ModelIdentity) => model?.sha256 ?? null);
  same('the models', digests(began), digests(now));
  same('--chunk', began.chunk, now.chunk);
  same('--lane', began.lane, now.lane);
  same('--fetch', began.fetch, now.fetch);
  same('--deadline', began.deadline, deadline === null ? undefined : deadlineOf(deadline, began.createdAt));
  same('--out', began.out.url, now.out.url);
  same('inputs in', began.stores, now.stores);
}

function otherListing(job: Job): DeflectorError {
  return new DeflectorError('JOB_MISMATCH', `The inputs are not those that the job ${job.name} began with`);
}
