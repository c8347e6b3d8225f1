/** Port: told how the work of the stages goes on, for metrics and traces. It must not throw, and costs next to nothing. */
import type { ErrorCode } from '../errors.js';
import type { Device, ModelIdentity, Verdict, VerdictError } from '../types.js';

export type StageName = 'fetch' | 'defend' | 'publish';

/** One call of the model. */
export interface ModelCall {
  /** When it began; milliseconds since 1970. */
  readonly at: number;
  readonly ms: number;
  /** Images and runs in the batch. */
  readonly images: number;
}

/** What carries a trace from process to process: the value of a W3C `traceparent`. */
export type TraceParent = string;

export interface StageObserver {
  /** Images enter a stage. @returns to be called once, when they have left it, however they did */
  entered(stage: StageName, images: number): () => void;
  /** An image passed the fetch stage, or became an error verdict there. */
  fetched(image: FetchEnd, trace?: TraceParent): void;
  /** An image got its verdict. */
  defended(outcome: DefendEnd, trace?: TraceParent): void;
  /** What executes a model was made live. */
  modelLive(engine: LiveModel, threads: number): void;
  /** @param trace of one of the images that the calls served */
  modelCalled(engine: LiveModel, calls: readonly ModelCall[], trace?: TraceParent): void;
  /** A thread died and is replaced. */
  threadLost(): void;
  /** Verdicts are durable, and were not before. */
  published(publication: Publication): void;
  /** A stage finished a chunk. */
  chunkDone(stage: StageName): void;
  /** A chunk came from a worker that was lost with it in hand. */
  workerLost(stage: StageName): void;
  /** A chunk failed and will be tried again. */
  retried(stage: StageName, code: ErrorCode): void;
  /** A dead letter was written. */
  gaveUp(stage: StageName, code: ErrorCode): void;
}

export interface LiveModel {
  readonly model: ModelIdentity;
  readonly runtime: string;
  /** The GPU that computes it; absent on the CPU. */
  readonly device?: Device | undefined;
}

/** How the fetch stage ended for an image. */
export interface FetchEnd {
  readonly key: string;
  readonly ms: { readonly fetch: number; readonly decode: number };
  readonly error?: VerdictError;
}

/** How the defend stage ended for an image. */
export interface DefendEnd {
  readonly verdict: Verdict;
  /** Forward passes that it took. */
  readonly passes: number;
}

export interface Publication {
  readonly verdicts: readonly Verdict[];
  /** Milliseconds that publishing them took. */
  readonly ms: number;
  /** When their chunk was queued, milliseconds since 1970; absent where that is not known. */
  readonly since?: number | undefined;
  readonly trace?: TraceParent | undefined;
}

const nothing = (): void => undefined;

/** Tells nobody. */
export const SILENT: StageObserver = Object.freeze({
  entered: () => nothing,
  fetched: nothing,
  defended: nothing,
  modelLive: nothing,
  modelCalled: nothing,
  threadLost: nothing,
  published: nothing,
  chunkDone: nothing,
  workerLost: nothing,
  retried: nothing,
  gaveUp: nothing,
});
