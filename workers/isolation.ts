/**
 * Works on the images of a suspect chunk, one at a time, in a process of their own: one that takes that process down, or
 * keeps it longer than it may, is known for it, and the next image gets a new process.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { DeflectorError, type ErrorCode } from '../src/errors.js';
import type { Job } from '../src/jobs/job.js';
import { failedVerdict } from '../src/stages/defend.js';
import type { DefendEnd, FetchEnd, LiveModel, ModelCall, StageObserver, TraceParent } from '../src/stages/observer.js';
import type { S3Options } from '../src/storage/s3-connection.js';
import type { FailedImage, FetchedImage, JobItem, Verdict } from '../src/types.js';
import type { WorkerOptions } from './stage.js';

/** What of a worker's settings the process needs. `imageLimit`: seconds that one image may take. */
export type IsolationOptions = Pick<WorkerOptions, 'batch' | 'runtime' | 'device' | 'imageLimit' | keyof S3Options>;

/** What became of an image that was defended. */
export interface Defended {
  readonly verdict: Verdict;
  /** The defended image, where the job wants it. */
  readonly png?: Uint8Array;
}

/** Which stages the process is for: a fetch stage of its own has no model. */
export type IsolatedWork = 'fetch' | 'defend' | 'both';

/** To the process. */
export type ToIsolated =
  | { readonly type: 'job'; readonly job: Job; readonly work: IsolatedWork; readonly options: IsolationOptions }
  /** To be fetched, and defended where the process is for both. */
  | { readonly type: 'item'; readonly item: JobItem }
  | { readonly type: 'image'; readonly image: FetchedImage };

/** From the process. */
export type FromIsolated =
  | { readonly type: 'ready' }
  | { readonly type: 'image'; readonly image: FetchedImage | FailedImage; readonly told: Told }
  | ({ readonly type: 'verdict'; readonly told: Told } & Defended)
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string };

/** What the stages in the process told of an image, to be told on. */
export interface Told {
  readonly fetched?: FetchEnd | undefined;
  readonly defended?: DefendEnd | undefined;
  readonly model?: LiveModel | undefined;
  readonly calls: readonly ModelCall[];
}

/** Milliseconds that the process may take to make its model live. */
const START_LIMIT_MS = 120_000;

export class Isolation {
  readonly #job: Job;
  readonly #work: IsolatedWork;
  readonly #options: IsolationOptions;
  readonly #observer: StageObserver;
  readonly #trace: TraceParent | undefined;
  #child: ChildProcess | undefined;

  /** @param trace what the work is a part of */
  constructor(
    job: Job,
    work: IsolatedWork,
    options: IsolationOptions,
    observer: StageObserver,
    trace: TraceParent | undefined,
  ) {
    this.#job = job;
    this.#work = work;
    this.#options = options;
    this.#observer = observer;
    this.#trace = trace;
  }

  /** Ends the process when `work` has ended, or as soon as `signal` is aborted. */
  async during<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const letGo = () => void this.close();
    signal.addEventListener('abort', letGo);
    try {
      return await work();
    } finally {
      signal.removeEventListener('abort', letGo);
      await this.close();
    }
  }

  /**
   * Fetches and defends.
   *
   * @returns the verdict on the image, and where the job wants it the defended image; WORKER_LOST where it took its process down or kept it too long
   * @throws DeflectorError what the store and the engine throw; WORKER_LOST where the process does not start
   */
  async defend(item: JobItem): Promise<Defended> {
    const answer = await this.#ask({ type: 'item', item });
    if (typeof answer !== 'string') return expected(answer, 'verdict');
    return this.#failed(lost(item, answer));
  }

  /** Fetches. @see defend */
  async fetch(item: JobItem): Promise<FetchedImage | FailedImage> {
    const answer = await this.#ask({ type: 'item', item });
    if (typeof answer !== 'string') return expected(answer, 'image').image;
    const image = lost(item, answer);
    this.#observer.fetched(image, this.#trace);
    return image;
  }

  /** Defends what was fetched. @see defend */
  async defendPixels(image: FetchedImage): Promise<Defended> {
    const answer = await this.#ask({ type: 'image', image });
    if (typeof answer !== 'string') return expected(answer, 'verdict');
    const { sha256, ms } = image;
    return this.#failed({ ...lost(image, answer), sha256, ms });
  }

  #failed(image: FailedImage): Defended {
    const verdict = failedVerdict(image);
    this.#observer.defended({ verdict, passes: 0 }, this.#trace);
    return { verdict };
  }

  /** @returns in place of an answer, as a clause: why there is none */
  async #ask(message: ToIsolated): Promise<FromIsolated | string> {
    const answer = await ask(await this.#ready(), message, this.#options.imageLimit * 1000);
    if (typeof answer === 'string') await this.close();
    else if ('told' in answer) this.#tell(answer.told);
    return answer;
  }

  #tell({ fetched, defended, model, calls }: Told): void {
    if (fetched !== undefined) this.#observer.fetched(fetched, this.#trace);
    if (defended !== undefined) this.#observer.defended(defended, this.#trace);
    if (model !== undefined) this.#observer.modelCalled(model, calls, this.#trace);
  }

  /** Ends the process. */
  async close(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || hasEnded(child)) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  async #ready(): Promise<ChildProcess> {
    if (this.#child !== undefined && !hasEnded(this.#child)) return this.#child;
    const child = fork(new URL('./isolated-entry.js', import.meta.url), { serialization: 'advanced' });
    this.#child = child;
    const start = { type: 'job', job: this.#job, work: this.#work, options: this.#options } as const;
    const answer = await ask(child, start, START_LIMIT_MS);
    if (typeof answer !== 'string') {
      expected(answer, 'ready');
      return child;
    }
    await this.close();
    throw new DeflectorError('WORKER_LOST', `The process for a suspect image ${answer} before it was ready`);
  }
}

/** @throws DeflectorError what the process says that failed */
function expected<T extends FromIsolated['type']>(answer: FromIsolated, type: T): Extract<FromIsolated, { type: T }> {
  if (answer.type === 'failed') throw new DeflectorError(answer.code, answer.message);
  if (answer.type !== type) throw new DeflectorError('INTERNAL', `Expected ${type} but received ${answer.type}`);
  return answer as Extract<FromIsolated, { type: T }>;
}

function lost({ index, key }: Pick<JobItem, 'index' | 'key'>, cause: string): FailedImage {
  const message = `The process that had this image for itself ${cause}`;
  return { index, key, error: { code: 'WORKER_LOST', message, retryable: true }, ms: { fetch: 0, decode: 0 } };
}

/** Sends a message and waits for the answer. @returns in place of an answer, as a clause: why there is none */
function ask(child: ChildProcess, message: ToIsolated, limit: number): Promise<FromIsolated | string> {
  return new Promise(resolve => {
    const settle = (answer: FromIsolated | string): void => {
      clearTimeout(timer);
      child.off('message', settle).off('exit', onExit).off('error', onError);
      resolve(answer);
    };
    const onExit = (code: number | null, signal: string | null): void =>
      settle(signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`);
    const onError = (error: Error): void => settle(`failed: ${error.message}`);
    const timer = setTimeout(() => settle(`did not answer within ${limit / 1000} s`), limit);
    child.once('message', settle).once('exit', onExit).once('error', onError);
    child.send(message, error => {
      if (error !== null && !hasEnded(child)) onError(error);
    });
  });
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
