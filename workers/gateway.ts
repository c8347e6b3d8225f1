/**
 * The process of the ingest gateway.
 *
 *     starting ──▶ listening ──SIGTERM, SIGINT──▶ closing (requests under way are answered) ──▶ ended
 */
import { Queue } from 'bullmq';
import type { FastifyBaseLogger } from 'fastify';
import { JobStream, type StreamPorts } from '../pipelines/stream.js';
import type { ResolvedOptions } from '../src/config/settings.js';
import { DeflectorError, invalid } from '../src/errors.js';
import { Authentication } from '../src/gateway/authentication.js';
import { PooledDefence } from '../src/gateway/direct-defence.js';
import { createGateway, type GatewayPorts } from '../src/gateway/gateway.js';
import { type ImageStream, Intake, storesOf } from '../src/gateway/intake.js';
import { redisMemory } from '../src/gateway/memory.js';
import { mountQueueBoard } from '../src/gateway/queue-board.js';
import { Reconciliation } from '../src/gateway/reconciliation.js';
import { readVerdictsOf } from '../src/jobs/chunk-files.js';
import { STAGE_QUEUES } from '../src/jobs/chunk-task.js';
import { JobRecords } from '../src/jobs/job-records.js';
import { SeenObjects } from '../src/jobs/seen-objects.js';
import { closeStageQueues, openStageQueues } from '../src/jobs/stage-queues.js';
import type { Lane } from '../src/queue/queue.js';
import { connectRedis } from '../src/queue/redis.js';
import { storeOpener } from '../src/storage/open-store.js';
import { asFolder, parseS3Address, type S3Address } from '../src/storage/s3-address.js';
import { S3Connection } from '../src/storage/s3-connection.js';
import { readDeployment } from '../src/telemetry/deployment.js';
import { Health } from '../src/telemetry/health.js';
import { Metrics } from '../src/telemetry/metrics.js';
import { redisCheck } from '../src/telemetry/redis-check.js';

export interface GatewayOrder {
  /** Folder for chunks and verdicts, or s3://bucket/prefix; needed where images may be taken from S3. */
  readonly out: string | undefined;
  readonly options: ResolvedOptions;
}

/**
 * Listens until `stop` is aborted, and then ends in order.
 *
 * @param ready is told the address once requests are answered
 * @throws DeflectorError SETTINGS_INVALID, QUEUE_UNAVAILABLE, QUEUE_UNSUITABLE; of the model and the destination
 */
export async function runGateway(
  order: GatewayOrder,
  logger: FastifyBaseLogger,
  ready: (address: string) => void,
  stop: AbortSignal,
): Promise<void> {
  const { options } = order;
  const { host, port } = listenAt(options);
  const redis = await connectRedis(options, 'bounded');
  const s3 = new S3Connection(options);
  const closing: (() => Promise<unknown>)[] = [() => redis.close(), () => s3.close()];
  try {
    const queues = await openStageQueues(redis);
    closing.push(() => closeStageQueues(queues));
    const records = new JobRecords(redis);
    const seen = new SeenObjects(redis, options.remember);
    const allowed = options.allow.map(text => asFolder(parseS3Address(text)!));
    const intakeOf = async (name: string, lane: Lane): Promise<Intake> => {
      const stream = await openStream(order, allowed, name, lane, { records, queues, s3 });
      if (stream !== undefined) closing.push(() => stream.close());
      return new Intake(allowed, stream ?? NO_STREAM, seen);
    };
    const intake = await intakeOf('ingest', 'online');
    const list = (address: S3Address) => s3.open(address, allowed).list();
    const reconciliation = new Reconciliation({ intake: await intakeOf('reconcile', 'bulk'), seen, list });
    closing.push(() => reconciliation.close());
    const direct = new PooledDefence(options);
    closing.push(() => direct.close());
    const boards = STAGE_QUEUES.map(name => new Queue(name, { connection: redis.client, prefix: redis.prefix }));
    for (const board of boards) {
      board.on('error', () => undefined);
      closing.push(() => board.close());
    }
    const openStore = storeOpener(s3);
    const health = new Health();
    health.addReadiness('queue', redisCheck(redis));
    const memory = redisMemory(redis);
    const ports: GatewayPorts = {
      authentication: new Authentication(options, memory),
      memory,
      intake,
      reconciliation,
      direct,
      jobs: {
        get: name => records.get(name),
        list: () => records.list(),
        progress: job => records.progress(job),
        isDone: (job, chunk) => records.isDone(job, chunk),
        verdictsOf: (job, chunk) => readVerdictsOf(openStore(job.out), chunk),
      },
      telemetry: { metrics: await Metrics.create([], () => readDeployment(redis)), health },
      mount: app => mountQueueBoard(app, boards),
    };
    const app = await createGateway(ports, { ...options, logger });
    closing.push(() => app.close());
    ready(await app.listen({ host, port }));
    const again = repeatedly(options.reconcile, () => reconciliation.start());
    await aborted(stop);
    health.addReadiness('state', () => 'closing');
    clearInterval(again);
  } finally {
    // What one part cannot do any more, Redis being away for one, keeps none of the others.
    for (const close of closing.reverse()) await close().catch(() => undefined);
  }
}

/** For a gateway that takes nothing in but single images. */
const NO_STREAM: ImageStream = {
  isFull: async () => true,
  append: async () => {
    throw new DeflectorError('STORE_DENIED', 'This gateway takes no images from stores');
  },
};

async function openStream(
  { out, options }: GatewayOrder,
  allowed: readonly S3Address[],
  name: string,
  lane: Lane,
  ports: StreamPorts,
): Promise<JobStream | undefined> {
  if (allowed.length === 0) return undefined;
  if (out === undefined) throw invalid('--out', 'a folder for chunks and verdicts together with --allow', 'none');
  return JobStream.open({ name, lane, inputs: options.allow, stores: storesOf(allowed), out, options }, ports);
}

/** @throws DeflectorError SETTINGS_INVALID where everybody could come in from elsewhere */
function listenAt({ listen, tokens, hmacKeys }: ResolvedOptions): { host: string; port: number } {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(listen) ?? [];
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  const own = bare === 'localhost' || bare === '::1' || /^127\./.test(bare);
  if (!own && tokens.length === 0 && hmacKeys.length === 0) {
    throw invalid('--listen', 'an address of this machine only (127.0.0.1:PORT), or --tokens or --hmac-keys', listen);
  }
  return { host: bare, port: Number(port) };
}

function repeatedly(seconds: number, work: () => void): NodeJS.Timeout | undefined {
  if (seconds === 0) return undefined;
  work();
  return setInterval(work, seconds * 1000);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
