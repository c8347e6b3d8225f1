/**
 * Defends the images of a suspect chunk, one at a time, in a process of their own: one that takes that process down, or
 * keeps it longer than it may, is known for it, and the next image gets a new process.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { DeflectorError, type ErrorCode } from '../src/errors.js';
import type { Job } from '../src/jobs/job.js';
import type { S3Options } from '../src/storage/s3-connection.js';
import { type JobItem, VERDICT_SCHEMA, type Verdict } from '../src/types.js';
import type { WorkerOptions } from './stage.js';

/** What of a worker's settings the process needs. `imageLimit`: seconds that one image may take. */
export type IsolationOptions = Pick<WorkerOptions, 'batch' | 'imageLimit' | keyof S3Options>;

/** To the process. */
export type ToIsolated =
  | { readonly type: 'job'; readonly job: Job; readonly options: IsolationOptions }
  | { readonly type: 'image'; readonly item: JobItem };

/** From the process. */
export type FromIsolated =
  | { readonly type: 'ready' }
  | { readonly type: 'verdict'; readonly verdict: Verdict }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string };

/** Milliseconds that the process may take to make its model live. */
const START_LIMIT_MS = 120_000;

export class Isolation {
  readonly #job: Job;
  readonly #options: IsolationOptions;
  #child: ChildProcess | undefined;

  constructor(job: Job, options: IsolationOptions) {
    this.#job = job;
    this.#options = options;
  }

  /**
   * @returns the verdict on the image; WORKER_LOST where it took its process down or kept it too long
   * @throws DeflectorError what the store and the engine throw; WORKER_LOST where the process does not start
   */
  async defend(item: JobItem): Promise<Verdict> {
    const child = await this.#ready();
    const answer = await ask(child, { type: 'image', item }, this.#options.imageLimit * 1000);
    if (typeof answer !== 'string') {
      if (answer.type === 'failed') throw new DeflectorError(answer.code, answer.message);
      if (answer.type === 'verdict') return answer.verdict;
    }
    await this.close();
    const message = `The process that had this image for itself ${answer}`;
    const error = { code: 'WORKER_LOST', message, retryable: true } as const;
    return { schema: VERDICT_SCHEMA, key: item.key, status: 'error', error, ms: { fetch: 0, decode: 0 } };
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
    const answer = await ask(child, { type: 'job', job: this.#job, options: this.#options }, START_LIMIT_MS);
    if (typeof answer !== 'string') {
      if (answer.type === 'failed') throw new DeflectorError(answer.code, answer.message);
      return child;
    }
    await this.close();
    throw new DeflectorError('WORKER_LOST', `The process for a suspect image ${answer} before it was ready`);
  }
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
