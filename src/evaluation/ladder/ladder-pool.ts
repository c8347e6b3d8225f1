/**
 * Worker threads that climb the ladder, each with models and a kernel of its own. All rungs of an image go to one thread:
 * what was attacked without a look at the defence is attacked once.
 */
import { Worker } from 'node:worker_threads';
import { DeflectorError, type ErrorCode } from '../../errors.js';
import { silenceOnnxRuntime } from '../../models/onnx-runtime.js';
import type { Climb, ClimberSpec, ClimbResult } from './climber.js';

/** From the pool to a thread. */
export type ToClimber = { readonly type: 'climb'; readonly climb: Climb } | { readonly type: 'end' };

/** From a thread to the pool. */
export type FromClimber =
  | { readonly type: 'ready' }
  | { readonly type: 'done'; readonly result: ClimbResult }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string };

/** A fixed number of threads, each with one image at a time. */
export class LadderPool {
  readonly #threads: readonly ClimberThread[];

  private constructor(threads: readonly ClimberThread[]) {
    this.#threads = threads;
  }

  /** @throws DeflectorError what opening the models throws; WORKER_LOST */
  static async start(spec: ClimberSpec, threads: number): Promise<LadderPool> {
    silenceOnnxRuntime();
    const starts = await Promise.allSettled(Array.from({ length: threads }, () => ClimberThread.start(spec)));
    const started = starts.flatMap(start => (start.status === 'fulfilled' ? [start.value] : []));
    const failure = starts.find(start => start.status === 'rejected');
    if (failure === undefined) return new LadderPool(started);
    await Promise.all(started.map(thread => thread.end()));
    throw failure.reason;
  }

  /**
   * Carries out tasks; those of one image in their order, on one thread.
   *
   * @param tasks with the number of their image
   * @param done told of each, one at a time
   * @throws DeflectorError INFERENCE_FAILED; WORKER_LOST; what `done` throws
   */
  async climbAll<T extends { readonly climb: Climb; readonly image: number }>(
    tasks: readonly T[],
    signal: AbortSignal,
    done: (task: T, result: ClimbResult) => Promise<void>,
  ): Promise<void> {
    let failed = false;
    let telling: Promise<void> = Promise.resolve();
    const work = async (thread: ClimberThread, own: readonly T[]): Promise<void> => {
      for (const task of own) {
        if (signal.aborted || failed) return;
        const result = await thread.climb(task.climb);
        telling = telling.then(() => done(task, result));
        await telling;
      }
    };
    const shares = this.#threads.map((_, n) => tasks.filter(task => task.image % this.#threads.length === n));
    const ends = await Promise.allSettled(
      this.#threads.map((thread, n) =>
        work(thread, shares[n]!).catch(error => {
          failed = true;
          throw error;
        }),
      ),
    );
    const failure = ends.find(end => end.status === 'rejected');
    if (failure !== undefined) throw failure.reason;
  }

  /** Ends the threads; nothing may be in hand. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.map(thread => thread.end()));
  }
}

/** One worker thread: starting ──▶ ready ◀──climb──▶ climbing ──▶ ended. */
class ClimberThread {
  readonly #worker: Worker;
  readonly #exited: Promise<void>;

  private constructor(worker: Worker, exited: Promise<void>) {
    this.#worker = worker;
    this.#exited = exited;
  }

  static async start(spec: ClimberSpec): Promise<ClimberThread> {
    const worker = new Worker(new URL('./climber-thread.js', import.meta.url), { workerData: spec });
    const exited = new Promise<void>(resolve => worker.once('exit', () => resolve()));
    await answer(worker);
    return new ClimberThread(worker, exited);
  }

  async climb(climb: Climb): Promise<ClimbResult> {
    const answered = answer(this.#worker);
    this.#worker.postMessage({ type: 'climb', climb } satisfies ToClimber);
    const message = await answered;
    if (message.type !== 'done') throw new DeflectorError('INTERNAL', 'A worker thread gave no result');
    return message.result;
  }

  async end(): Promise<void> {
    this.#worker.postMessage({ type: 'end' } satisfies ToClimber);
    await this.#exited;
  }
}

/** What a thread says next. @throws DeflectorError what failed in it; WORKER_LOST where it ends */
function answer(worker: Worker): Promise<FromClimber> {
  return new Promise((resolve, reject) => {
    const lost = (why: string, cause?: unknown) =>
      settle(() => reject(new DeflectorError('WORKER_LOST', `A worker thread was lost: ${why}`, { cause })));
    const onError = (error: unknown) => lost(error instanceof Error ? error.message : String(error), error);
    const onExit = () => lost('it ended');
    const onMessage = (message: FromClimber) =>
      settle(() => {
        if (message.type === 'failed') reject(new DeflectorError(message.code, message.message));
        else resolve(message);
      });
    const settle = (how: () => void) => {
      worker.off('error', onError).off('exit', onExit).off('message', onMessage);
      how();
    };
    worker.on('error', onError).on('exit', onExit).on('message', onMessage);
  });
}
