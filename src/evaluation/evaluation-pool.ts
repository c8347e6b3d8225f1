/** Worker threads that carry out experiments, each with a model session and a kernel of its own, one experiment at a time. */
import { Worker } from 'node:worker_threads';
import { DeflectorError, type ErrorCode } from '../errors.js';
import { silenceOnnxRuntime } from '../models/onnx-runtime.js';
import type { Experiment, Findings, LaboratorySpec } from './image-laboratory.js';

/** From the pool to a thread. */
export type ToThread = { readonly type: 'examine'; readonly experiment: Experiment } | { readonly type: 'end' };

/** From a thread to the pool. */
export type FromThread =
  | { readonly type: 'ready' }
  | { readonly type: 'found'; readonly findings: Findings }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string };

/**
 * A fixed number of threads.
 *
 *     open ──end()──▶ ended
 *
 * A thread that dies ends the evaluation with WORKER_LOST: what was found before is kept, and calling the command again
 * goes on there.
 */
export class EvaluationPool {
  readonly #threads: readonly EvaluationThread[];
  readonly #free: EvaluationThread[];
  readonly #waiting: ((thread: EvaluationThread) => void)[] = [];

  private constructor(threads: readonly EvaluationThread[]) {
    this.#threads = threads;
    this.#free = [...threads];
  }

  /**
   * Starts the threads and waits until each has its model live.
   *
   * @param threads at least 1
   * @throws DeflectorError what opening the model throws; WORKER_LOST
   */
  static async start(spec: LaboratorySpec, threads: number): Promise<EvaluationPool> {
    silenceOnnxRuntime();
    const starts = await Promise.allSettled(Array.from({ length: threads }, () => EvaluationThread.start(spec)));
    const started = starts.flatMap(start => (start.status === 'fulfilled' ? [start.value] : []));
    const failure = starts.find(start => start.status === 'rejected');
    if (failure === undefined) return new EvaluationPool(started);
    await Promise.all(started.map(thread => thread.end()));
    throw failure.reason;
  }

  /** Experiments that can be in hand at a time. */
  get threads(): number {
    return this.#threads.length;
  }

  /**
   * Carries out one experiment on the next free thread.
   *
   * @throws DeflectorError INFERENCE_FAILED, SETTINGS_INVALID, WORKER_LOST
   */
  async examine(experiment: Experiment): Promise<Findings> {
    const thread = this.#free.pop() ?? (await new Promise<EvaluationThread>(resolve => this.#waiting.push(resolve)));
    try {
      return await thread.examine(experiment);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free.push(thread);
      else next(thread);
    }
  }

  /** Ends the threads; to be called when nothing is in hand. */
  async end(): Promise<void> {
    await Promise.all(this.#threads.map(thread => thread.end()));
  }
}

interface Request {
  resolve(findings: Findings): void;
  reject(error: DeflectorError): void;
}

/** One worker thread, for one experiment at a time. */
class EvaluationThread {
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  #request: Request | undefined;
  #cause: string | undefined;

  private constructor(worker: Worker, ended: Promise<void>) {
    this.#worker = worker;
    this.#ended = ended.then(() => this.#die('it ended without an error'));
    worker.on('error', error => this.#die(error instanceof Error ? error.message : String(error)));
    worker.on('message', (message: FromThread) => {
      const request = this.#request;
      this.#request = undefined;
      if (message.type === 'found') request?.resolve(message.findings);
      else if (message.type === 'failed') request?.reject(new DeflectorError(message.code, message.message));
    });
  }

  /** @throws DeflectorError what opening the model throws; WORKER_LOST */
  static start(spec: LaboratorySpec): Promise<EvaluationThread> {
    const worker = new Worker(new URL('./evaluation-thread.js', import.meta.url), { workerData: spec });
    const ended = new Promise<void>(resolve => worker.once('exit', () => resolve()));
    return new Promise((resolve, reject) => {
      const fail = (why: string) => reject(new DeflectorError('WORKER_LOST', `A worker thread did not start: ${why}`));
      worker.once('error', error => fail(error instanceof Error ? error.message : String(error)));
      worker.once('exit', () => fail('it ended at once'));
      worker.once('message', (message: FromThread) => {
        if (message.type === 'ready') resolve(new EvaluationThread(worker, ended));
        else if (message.type === 'failed') reject(new DeflectorError(message.code, message.message));
      });
    });
  }

  examine(experiment: Experiment): Promise<Findings> {
    return new Promise((resolve, reject) => {
      if (this.#cause !== undefined) {
        reject(lost(this.#cause));
        return;
      }
      this.#request = { resolve, reject };
      this.#worker.postMessage({ type: 'examine', experiment } satisfies ToThread);
    });
  }

  async end(): Promise<void> {
    this.#worker.postMessage({ type: 'end' } satisfies ToThread);
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
