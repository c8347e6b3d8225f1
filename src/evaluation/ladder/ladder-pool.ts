/**
 * Worker threads that climb the ladder, each with models and a kernel of its own. All rungs of an image go to one thread:
 * what was attacked without a look at the defence is attacked once.
 */
import { CallingThread } from '../../engine/calling-thread.js';
import { silenceOnnxRuntime } from '../../models/onnx-runtime.js';
import type { Climb, ClimberSpec, ClimbResult } from './climber.js';

type ClimberThread = CallingThread<Climb, ClimbResult>;

/** A fixed number of threads, each with one image at a time. */
export class LadderPool {
  readonly #threads: readonly ClimberThread[];

  private constructor(threads: readonly ClimberThread[]) {
    this.#threads = threads;
  }

  /** @throws DeflectorError what opening the models throws; WORKER_LOST */
  static async start(spec: ClimberSpec, threads: number): Promise<LadderPool> {
    silenceOnnxRuntime();
    const entry = new URL('./climber-thread.js', import.meta.url);
    return new LadderPool(await CallingThread.startAll<Climb, ClimbResult>(entry, spec, threads));
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
        const result = await thread.call(task.climb);
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
