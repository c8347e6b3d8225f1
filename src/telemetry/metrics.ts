/** Counts what the stages tell of their work. */
import { ERROR_CATALOGUE, type ErrorCode } from '../errors.js';
import type {
  DefendEnd,
  FetchEnd,
  LiveModel,
  ModelCall,
  Publication,
  StageName,
  StageObserver,
  TraceParent,
} from '../stages/observer.js';
import type { Label, VerdictError } from '../types.js';
import { VERSION } from '../version.js';
import { LABELLED_CLASSES, LABELLED_MODELS, OTHER } from './catalogue.js';
import type { DeploymentState } from './deployment.js';
import { type Exposition, type ExpositionFormat, expose } from './exposition.js';
import { createInstruments, type Instruments, type LiveMetrics } from './instruments.js';

/** Reads what all processes of a deployment see alike; rejects where Redis does not answer. */
export type ReadDeployment = () => Promise<DeploymentState>;

/** Milliseconds that a scrape waits for Redis. */
const REDIS_PATIENCE_MS = 2000;

/** Codes that a dead letter or a repeated try can have: those of the surroundings. */
const FAULTS = (Object.keys(ERROR_CATALOGUE) as ErrorCode[]).filter(code =>
  ['retryable', 'service'].includes(ERROR_CATALOGUE[code].kind),
);

export class Metrics implements StageObserver {
  readonly #live: LiveMetrics;
  readonly #is: Instruments;
  readonly #deployment: ReadDeployment | undefined;
  readonly #models = new Set<string>();
  #reading: Promise<DeploymentState> | undefined;

  private constructor(live: LiveMetrics, stages: readonly StageName[], deployment: ReadDeployment | undefined) {
    this.#live = live;
    this.#is = live.instruments;
    this.#deployment = deployment;
    this.#is.buildInfo.set({ version: VERSION, node: process.versions.node }, 1);
    this.#is.draining.set({}, 0);
    for (const stage of stages) this.#begin(stage);
  }

  /**
   * @param stages that this process carries out
   * @param deployment left out where there is no Redis
   */
  static async create(stages: readonly StageName[], deployment?: ReadDeployment): Promise<Metrics> {
    return new Metrics(await createInstruments(), stages, deployment);
  }

  /** All metrics as text. */
  async expose(format: ExpositionFormat): Promise<Exposition> {
    await this.#readDeployment();
    return expose(this.#live.registry, format);
  }

  set draining(draining: boolean) {
    this.#is.draining.set({}, draining ? 1 : 0);
  }

  entered(stage: StageName, images: number): () => void {
    this.#is.inFlight.add({ stage }, images);
    return () => this.#is.inFlight.add({ stage }, -images);
  }

  fetched({ ms, error }: FetchEnd, trace?: TraceParent): void {
    const id = traceIdOf(trace);
    this.#left('fetch', 1, error, id);
    this.#is.stageSeconds.observe({ stage: 'fetch' }, seconds(ms.fetch), id);
    if (ms.decode > 0) this.#is.stageSeconds.observe({ stage: 'decode' }, seconds(ms.decode), id);
  }

  defended({ verdict, passes }: DefendEnd, trace?: TraceParent): void {
    const id = traceIdOf(trace);
    this.#left('defend', 1, verdict.status === 'error' ? verdict.error : undefined, id);
    const { defend } = verdict.ms;
    if (defend !== undefined) this.#is.stageSeconds.observe({ stage: 'defend' }, seconds(defend), id);
    if (passes > 0) this.#is.runs.add({ kind: 'undefended' });
    if (passes > 1) this.#is.runs.add({ kind: 'defended' }, passes - 1);
    if (verdict.status === 'ok' && verdict.runs > verdict.runsExecuted) {
      this.#is.runs.add({ kind: 'spared' }, verdict.runs - verdict.runsExecuted);
    }
  }

  modelLive({ model, runtime, device }: LiveModel, threads: number): void {
    this.#is.modelInfo.set({ model: this.#modelLabel(model.name), sha256: model.sha256, runtime }, 1);
    this.#is.gpuInUse.set({ runtime }, device === undefined ? 0 : 1);
    this.#is.threads.set({ stage: 'defend' }, threads);
    if (device === undefined) return;
    const gpu = String(device.index);
    this.#is.gpuInfo.set({ gpu, gpu_name: device.name ?? '', driver: device.driver ?? '', runtime }, 1);
    if (device.memory !== undefined) this.#is.gpuMemory.set({ gpu }, device.memory);
    this.#is.gpuProbe.set({ gpu, model: this.#modelLabel(model.name) }, seconds(device.ms));
  }

  modelCalled({ model, runtime }: LiveModel, calls: readonly ModelCall[]): void {
    const labels = { model: this.#modelLabel(model.name), runtime };
    for (const { ms, images } of calls) {
      this.#is.inferenceSeconds.observe(labels, seconds(ms));
      this.#is.batchSize.observe({ stage: 'defend' }, images);
    }
  }

  threadLost(): void {
    this.#is.threadRestarts.add({});
  }

  published({ verdicts, ms, since, trace }: Publication): void {
    const id = traceIdOf(trace);
    const age = since === undefined ? undefined : Math.max(0, seconds(Date.now() - since));
    for (const verdict of verdicts) {
      this.#left('publish', 1, verdict.status === 'error' ? verdict.error : undefined, undefined, false);
      if (age !== undefined) this.#is.endToEndSeconds.observe({}, age, id);
      if (verdict.status === 'error') continue;
      const model = this.#modelLabel(verdict.model.name);
      this.#is.agreement.observe({}, verdict.agreement);
      this.#is.labels.add({ model, label: labelOf(verdict.label) });
      this.#is.suspicious.add({ model }, verdict.suspicious ? 1 : 0);
    }
    this.#is.batchSize.observe({ stage: 'publish' }, verdicts.length);
    this.#is.stageSeconds.observe({ stage: 'publish' }, seconds(ms), id);
  }

  chunkDone(stage: StageName): void {
    this.#is.chunks.add({ stage });
  }

  workerLost(stage: StageName): void {
    this.#is.losses.add({ stage });
  }

  retried(stage: StageName, code: ErrorCode): void {
    this.#is.retries.add({ stage, code });
  }

  gaveUp(stage: StageName, code: ErrorCode): void {
    this.#is.dead.add({ stage, code });
  }

  /** What is counted from 0 is there before it happens: `increase` does not see the step from nothing to 1. */
  #begin(stage: StageName): void {
    for (const outcome of ['ok', 'error']) this.#is.images.add({ stage, outcome }, 0);
    for (const code of FAULTS) {
      this.#is.dead.add({ stage, code }, 0);
      this.#is.retries.add({ stage, code }, 0);
    }
    this.#is.chunks.add({ stage }, 0);
    this.#is.losses.add({ stage }, 0);
    this.#is.inFlight.set({ stage }, 0);
    this.#is.lastProgress.set({ stage }, Date.now() / 1000);
    if (stage === 'defend') for (const kind of ['undefended', 'defended', 'spared']) this.#is.runs.add({ kind }, 0);
  }

  #left(stage: StageName, images: number, error: VerdictError | undefined, trace?: string, byCode = true): void {
    this.#is.images.add({ stage, outcome: error === undefined ? 'ok' : 'error' }, images);
    if (error !== undefined && byCode) this.#is.imageErrors.add({ stage, code: error.code }, 1, trace);
    this.#is.lastProgress.set({ stage }, Date.now() / 1000);
  }

