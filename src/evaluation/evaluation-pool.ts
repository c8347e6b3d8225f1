/** Worker threads that carry out experiments, each with a model session and a kernel of its own, one experiment at a time. */
import { CallingThread } from '../engine/calling-thread.js';
import { silenceOnnxRuntime } from '../models/onnx-runtime.js';
import type { Experiment, Findings, LaboratorySpec } from './image-laboratory.js';

type EvaluationThread = CallingThread<Experiment, Findings>;

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
    const entry = new URL('./evaluation-thread.js', import.meta.url);
    return new EvaluationPool(await CallingThread.startAll<Experiment, Findings>(entry, spec, threads));
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
      return await thread.call(experiment);
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
