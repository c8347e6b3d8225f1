/** Lets a bounded number of tasks run at a time; the others wait in the order they came. */
export class Gate {
  readonly limit: number;
  #running = 0;
  readonly #waiting: Array<() => void> = [];

  /** @param limit tasks at a time, at least 1 */
  constructor(limit: number) {
    if (!Number.isInteger(limit) || limit < 1) throw new RangeError(`limit must be at least 1, not ${limit}`);
    this.limit = limit;
  }

  /** Runs a task once there is room for it. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running >= this.limit) await new Promise<void>(resolve => this.#waiting.push(resolve));
    else this.#running++;
    try {
      return await task();
    } finally {
      // A task that ends hands its place to the next in line.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
