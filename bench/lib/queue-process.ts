/**
 * One process of the distributed pipeline, told by messages what to do, so that what it has compiled and opened serves
 * more than one job:
 *
 *     produce   lists a manifest into the queue, as `deflector enqueue` does
 *     free      worker of the stages defend and publish, with images in memory and a classifier that costs nothing
 *     worker    `deflector worker all`
 *     embedded  `deflector run`
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type JobOrder, produce } from '../../pipelines/producer.js';
import { runtimeVersions } from '../../pipelines/versions.js';
import { defenceRecord, type ResolvedOptions, resolveSettings, type UserOptions } from '../../src/config/settings.js';
import type { Job } from '../../src/jobs/job.js';
import { JobRecords } from '../../src/jobs/job-records.js';
import { PackRegister } from '../../src/jobs/pack-register.js';
import { closeStageQueues, openStageQueues } from '../../src/jobs/stage-queues.js';
import { connectRedis } from '../../src/queue/redis.js';
import { systemClock } from '../../src/stages/common.js';
import type { DefendOutcome } from '../../src/stages/defend.js';
import { SILENT } from '../../src/stages/observer.js';
import { folderOpener, storeOpener } from '../../src/storage/open-store.js';
import { S3Connection } from '../../src/storage/s3-connection.js';
import { Health } from '../../src/telemetry/health.js';
import { type Log, openLog } from '../../src/telemetry/log.js';
import { UNTRACED } from '../../src/telemetry/tracer.js';
import { type FetchedImage, type ObjectStore, VERDICT_SCHEMA } from '../../src/types.js';
import { startDefendWorker } from '../../workers/defend-worker.js';
import { runWorker } from '../../workers/host.js';
import type { Engines, JobEngine } from '../../workers/job-engine.js';
import { startPublishWorker } from '../../workers/publish-worker.js';
import type { StagePorts } from '../../workers/stage.js';
import { type MeasuredJob, measureJob } from './job.js';

/** What a process may be started for. */
export type Role = 'produce' | 'free' | 'worker' | 'embedded';

/** A job, for `produce` and `embedded`. */
export interface Errand {
  readonly name: string;
  readonly input: string;
  readonly out: string;
  readonly images: number;
}

/** What an errand took. */
export interface Produced {
  readonly seconds: number;
  /** Most memory that was resident in each quarter of the job, in MiB. */
  readonly residentMiB: readonly number[];
}

type Order = { readonly errand: Errand } | 'usage' | 'end';

/** A process of the pipeline. */
export interface PipelineProcess {
  produce(errand: Errand): Promise<Produced>;
  embedded(errand: Errand): Promise<Pick<MeasuredJob, 'seconds' | 'cpuSeconds'>>;
  /** Processor time so far, in seconds. */
  cpuSeconds(): Promise<number>;
  /** Asks it to end, and waits. */
  end(): Promise<void>;
}

/** @param flags settings as the command line takes them */
export async function startProcess(role: Role, flags: UserOptions): Promise<PipelineProcess> {
  const child = fork(fileURLToPath(import.meta.url), [role, JSON.stringify(flags)]);
  const ended = once(child, 'exit');
  const answer = async (): Promise<unknown> => {
    const [first] = await Promise.race([once(child, 'message'), ended.then(() => [undefined])]);
    if (first === undefined) throw new Error(`the process "${role}" ended with code ${child.exitCode}`);
    return first;
  };
  const ask = (order: Order) => {
    child.send(order);
    return answer();
  };
  await answer();
  return {
    produce: async errand => (await ask({ errand })) as Produced,
    embedded: async errand => (await ask({ errand })) as MeasuredJob,
    cpuSeconds: async () => (await ask('usage')) as number,
    end: async () => {
      child.send('end' satisfies Order);
      await ended;
    },
  };
}

