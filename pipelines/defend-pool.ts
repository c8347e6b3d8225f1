/**
 * Worker threads that defend images, each with a model session and a kernel of its own. The event loop of the caller
 * stays free, and whole images go to one thread, so that threads share nothing.
 *
 *     starting ──▶ ready ──▶ closed
 *         │          └─▶ a thread that dies is replaced; its images are tried once more, one by one
 *         └─▶ failed to start (the error of the model or the runtime)
 */
import { Worker } from 'node:worker_threads';
import { DeflectorError, type ErrorCode } from '../src/errors.js';
import { silenceOnnxRuntime } from '../src/models/onnx-runtime.js';
import type { DefendOutcome, Wanted } from '../src/stages/defend.js';
import type { FetchedImage } from '../src/types.js';
import type { EngineInfo, EngineSpec } from './engine.js';

/** From the pool to a thread. */
export type ToThread =
  | { readonly type: 'defend'; readonly id: number; readonly image: FetchedImage; readonly wanted: Wanted }
  | { readonly type: 'end' };

/** From a thread to the pool. */
export type FromThread =
  | { readonly type: 'ready'; readonly info: EngineInfo }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string }
  | { readonly type: 'outcome'; readonly id: number; readonly outcome: DefendOutcome };

interface Request {
  readonly image: FetchedImage;
  readonly wanted: Wanted;
  readonly resolve: (outcome: DefendOutcome) => void;
  /** Threads that died with this image in hand. */
  losses: number;
}

interface Member {
  readonly worker: Worker;
  readonly requests: Map<number, Request>;
  readonly exited: Promise<void>;
}

/** How often an image may take a thread down with it before it is given up. */
const MAXIMUM_LOSSES = 2;

export class DefendPool {
  readonly info: EngineInfo;
  readonly #spec: EngineSpec;
  readonly #members: Member[];
  /** Requests that came while no thread was alive. */
  readonly #stranded: Request[] = [];
  #nextId = 0;
  #closing = false;

  private constructor(spec: EngineSpec, info: EngineInfo, members: Member[]) {
    this.#spec = spec;
    this.info = info;
    this.#members = members;
    for (const member of members) this.#watch(member);
  }

  /**
   * Starts the threads and waits until each has its model live.
   *
   * @param threads at least 1
   * @throws DeflectorError what opening the model throws
   */
  static async start(spec: EngineSpec, threads: number): Promise<DefendPool> {
    silenceOnnxRuntime();
    const starts = await Promise.allSettled(Array.from({ length: threads }, () => startThread(spec)));
    const started = starts.flatMap(start => (start.status === 'fulfilled' ? [start.value] : []));
    const failure = starts.find(start => start.status === 'rejected');
    if (failure !== undefined) {
      await Promise.all(started.map(({ member }) => member.worker.terminate()));
      throw failure.reason;
    }
    return new DefendPool(
      spec,
      started[0]!.info,
      started.map(({ member }) => member),
    );
  }

  /** Defends one image on the thread with the fewest in hand. Never rejects: a fault becomes an error verdict. */
  defend(image: FetchedImage, wanted: Wanted = {}): Promise<DefendOutcome> {
    return new Promise(resolve => this.#send({ image, wanted, resolve, losses: 0 }));
  }

  /** Ends the threads once they have finished what they have in hand. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const { worker } of this.#members) worker.postMessage({ type: 'end' } satisfies ToThread);
    await Promise.all(this.#members.map(member => member.exited));
  }

  #send(request: Request): void {
    if (this.#members.length === 0) {
      this.#stranded.push(request);
      return;
    }
    const member = this.#members.reduce((a, b) => (b.requests.size < a.requests.size ? b : a));
    const id = this.#nextId++;
    member.requests.set(id, request);
    const { image, wanted } = request;
    member.worker.postMessage({ type: 'defend', id, image, wanted } satisfies ToThread);
  }

  #watch(member: Member): void {
    let cause: unknown;
    member.worker.on('message', (message: FromThread) => {
      if (message.type !== 'outcome') return;
      const request = member.requests.get(message.id);
      member.requests.delete(message.id);
      request?.resolve(message.outcome);
    });
    member.worker.on('error', error => {
      cause = error;
    });
    member.worker.on('exit', () => {
      if (!this.#closing || member.requests.size > 0) void this.#replace(member, cause);
    });
  }

  /** A thread died. Its images are handed on one after the other, so that the one that killed it is found out. */
  async #replace(dead: Member, cause: unknown): Promise<void> {
    const reason = cause instanceof Error ? cause.message : 'it ended without an error';
    const requests = [...dead.requests.values()];
    this.#members.splice(this.#members.indexOf(dead), 1);
    try {
      const { member } = await startThread(this.#spec);
      this.#members.push(member);
      this.#watch(member);
    } catch (error) {
      const message = `A worker thread died (${reason}) and none could be started: ${(error as Error).message}`;
      const given = this.#members.length === 0 ? this.#stranded.splice(0) : [];
      for (const request of [...requests, ...given]) request.resolve(lost(request.image, message));
      return;
    }
    for (const request of this.#stranded.splice(0)) this.#send(request);
    for (const request of requests) {
      request.losses++;
      if (request.losses >= MAXIMUM_LOSSES) {
        request.resolve(lost(request.image, `The worker thread died twice with this image in hand: ${reason}`));
        continue;
      }
      await new Promise<void>(done => {
        const { resolve } = request;
        this.#send({
          ...request,
          resolve: outcome => {
            resolve(outcome);
            done();
          },
        });
      });
    }
  }
}

async function startThread(spec: EngineSpec): Promise<{ member: Member; info: EngineInfo }> {
  const worker = new Worker(new URL('../workers/defend-thread.js', import.meta.url), { workerData: spec });
  const exited = new Promise<void>(resolve => worker.once('exit', () => resolve()));
  const info = await new Promise<EngineInfo>((resolve, reject) => {
    const onError = (error: unknown) =>
      reject(
        new DeflectorError('WORKER_LOST', `A worker thread did not start: ${(error as Error).message}`, {
          cause: error,
        }),
      );
    const onExit = () => onError(new Error('it ended at once'));
    worker.once('error', onError);
    worker.once('exit', onExit);
    worker.once('message', (message: FromThread) => {
      worker.off('error', onError);
      worker.off('exit', onExit);
      if (message.type === 'ready') resolve(message.info);
      else if (message.type === 'failed') reject(new DeflectorError(message.code, message.message));
    });
  });
  return { member: { worker, requests: new Map(), exited }, info };
}

function lost(image: FetchedImage, message: string): DefendOutcome {
  const { key, sha256, ms } = image;
  return {
    verdict: {
      schema: 'deflector/verdict@1',
      key,
      sha256,
      status: 'error',
      error: { code: 'WORKER_LOST', message, retryable: true },
      ms,
    },
    passes: 0,
  };
}
