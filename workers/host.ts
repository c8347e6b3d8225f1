/**
 * The process of a worker.
 *
 *     starting ──▶ working ──SIGTERM, SIGINT──▶ draining ──▶ ended
 *
 * While it drains it takes nothing new, finishes what it has in hand within the limit, and hands the rest back.
 */
import type { ResolvedOptions } from '../src/config/settings.js';
import { type ChunkPayload, STAGE_QUEUES, type StageQueue } from '../src/jobs/chunk-task.js';
import { JobRecords } from '../src/jobs/job-records.js';
import { openBullQueue } from '../src/queue/bull-queue.js';
import { connectRedis } from '../src/queue/redis.js';
import type { StageName } from '../src/stages/observer.js';
import { storeOpener } from '../src/storage/open-store.js';
import { S3Connection } from '../src/storage/s3-connection.js';
import { startTelemetry, type Telemetry } from '../src/telemetry/telemetry.js';
import { type GiveUp, startDefendWorker } from './defend-worker.js';
import { startJanitor } from './janitor.js';
import { startPublishWorker } from './publish-worker.js';
import type { StagePorts, StageWorker } from './stage.js';
import { StoreWatch } from './store-watch.js';

/** Stages that a worker can be started for. */
export type WorkerStage = 'all' | StageQueue;

/**
 * Works until `stop` is aborted, and then drains.
 *
 * @param ready is called when the worker takes chunks
 * @throws DeflectorError QUEUE_UNAVAILABLE, QUEUE_UNSUITABLE
 */
export async function runWorker(
  stage: WorkerStage,
  options: ResolvedOptions,
  log: (line: string) => void,
  giveUp: GiveUp,
  ready: () => void,
  stop: AbortSignal,
): Promise<void> {
  const redis = await connectRedis(options, 'endless');
  const s3 = new S3Connection(options);
  let telemetry: Telemetry | undefined;
  try {
    telemetry = await startTelemetry(options, stagesOf(stage), redis);
    if (telemetry.url !== undefined) log(`Metrics and health at ${telemetry.url}`);
    const defend = await openBullQueue<ChunkPayload>('defend', redis);
    const publish = await openBullQueue<ChunkPayload>('publish', redis);
    const stores = new StoreWatch(storeOpener(s3));
    telemetry.health.addReadiness('store', () => stores.fault());
    const ports: StagePorts = {
      records: new JobRecords(redis),
      queues: { defend, publish },
      openStore: stores.opener,
      observer: telemetry.observer,
      health: telemetry.health,
      log,
    };
    const starting = telemetry.health.addReadiness('state', () => 'starting');
    const workers: StageWorker[] = [];
    if (stage !== 'publish') workers.push(await startDefendWorker(ports, options, giveUp));
    if (stage !== 'defend') workers.push(await startPublishWorker(ports, options));
    const janitor = startJanitor(ports, options.lock * 1000);
    starting();
    ready();
    await aborted(stop);
    telemetry.drain();
    await janitor.stop();
    await Promise.all(workers.map(worker => worker.close(options.drain * 1000)));
    await Promise.all([defend.close(), publish.close()]);
  } finally {
    await telemetry?.close();
    await s3.close();
    await redis.close();
  }
}

/** What a process does that takes from the queue of a stage; who defends fetches too. */
function stagesOf(stage: WorkerStage): readonly StageName[] {
  const taken = stage === 'all' ? STAGE_QUEUES : [stage];
  return taken.flatMap(queue => (queue === 'defend' ? ['fetch', 'defend'] : [queue]));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
