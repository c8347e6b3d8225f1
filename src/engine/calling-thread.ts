/** Worker threads that answer calls, one at a time; the other end of `answering-thread.ts`. */
import { Worker } from 'node:worker_threads';
import { DeflectorError, type ErrorCode } from '../errors.js';

/** From the caller to a thread. */
export type ToThread<Call> = { readonly type: 'call'; readonly call: Call } | { readonly type: 'end' };

/** From a thread to the caller. */
export type FromThread<Answer> =
  | { readonly type: 'ready' }
  | { readonly type: 'answer'; readonly answer: Answer }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string };

interface Request<Answer> {
  resolve(answer: Answer): void;
  reject(error: DeflectorError): void;
}

/**
 * One worker thread: starting ──▶ ready ◀──call──▶ answering ──▶ ended. A call to a thread that has died, or dies over it,
 * throws WORKER_LOST.
 */
export class CallingThread<Call, Answer> {
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  #request: Request<Answer> | undefined;
  #cause: string | undefined;

  private constructor(worker: Worker, ended: Promise<void>) {
    this.#worker = worker;
    this.#ended = ended.then(() => this.#die('it ended without an error'));
    worker.on('error', error => this.#die(error instanceof Error ? error.message : String(error)));
    worker.on('message', (message: FromThread<Answer>) => {
      const request = this.#request;
      this.#request = undefined;
      if (message.type === 'answer') request?.resolve(message.answer);
      else if (message.type === 'failed') request?.reject(new DeflectorError(message.code, message.message));
    });
  }

  /**
   * @param entry the module that the thread runs; it calls `answerCalls`
   * @param spec what that module opens itself with
   * @throws DeflectorError what opening throws; WORKER_LOST
   */
  static start<Call, Answer>(entry: URL, spec: unknown): Promise<CallingThread<Call, Answer>> {
    const worker = new Worker(entry, { workerData: spec });
    const ended = new Promise<void>(resolve => worker.once('exit', () => resolve()));
    return new Promise((resolve, reject) => {
      const fail = (why: string) => reject(new DeflectorError('WORKER_LOST', `A worker thread did not start: ${why}`));
      worker.once('error', error => fail(error instanceof Error ? error.message : String(error)));
      worker.once('exit', () => fail('it ended at once'));
      worker.once('message', (message: FromThread<Answer>) => {
        if (message.type === 'ready') resolve(new CallingThread(worker, ended));
        else if (message.type === 'failed') reject(new DeflectorError(message.code, message.message));
      });
    });
  }

  /** Starts several threads of a kind; where one fails, the others are ended. @throws DeflectorError as `start` does */
  static async startAll<Call, Answer>(
    entry: URL,
    spec: unknown,
    threads: number,
  ): Promise<readonly CallingThread<Call, Answer>[]> {
    const starts = await Promise.allSettled(
      Array.from({ length: threads }, () => CallingThread.start<Call, Answer>(entry, spec)),
    );
    const started = starts.flatMap(start => (start.status === 'fulfilled' ? [start.value] : []));
    const failure = starts.find(start => start.status === 'rejected');
    if (failure === undefined) return started;
    await Promise.all(started.map(thread => thread.end()));
    throw failure.reason;
  }

  /** To be called when no call is in hand. @throws DeflectorError what the thread answers with; WORKER_LOST */
  call(call: Call): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#cause !== undefined) {
        reject(lost(this.#cause));
        return;
      }
      this.#request = { resolve, reject };
      this.#worker.postMessage({ type: 'call', call } satisfies ToThread<Call>);
    });
  }

  /** To be called when no call is in hand. */
  async end(): Promise<void> {
    this.#worker.postMessage({ type: 'end' } satisfies ToThread<Call>);
    await this.#ended;
  }

  #die(cause: string): void {
    this.#cause ??= cause;
    this.#request?.reject(lost(this.#cause));
    this.#request = undefined;
  }
}

function lost(cause: string): DeflectorError {
  return new DeflectorError('WORKER_LOST', `A worker thread died: ${cause}`);
}