/** Serves orders until the one to end. */
async function serve(execute: (errand: Errand) => Promise<unknown>): Promise<void> {
  const tell = (message: unknown) => process.send!(message);
  tell('ready');
  await new Promise<void>((resolve, reject) => {
    process.on('message', (order: Order) => {
      if (order === 'end') resolve();
      else if (order === 'usage') tell(cpuSeconds());
      else execute(order.errand).then(tell, reject);
    });
  });
  process.disconnect();
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Only a worker is asked for nothing but its usage. */
function nothing(): Promise<never> {
  throw new Error('a worker takes its work from the queue');
}

async function serveProducer(options: ResolvedOptions): Promise<void> {
  const redis = await connectRedis(options, 'bounded');
  const s3 = new S3Connection(options);
  const queues = await openStageQueues(redis);
  const ports = { records: new JobRecords(redis), queues, s3 };
  await serve(async ({ name, input, out, images }): Promise<Produced> => {
    const residentMiB = [0, 0, 0, 0];
    const named = (count: number) => {
      const quarter = Math.min(3, Math.floor((4 * count) / images));
      residentMiB[quarter] = Math.max(residentMiB[quarter]!, process.memoryUsage.rss() / 2 ** 20);
    };
    const order: JobOrder = { name, inputs: [input], out, options };
    const start = performance.now();
    await produce(order, ports, named, new AbortController().signal);
    return { seconds: (performance.now() - start) / 1000, residentMiB };
  });
  await closeStageQueues(queues);
  await s3.close();
  await redis.close();
}

async function serveFreeWorker(options: ResolvedOptions, log: Log): Promise<void> {
  const redis = await connectRedis(options, 'endless');
  const s3 = new S3Connection(options);
  const queues = await openStageQueues(redis);
  const ports: StagePorts = {
    records: new JobRecords(redis),
    queues,
    packs: new PackRegister(redis),
    openStore: storeOpener(s3),
    openFolder: folderOpener(s3),
    observer: SILENT,
    health: new Health(),
    tracer: UNTRACED,
    log,
  };
  const workers = [
    await startDefendWorker(ports, options, fail, freeEngines(options)),
    await startPublishWorker(ports, options),
  ];
  await serve(nothing);
  await Promise.all(workers.map(worker => worker.close(options.drain * 1000)));
  await closeStageQueues(queues);
  await s3.close();
  await redis.close();
}

function fail(message: string): void {
  throw new Error(message);
}

/** Engines that read every image from memory, decode nothing and know the answer. */
function freeEngines(options: ResolvedOptions): Engines {
  const bytes = new Uint8Array(1024);
  const pixels = { width: 1, height: 1, data: new Uint8Array(3) };
  const memory: ObjectStore = {
    url: 'memory:',
    read: async () => bytes,
    async *list() {},
    write: async () => undefined,
    delete: async () => undefined,
  };
  const defence = defenceRecord(options);
  const defend = async ({ key, sha256, ms }: FetchedImage, job: Job): Promise<DefendOutcome> => {
    const label = { index: 281, id: 'n02123045', name: 'tabby' };
    return {
      verdict: {
        schema: VERDICT_SCHEMA,
        key,
        sha256,
        status: 'ok',
        label,
        votes: [{ index: label.index, count: 6 }],
        runs: 10,
        runsExecuted: 6,
        agreement: 1,
        probability: 0.812345,
        undefended: { ...label, probability: 0.798765 },
        suspicious: false,
        seed: '1',
        model: job.model,
        defence,
        ms: { ...ms, defend: 0 },
      },
      passes: 0,
    };
  };
  const engineOf = (job: Job): JobEngine => ({
    options,
    pool: { defend: image => defend(image, job) },
    ports: { stores: [memory], decode: async () => pixels, clock: systemClock },
    defender: { runtime: 'none', threads: 0, versions: runtimeVersions() },
  });
  const known = new Map<string, JobEngine>();
  return {
    fault: undefined,
    stuck: () => undefined,
    open: async job => {
      const engine = known.get(job.id) ?? engineOf(job);
      known.set(job.id, engine);
      return engine;
    },
    close: async () => undefined,
  };
}

async function serveWorker(options: ResolvedOptions, log: Log): Promise<void> {
  const stop = new AbortController();
  let over: Promise<void> = Promise.resolve();
  await new Promise<void>((resolve, reject) => {
    over = runWorker('all', options, log, fail, resolve, stop.signal);
    over.catch(reject);
  });
  await serve(nothing);
  stop.abort();
  await over;
}

async function main(role: Role, flags: UserOptions): Promise<void> {
  const options = resolveSettings({ flags });
  const { log, close } = await openLog('warn', []);
  if (role === 'produce') await serveProducer(options);
  else if (role === 'free') await serveFreeWorker(options, log);
  else if (role === 'worker') await serveWorker(options, log);
  else {
    await serve(async ({ input, out }) => {
      const { seconds, cpuSeconds } = await measureJob(input, out, flags);
      return { seconds, cpuSeconds };
    });
  }
  close();
}

const [, entry, role, flags] = process.argv;
if (entry === fileURLToPath(import.meta.url)) await main(role as Role, JSON.parse(flags!));
