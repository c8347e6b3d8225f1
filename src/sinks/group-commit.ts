/** Brings lines that come one by one to a slow medium in groups. */

interface Waiting {
  readonly lines: readonly string[];
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * Lines that are handed over while others are on their way go together in the next write, so that a slow medium is
 * written to less often and a fast one at once, and no line waits for a clock. After a failure all else fails, too.
 */
export class GroupCommit {
  readonly #persist: (lines: readonly string[]) => Promise<void>;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #failed = false;
  #fault: unknown;

  /** @param persist makes lines durable; called with one group at a time, in order */
  constructor(persist: (lines: readonly string[]) => Promise<void>) {
    this.#persist = persist;
  }

  /** Resolves when the lines are durable. Calls take effect in their order. */
  append(lines: readonly string[]): Promise<void> {
    if (this.#failed) return Promise.reject(this.#fault);
    if (lines.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ lines, resolve, reject });
      this.#writing ??= this.#drain();
    });
  }

  /** Resolves when nothing is on its way any more, whatever became of it. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        if (this.#failed) throw this.#fault;
        await this.#persist(group.flatMap(({ lines }) => lines));
        for (const { resolve } of group) resolve();
      } catch (error) {
        this.#failed = true;
        this.#fault = error;
        for (const { reject } of group) reject(error);
      }
    }
    this.#writing = undefined;
  }
}
