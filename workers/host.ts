/**
 * The process of a worker.
 *
 *     starting ──▶ working ──SIGTERM, SIGINT──▶ draining ──▶ ended
 *
 * While it drains it takes nothing new, finishes what it has in hand within the limit, and hands the rest back.
 */
import type { ResolvedOptions } from '../src/config/settings.js';
import { STAGE_QUEUES, type StageQueue } from '../src/jobs/chunk-task.js';
import { JobRecords } from '../src/jobs/job-records.js';
import { PackRegister } from '../src/jobs/pack-register.js';
import { closeStageQueues, openStageQueues } from '../src/jobs/stage-queues.js';
import { connectRedis } from '../src/queue/redis.js';
import { openSinks } from '../src/sinks/open-sinks.js';
import type { StageName } from '../src/stages/observer.js';
import { folderOpener, storeOpener } from '../src/storage/open-store.js';
import { S3Connection } from '../src/storage/s3-connection.js';
import type { Log } from '../src/telemetry/log.js';
import { startTelemetry, type Telemetry } from '../src/telemetry/telemetry.js';
import { openTracer } from '../src/telemetry/tracer.js';
import { startDefendWorker } from './defend-worker.js';
import { startFetchWorker } from './fetch-worker.js';
import { startJanitor } from './janitor.js';
import { proveRuntime } from './prove-runtime.js';
import { startPublishWorker } from './publish-worker.js';
import type { GiveUp, StagePorts, StageWorker } from './stage.js';
import { StoreWatch } from './store-watch.js';

/** Stages that a worker can be started for. */
export type WorkerStage = 'all' | StageQueue;

/**
 * Works until `stop` is aborted, and then drains.
 *
 * @param ready is called when the worker takes chunks
 * @throws DeflectorError QUEUE_UNAVAILABLE, QUEUE_UNSUITABLE; RUNTIME_UNAVAILABLE where it was started for a runtime that does
 *   not work here
 */
export async function runWorker(
  stage: WorkerStage,
  options: ResolvedOptions,
  log: Log,
  giveUp: GiveUp,
  ready: () => void,
  stop: AbortSignal,
): Promise<void> {
  const tracer = await openTracer(process.env, trouble => log.warn({ error: trouble }, 'Trouble with traces'));
  const redis = await connectRedis(options, 'endless');
  const s3 = new S3Connection(options);
  let telemetry: Telemetry | undefined;
  try {
    telemetry = await startTelemetry(options, stagesOf(stage), { redis, tracer });
    if (telemetry.url !== undefined) log.info(`Metrics and health at ${telemetry.url}`);
    const queues = await openStageQueues(redis);
    const stores = new StoreWatch(storeOpener(s3));
    telemetry.health.addReadiness('store', () => stores.fault());
    const ports: StagePorts = {
      records: new JobRecords(redis),
      queues,
      packs: new PackRegister(redis),
      openStore: stores.opener,
      openFolder: folderOpener(s3),
      observer: telemetry.observer,
      health: telemetry.health,
      tracer,
      log,
    };
    const starting = telemetry.health.addReadiness('state', () => 'starting');
    const sinks = stage === 'publish' || stage === 'all' ? await openSinks(options, { redis, s3 }) : [];
    const workers: StageWorker[] = [];
    const wants = (one: StageQueue) => stage === one || stage === 'all';
    if (wants('defend')) await proveRuntime(options, ports);
    if (wants('fetch')) workers.push(await startFetchWorker(ports, options, giveUp));
    if (wants('defend')) workers.push(await startDefendWorker(ports, options, giveUp));
    if (wants('publish')) workers.push(await startPublishWorker(ports, options, sinks));
    const janitor = startJanitor(ports, options.lock * 1000, options.scratchExpiry * 3_600_000);
    starting();
    ready();
    await aborted(stop);
    telemetry.drain();
    await janitor.stop();
    await Promise.all(workers.map(worker => worker.close(options.drain * 1000)));
    await Promise.all(sinks.map(sink => sink.close()));
    await closeStageQueues(queues);
  } finally {
    await telemetry?.close();
    await tracer.close();
    await s3.close();
    await redis.close();
  }
}

/** What a process does that takes from the queue of a stage; who defends also fetches, for jobs whose stages are fused. */
function stagesOf(stage: WorkerStage): readonly StageName[] {
  if (stage === 'all') return STAGE_QUEUES;
  return stage === 'defend' ? ['fetch', 'defend'] : [stage];
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
