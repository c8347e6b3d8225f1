/** What a worker makes of a job's record: its settings, an engine for them, its stores. */
import { createHash } from 'node:crypto';
import { checkModels, fetchPortsOf, optionsOf } from '../pipelines/job-work.js';
import { runtimeVersions } from '../pipelines/versions.js';
import type { ResolvedOptions } from '../src/config/settings.js';
import { DefendPool } from '../src/engine/defend-pool.js';
import { engineSpecOf } from '../src/engine/engine-spec.js';
import { DeflectorError } from '../src/errors.js';
import type { Job, JobDefender } from '../src/jobs/job.js';
import type { FetchPorts } from '../src/stages/fetch.js';
import type { StageObserver } from '../src/stages/observer.js';
import type { OpenStore } from '../src/storage/open-store.js';
import type { WorkerOptions } from './stage.js';

/** Jobs whose engines are kept live at a time. */
const ENGINES_KEPT = 2;
/** Jobs whose stores are kept open at a time. */
const JOBS_READY = 4;

/**
 * The settings that a job is defended with here: where it leaves the runtime open, the worker's.
 *
 * @throws DeflectorError WORKER_UNFIT where job and worker name different runtimes
 */
export function optionsHere(job: Job, worker: Pick<WorkerOptions, 'runtime'>): ResolvedOptions {
  const options = optionsOf(job);
  if (worker.runtime === 'auto' || worker.runtime === options.runtime) return options;
  if (options.runtime === 'auto') return { ...options, runtime: worker.runtime };
  const message = `The job ${job.name} asks for the runtime ${options.runtime}, but this worker was started for ${worker.runtime}`;
  throw new DeflectorError('WORKER_UNFIT', message);
}

/** What it means for a worker that it cannot make a job ready: another worker may have what is missing here. */
export function unfit(error: unknown): DeflectorError {
  if (error instanceof DeflectorError && error.retryable) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new DeflectorError('WORKER_UNFIT', message, { cause: error });
}

/** A job made ready to be defended. */
export interface JobEngine {
  readonly options: ResolvedOptions;
  readonly pool: Pick<DefendPool, 'defend'>;
  readonly ports: FetchPorts;
  readonly defender: JobDefender;
}

/** Port: gives what jobs are defended with. */
export interface Engines {
  /** Why the job that was asked for last cannot be done here. */
  readonly fault: string | undefined;
  /** @returns why it counts as stuck: images have been in hand for `limit` seconds without a verdict */
  stuck(limit: number): string | undefined;
  /** @throws DeflectorError WORKER_UNFIT where this machine cannot do the job */
  open(job: Job): Promise<JobEngine>;
  close(): Promise<void>;
}

/** What a worker says for itself. */
type WorkerSettings = Pick<WorkerOptions, 'threads' | 'batch' | 'runtime' | 'device'>;

/** Engines by the settings of their jobs: jobs that differ in their images only share one. The one used longest ago goes first. */
export class JobEngines implements Engines {
  readonly #worker: WorkerSettings;
  readonly #openStore: OpenStore;
  readonly #observer: StageObserver;
  #fault: string | undefined;
  /** The pools that are live. */
  readonly #pools = new Set<DefendPool>();
  readonly #kept = new Map<string, Promise<DefendPool>>();
  /** The jobs that were made ready last, by their id: what their stores hold in memory serves more than one chunk. */
  readonly #ready = new Map<string, JobEngine>();
  readonly #closing = new Set<Promise<unknown>>();

  /** @param worker the settings of the worker, not of the job */
  constructor(worker: WorkerSettings, openStore: OpenStore, observer: StageObserver) {
    this.#openStore = openStore;
    this.#observer = observer;
    this.#worker = worker;
  }

  get fault(): string | undefined {
    return this.#fault;
  }

  stuck(limit: number): string | undefined {
    const stalled = Math.max(0, ...[...this.#pools].map(pool => pool.stalled)) / 1000;
    return stalled > limit ? `a thread has given no verdict for ${Math.round(stalled)} s` : undefined;
  }

  async open(job: Job): Promise<JobEngine> {
    try {
      const engine = await this.#open(job);
      this.#fault = undefined;
      return engine;
    } catch (error) {
      this.#fault = error instanceof Error ? error.message : String(error);
      throw error;
    }
  }

  async #open(job: Job): Promise<JobEngine> {
    try {
      const options = this.#ready.get(job.id)?.options ?? optionsHere(job, this.#worker);
      const pool = await this.#pool(job, options);
      const before = this.#ready.get(job.id);
      if (before?.pool === pool) return before;
      checkModels(job, pool.info);
      const { runtime, device } = pool.info;
      const { threads } = this.#worker;
      const known = { runtime, ...(device === undefined ? {} : { device }) };
      const defender = { ...known, threads, versions: runtimeVersions() };
      const ports = fetchPortsOf(job, options, pool.info.preprocessing, this.#openStore, this.#observer);
      const engine = { options, pool, ports, defender };
      this.#ready.set(job.id, engine);
      for (const oldest of this.#ready.keys()) if (this.#ready.size > JOBS_READY) this.#ready.delete(oldest);
      return engine;
    } catch (error) {
      throw unfit(error);
    }
  }

  async close(): Promise<void> {
    for (const key of [...this.#kept.keys()]) this.#drop(key);
    await Promise.all(this.#closing);
  }

  #pool(job: Job, options: ResolvedOptions): Promise<DefendPool> {
    const { settings, model, localizer } = job;
    const key = createHash('sha256')
      .update(JSON.stringify([settings, model, localizer]))
      .digest('hex');
    const pool = this.#kept.get(key) ?? this.#start(options);
    // The last one used stands last.
    this.#kept.delete(key);
    this.#kept.set(key, pool);
    pool.catch(() => this.#kept.delete(key));
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= ENGINES_KEPT) break;
      this.#drop(oldest);
    }
    return pool;
  }

  async #start(options: ResolvedOptions): Promise<DefendPool> {
    const pool = await DefendPool.start(engineSpecOf(options, this.#worker), this.#worker.threads, this.#observer);
    this.#pools.add(pool);
    return pool;
  }

  #drop(key: string): void {
    const pool = this.#kept.get(key);
    this.#kept.delete(key);
    // A pool that could not be started was told of where it was asked for; one that closes finishes what it has in hand.
    const closing = pool?.then(
      live => {
        this.#pools.delete(live);
        return live.close();
      },
      () => undefined,
    );
    if (closing === undefined) return;
    this.#closing.add(closing);
    void closing.finally(() => this.#closing.delete(closing));
  }
}
