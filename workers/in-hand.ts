/** The chunks that a worker has in hand, and how it lets go of them when their job is cancelled. */
import type { Job } from '../src/jobs/job.js';
import type { JobRecords } from '../src/jobs/job-records.js';

/** Milliseconds between two looks whether a job in hand was cancelled. */
const CANCEL_CHECK_MS = 500;

export class ChunksInHand {
  readonly #records: JobRecords;
  readonly #inHand = new Map<AbortController, Job>();
  readonly #checking: NodeJS.Timeout;

  constructor(records: JobRecords) {
    this.#records = records;
    this.#checking = setInterval(() => void this.#dropCancelled(), CANCEL_CHECK_MS);
  }

  /**
   * Works on a chunk until it is done, or its job is cancelled.
   *
   * @param signal of the delivery
   * @param work is given a signal that is aborted in either case
   * @returns whether the work was done; if not, its job was cancelled
   * @throws what `work` throws, unless the job was cancelled
   */
  async hold(job: Job, signal: AbortSignal, work: (either: AbortSignal) => Promise<void>): Promise<boolean> {
    const cancelled = new AbortController();
    this.#inHand.set(cancelled, job);
    try {
      await work(AbortSignal.any([signal, cancelled.signal]));
      return true;
    } catch (error) {
      if (!cancelled.signal.aborted) throw error;
      return false;
    } finally {
      this.#inHand.delete(cancelled);
    }
  }

  close(): void {
    clearInterval(this.#checking);
  }

  async #dropCancelled(): Promise<void> {
    for (const [controller, job] of [...this.#inHand]) {
      // Where Redis does not answer nothing is dropped.
      if (await this.#records.isOver(job).catch(() => false)) controller.abort();
    }
  }
}
