/**
 * Port: work that waits in order for whoever can do it. A queue holds tasks; a task goes to one consumer at a time and
 * stays in the queue until that consumer says it is done. It may be delivered more than once.
 *
 *     waiting ──▶ in hand ──done──▶ gone
 *        ▲           ├──failed, may pass──▶ delayed ──▶ waiting
 *        │           ├──failed for good───▶ buried (told to the consumer first) ──▶ gone
 *        └───────────┴──handed back, or its consumer lost
 */

/** What is `online` is delivered before anything `bulk`. */
export const LANES = ['online', 'bulk'] as const;
export type Lane = (typeof LANES)[number];

/** Most images in one chunk. */
export const MAX_CHUNK = 64;

/** One piece of work; `P` is plain data of at most a few hundred bytes. */
export interface Task<P> {
  /** Letters, digits, dots, hyphens and underscores, not a number alone. A queue holds at most one task of an id. */
  readonly id: string;
  readonly lane: Lane;
  readonly payload: P;
}

/** A task in a consumer's hands. */
export interface Delivery<P> extends Task<P> {
  /** How often this task failed so far. */
  readonly failures: number;
  /** How often a consumer was lost with this task in its hands. */
  readonly losses: number;
  /** Aborted when the consumer must end: what then rejects goes back to the queue as if it had not been delivered. */
  readonly signal: AbortSignal;
}

export interface ConsumerOptions<P> {
  /** Tasks in hand at a time. */
  readonly concurrency: number;
  /** Times that a task is tried while its failures may pass. */
  readonly attempts: number;
  /** Consumers that a task may lose. */
  readonly losses: number;
  /** Milliseconds after which a silent consumer loses its tasks. */
  readonly lock: number;
  /** Milliseconds before a task that failed `failures` times is delivered again. */
  backoff(failures: number): number;
  /** Does the work; its effects are durable when it resolves. */
  handle(delivery: Delivery<P>): Promise<void>;
  /** Told that a task failed and will be delivered again, and why. */
  again?(delivery: Delivery<P>, error: unknown): void;
  /** Told that a task is given up, and why, before it leaves the queue. */
  bury(delivery: Delivery<P>, error: unknown): Promise<void>;
  /** Told of faults between the consumer and its queue; both go on by themselves. */
  trouble(error: Error): void;
}

export interface Consumer {
  /**
   * Takes no more tasks and ends once those in hand are done; after `patience` milliseconds hands the rest back.
   * Resolves when nothing is in hand.
   */
  close(patience: number): Promise<void>;
}

/** Tasks in a queue, by where they are. */
export interface QueueCounts {
  readonly online: number;
  readonly bulk: number;
  readonly inHand: number;
  readonly delayed: number;
}

export interface TaskQueue<P> {
  /** Adds tasks in their order; one whose id the queue holds already is not added again. @throws DeflectorError QUEUE_UNAVAILABLE */
  add(tasks: readonly Task<P>[]): Promise<void>;
  counts(): Promise<QueueCounts>;
  /** Those of the ids that the queue does not hold. */
  missing(ids: readonly string[]): Promise<string[]>;
  /** Removes tasks that are in nobody's hands. */
  discard(ids: readonly string[]): Promise<void>;
  /** Begins to take tasks. */
  consume(options: ConsumerOptions<P>): Promise<Consumer>;
  close(): Promise<void>;
}

/** Exponential backoff with full jitter between half and whole: 0.5 s, 1 s, 2 s ... at most 30 s. */
export function retryDelay(failures: number, random: () => number = Math.random): number {
  const longest = Math.min(30_000, 500 * 2 ** (failures - 1));
  return Math.round(longest * (0.5 + random() / 2));
}