  #modelLabel(name: string): string {
    if (!this.#models.has(name) && this.#models.size >= LABELLED_MODELS) return OTHER;
    this.#models.add(name);
    return name;
  }

  async #readDeployment(): Promise<void> {
    const read = this.#deployment;
    if (read === undefined) return;
    // A read that waits for Redis to come back is waited for, not repeated.
    this.#reading ??= read().finally(() => {
      this.#reading = undefined;
    });
    const state = await within(this.#reading, REDIS_PATIENCE_MS);
    for (const one of [this.#is.queueDepth, this.#is.queueOldest, this.#is.jobChunks, this.#is.jobImages]) one.reset();
    for (const one of [this.#is.redisMemoryUsed, this.#is.redisMemoryLimit, this.#is.redisPolicy]) one.reset();
    this.#is.redisUp.set({}, state === undefined ? 0 : 1);
    if (state !== undefined) this.#setDeployment(state);
  }

  #setDeployment({ queues, redis, jobs }: DeploymentState): void {
    for (const { queue, depth, oldest } of queues) {
      for (const [state, chunks] of Object.entries(depth)) this.#is.queueDepth.set({ queue, state }, chunks);
      this.#is.queueOldest.set({ queue }, oldest);
    }
    this.#is.redisMemoryUsed.set({}, redis.memoryUsed);
    if (redis.memoryLimit > 0) this.#is.redisMemoryLimit.set({}, redis.memoryLimit);
    if (redis.policy !== '') this.#is.redisPolicy.set({ policy: redis.policy }, 1);
    this.#is.redisEvicted.set({}, redis.evictedKeys);
    this.#is.redisUptime.set({}, redis.uptime);
    for (const { job, chunks, images } of jobs) {
      for (const [state, count] of Object.entries(chunks)) this.#is.jobChunks.set({ job_name: job, state }, count);
      for (const [state, count] of Object.entries(images)) this.#is.jobImages.set({ job_name: job, state }, count);
    }
  }
}

function seconds(ms: number): number {
  return ms / 1000;
}

/** By the index, so that all processes bound it alike. */
function labelOf({ index, name }: Label): string {
  if (index >= LABELLED_CLASSES) return OTHER;
  return name === String(index) ? name : `${name} (${index})`;
}

/** The trace id of a `traceparent`, where the trace is recorded (W3C Trace Context, section 3.2). */
function traceIdOf(trace: TraceParent | undefined): string | undefined {
  const [, id, , flags] = trace?.split('-') ?? [];
  return id !== undefined && (Number.parseInt(flags ?? '', 16) & 1) === 1 ? id : undefined;
}

async function within<T>(promise: Promise<T>, patience: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>(resolve => {
    timer = setTimeout(() => resolve(undefined), patience);
  });
  try {
    return await Promise.race([promise.catch(() => undefined), late]);
  } finally {
    clearTimeout(timer);
  }
}
