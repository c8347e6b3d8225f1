/**
 * Worker threads that defend images, each with a model session and a kernel of its own. The event loop of the caller
 * stays free, and whole images go to one thread, so that threads share nothing.
 */
import { Worker } from 'node:worker_threads';
import { DeflectorError, type ErrorCode } from '../errors.js';
import { prepareRuntimes } from '../models/native-runtimes.js';
import type { DefendOutcome, Wanted } from '../stages/defend.js';
import { type ModelCall, SILENT, type StageObserver, type TraceParent } from '../stages/observer.js';
import { type FetchedImage, VERDICT_SCHEMA } from '../types.js';
import type { EngineInfo, EngineSpec } from './engine.js';

/** From the pool to a thread. */
export type ToThread =
  | { readonly type: 'defend'; readonly id: number; readonly image: FetchedImage; readonly wanted: Wanted }
  | { readonly type: 'end' };

/** From a thread to the pool. */
export type FromThread =
  | { readonly type: 'ready'; readonly info: EngineInfo }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string }
  | {
      readonly type: 'outcome';
      readonly id: number;
      readonly outcome: DefendOutcome;
      /** Calls of the model since the last outcome. */
      readonly calls: readonly ModelCall[];
    };

/** An image that waits for its outcome. */
interface Request {
  readonly image: FetchedImage;
  readonly wanted: Wanted;
  readonly trace: TraceParent | undefined;
  readonly resolve: (outcome: DefendOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A fixed number of threads.
 *
 *     open ──close()──▶ closing (what is in hand is finished) ──▶ closed
 *       └─▶ broken (a thread died and no other could be started: everything is refused with that error)
 *
 * A thread that dies is replaced. Which of the images in its hands brought it down is not known, so each of them is
 * tried once more by its replacement, one at a time, before that takes other work: one that brings down a thread that
 * it had for itself is given up with WORKER_LOST, and no other image suffers for it.
 */
export class DefendPool {
  readonly info: EngineInfo;
  readonly #spec: EngineSpec;
  readonly #observer: StageObserver;
  readonly #threads: DefendThread[] = [];
  /** Requests that came while no thread was there for them. */
  readonly #waiting: Request[] = [];
  /** Promises of outcomes that were asked for and have not come. */
  readonly #inHand = new Set<Promise<unknown>>();
  readonly #replacements = new Set<Promise<void>>();
  #fault: DeflectorError | undefined;
  #closing: Promise<void> | undefined;

  private constructor(spec: EngineSpec, info: EngineInfo, threads: readonly DefendThread[], observer: StageObserver) {
    this.#spec = spec;
    this.info = info;
    this.#observer = observer;
    observer.modelLive(info, threads.length);
    for (const thread of threads) this.#admit(thread);
  }

  /**
   * Starts the threads and waits until each has its model live.
   *
   * @param threads at least 1
   * @throws DeflectorError what opening the model throws; WORKER_LOST where a thread cannot be started
   */
  static async start(spec: EngineSpec, threads: number, observer: StageObserver = SILENT): Promise<DefendPool> {
    prepareRuntimes(spec);
    const starts = await Promise.allSettled(Array.from({ length: threads }, () => DefendThread.start(spec, observer)));
    const started = starts.flatMap(start => (start.status === 'fulfilled' ? [start.value] : []));
    const failure = starts.find(start => start.status === 'rejected');
    if (failure !== undefined) {
      await Promise.all(started.map(thread => thread.end()));
      throw failure.reason;
    }
    return new DefendPool(spec, started[0]!.info, started, observer);
  }

  /**
   * Defends one image on the thread with the fewest in hand. A fault of the image becomes an error verdict.
   *
   * @param trace what this is a part of
   * @throws DeflectorError WORKER_LOST when a thread died and no other can be started; INTERNAL when the pool is closed
   */
  defend(image: FetchedImage, wanted: Wanted = {}, trace?: TraceParent): Promise<DefendOutcome> {
    const outcome = new Promise<DefendOutcome>((resolve, reject) => {
      if (this.#closing !== undefined) throw new DeflectorError('INTERNAL', 'The pool of worker threads is closed');
      this.#place({ image, wanted, trace, resolve, reject });
    });
    const left = this.#observer.entered('defend', 1);
    const settled = outcome
      .then(
        made => this.#observer.defended(made, trace),
        () => undefined,
      )
      .finally(() => {
        left();
        this.#inHand.delete(settled);
      });
    this.#inHand.add(settled);
    return outcome;
  }

  /** Milliseconds for which the slowest thread has had images in hand and given no outcome. */
  get stalled(): number {
    return Math.max(0, ...this.#threads.map(thread => thread.stalled));
  }

  /** Ends the threads once they have finished what they have in hand. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all(this.#inHand);
    while (this.#replacements.size > 0) await Promise.all(this.#replacements);
    await Promise.all(this.#threads.splice(0).map(thread => thread.end()));
  }

  #place(request: Request): void {
    if (this.#fault !== undefined) request.reject(this.#fault);
    else if (this.#threads.length === 0) this.#waiting.push(request);
    else this.#threads.reduce((a, b) => (b.load < a.load ? b : a)).defend(request);
  }

  #admit(thread: DefendThread): void {
    this.#threads.push(thread);
    for (const request of this.#waiting.splice(0)) this.#place(request);
    void thread.ended.then(suspects => {
      const place = this.#threads.indexOf(thread);
      // One that the pool itself ends is not there any more.
      if (place < 0) return;
      this.#threads.splice(place, 1);
      const replacement = this.#replace(thread, suspects).finally(() => this.#replacements.delete(replacement));
      this.#replacements.add(replacement);
    });
  }

  async #replace(dead: DefendThread, suspects: readonly Request[]): Promise<void> {
    let thread = await this.#startAnother(dead);
    for (const suspect of suspects) {
      if (thread === undefined) {
        this.#place(suspect);
        continue;
      }
      thread.defend(suspect);
      if (await thread.isFree()) continue;
      suspect.resolve(lost(suspect.image, thread.cause));
      thread = await this.#startAnother(thread);
    }
    if (thread !== undefined) this.#admit(thread);
  }

  /** @returns `undefined` where none can be started, which breaks the pool */
  async #startAnother(dead: DefendThread): Promise<DefendThread | undefined> {
    try {
      this.#observer.threadLost();
      return await DefendThread.start(this.#spec, this.#observer);
    } catch (error) {
      const message = `A worker thread died (${dead.cause}) and no other could be started: ${(error as Error).message}`;
      this.#fault = new DeflectorError('WORKER_LOST', message, { cause: error });
      for (const request of this.#waiting.splice(0)) request.reject(this.#fault);
      return undefined;
    }
  }
}

/**
 * One worker thread.
 *
 *     starting ──▶ ready ──end()──▶ ended
 *         └───────────┴─dies──▶ ended, with the images that it had in hand
 */
class DefendThread {
  readonly info: EngineInfo;
  /** Resolves when the thread is gone, with what it leaves undone. */
  readonly ended: Promise<readonly Request[]>;
  readonly #worker: Worker;
  readonly #requests = new Map<number, Request>();
  #nextId = 0;
  /** When it last came to have something in hand, or gave an outcome. */
  #progress = 0;
  #freed: (() => void) | undefined;
  #cause = 'it ended without an error';

  private constructor(worker: Worker, info: EngineInfo, exited: Promise<void>, observer: StageObserver) {
    this.#worker = worker;
    this.info = info;
    this.ended = exited.then(() => [...this.#requests.values()]);
    worker.on('error', error => {
      this.#cause = error instanceof Error ? error.message : String(error);
    });
    worker.on('message', (message: FromThread) => {
      if (message.type !== 'outcome') return;
      this.#progress = performance.now();
      const request = this.#requests.get(message.id);
      observer.modelCalled(info, message.calls, request?.trace);
      this.#requests.delete(message.id);
      request?.resolve(message.outcome);
      if (this.#requests.size === 0) this.#freed?.();
    });
  }

  /** @throws DeflectorError what opening the model throws; WORKER_LOST */
  static start(spec: EngineSpec, observer: StageObserver): Promise<DefendThread> {
    const worker = new Worker(new URL('./defend-thread.js', import.meta.url), { workerData: spec });
    const exited = new Promise<void>(resolve => worker.once('exit', () => resolve()));
    return new Promise((resolve, reject) => {
      const fail = (why: string, cause?: unknown) =>
        reject(new DeflectorError('WORKER_LOST', `A worker thread did not start: ${why}`, { cause }));
      worker.once('error', error => fail(error instanceof Error ? error.message : String(error), error));
      worker.once('exit', () => fail('it ended at once'));
      worker.once('message', (message: FromThread) => {
        if (message.type === 'ready') resolve(new DefendThread(worker, message.info, exited, observer));
        else if (message.type === 'failed') reject(new DeflectorError(message.code, message.message));
      });
    });
  }

  /** Images in hand. */
  get load(): number {
    return this.#requests.size;
  }

  /** Milliseconds for which it has had something in hand and given no outcome. */
  get stalled(): number {
    return this.#requests.size === 0 ? 0 : performance.now() - this.#progress;
  }

  /** Why it died, as a clause for a message. */
  get cause(): string {
    return this.#cause;
  }

  /** Takes an image; its outcome is told to the request, unless the thread dies first. */
  defend(request: Request): void {
    const id = this.#nextId++;
    if (this.#requests.size === 0) this.#progress = performance.now();
    this.#requests.set(id, request);
    const { image, wanted } = request;
    this.#worker.postMessage({ type: 'defend', id, image, wanted } satisfies ToThread);
  }

  /** Waits until nothing is in hand. @returns whether the thread came through it alive */
  async isFree(): Promise<boolean> {
    if (this.#requests.size > 0) {
      const freed = new Promise<void>(resolve => {
        this.#freed = resolve;
      });
      await Promise.race([freed, this.ended]);
    }
    return this.#requests.size === 0;
  }

  /** Ends the thread; to be called when nothing is in hand. */
  async end(): Promise<void> {
    this.#worker.postMessage({ type: 'end' } satisfies ToThread);
    await this.ended;
  }
}

function lost({ key, sha256, ms }: FetchedImage, cause: string): DefendOutcome {
  const message = `The worker thread died twice with this image in hand: ${cause}`;
  const error = { code: 'WORKER_LOST', message, retryable: true } as const;
  return { verdict: { schema: VERDICT_SCHEMA, key, sha256, status: 'error', error, ms }, passes: 0 };
}
