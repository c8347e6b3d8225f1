/**
 * The in-process queue between two stages: bounded, first in, first out, with backpressure.
 *
 *     open ──close()──▶ closed (what was pushed can still be pulled, then the iteration ends)
 *       └────fail(e)──▶ failed (what was pushed is dropped; every pusher and puller gets e)
 */
export class BoundedQueue<T> implements AsyncIterable<T> {
  readonly capacity: number;
  readonly #items: T[] = [];
  readonly #pushers: Array<() => void> = [];
  readonly #pullers: Array<() => void> = [];
  #state: 'open' | 'closed' | 'failed' = 'open';
  #error: unknown;

  /** @param capacity items that may wait, at least 1 */
  constructor(capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1)
      throw new RangeError(`capacity must be at least 1, not ${capacity}`);
    this.capacity = capacity;
  }

  /** Items that wait now. */
  get size(): number {
    return this.#items.length;
  }

  /**
   * Adds an item; waits while the queue is full.
   *
   * @throws the error given to `fail`; Error when the queue was closed
   */
  async push(item: T): Promise<void> {
    while (this.#state === 'open' && this.#items.length >= this.capacity) {
      await new Promise<void>(resolve => this.#pushers.push(resolve));
    }
    if (this.#state === 'failed') throw this.#error;
    if (this.#state === 'closed') throw new Error('the queue is closed');
    this.#items.push(item);
    this.#pullers.shift()?.();
  }

  /**
   * Takes the oldest item; waits while the queue is empty.
   *
   * @returns `undefined` when the queue is closed and empty
   * @throws the error given to `fail`
   */
  async pull(): Promise<T | undefined> {
    while (this.#state === 'open' && this.#items.length === 0) {
      await new Promise<void>(resolve => this.#pullers.push(resolve));
    }
    if (this.#state === 'failed') throw this.#error;
    const item = this.#items.shift();
    this.#pushers.shift()?.();
    return item;
  }

  /** No more items will come. */
  close(): void {
    if (this.#state === 'open') this.#end('closed');
  }

  /** Ends both sides with an error. */
  fail(error: unknown): void {
    if (this.#state === 'failed') return;
    this.#error = error;
    this.#items.length = 0;
    this.#end('failed');
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const item = await this.pull();
      if (item === undefined) return;
      yield item;
    }
  }

  #end(state: 'closed' | 'failed'): void {
    this.#state = state;
    for (const wake of this.#pushers.splice(0)) wake();
    for (const wake of this.#pullers.splice(0)) wake();
  }
}
