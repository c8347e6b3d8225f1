/** A distributed pipeline as it is deployed: a real Redis, worker processes, and the command line. */
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobProgress } from '../../src/jobs/job.js';
import { JobRecords } from '../../src/jobs/job-records.js';
import { connectRedis } from '../../src/queue/redis.js';
import { deflector, type Outcome, type ServiceProcess, startService } from './cli.js';
import { temporaryFolder } from './files.js';
import { startRedis } from './redis-server.js';
import { REPOSITORY } from './repository.js';
import { timelessLines } from './results.js';
import { type DisturbingProxy, startProxy, startS3Server } from './s3-server.js';
import { writeTinyImages } from './tiny-images.js';
import { writeTinyModel } from './tiny-model.js';

/** What lies between processes and servers, where a test wants to disturb it. */
export interface Lines {
  readonly redis: DisturbingProxy;
  /** Only where images and results lie in a bucket. */
  readonly s3: DisturbingProxy | undefined;
}

/**
 * Images, a model, a Redis, and room for results; all of it goes away with the test.
 *
 * @param parts `store`: where images and results lie; `disturbed`: workers and commands reach the servers through proxies
 */
export async function deployment(
  t: Pick<TestContext, 'after'>,
  images: number,
  settings: Readonly<Record<string, string>> = {},
  parts: { readonly store?: 'folder' | 's3'; readonly disturbed?: boolean } = {},
) {
  const folder = await temporaryFolder(t);
  const model = await writeTinyModel(join(folder, 'tiny'));
  const redis = await startRedis();
  const s3 = parts.store === 's3' ? await startS3Server() : undefined;
  const bucket = await s3?.bucket();
  const lines: Lines | undefined = parts.disturbed
    ? { redis: await startProxy(redis.port), s3: s3 === undefined ? undefined : await startProxy(s3.port) }
    : undefined;
  // The bucket's folder on the disk is the bucket.
  const disk = bucket?.folder ?? folder;
  const written = await writeTinyImages(join(disk, 'in'), images);
  const place = (name: string): string => (bucket === undefined ? join(folder, name) : `s3://${bucket.name}/${name}`);
  const input = bucket === undefined ? written : place('in');
  const workers: ServiceProcess[] = [];
  const connection = await connectRedis(
    { redisUrl: redis.url, redisCluster: false, redisMaster: null, queuePrefix: 'deflector' },
    'bounded',
  );
  const records = new JobRecords(connection);
  t.after(async () => {
    await connection.close();
    await Promise.all(workers.map(worker => worker.end('SIGKILL')));
    await lines?.redis.stop();
    await lines?.s3?.stop();
    await s3?.stop();
    await redis.stop();
  });
  const env = {
    DEFLECTOR_REDIS_URL: lines === undefined ? redis.url : lines.redis.endpoint.replace('http:', 'redis:'),
    ...(s3 === undefined ? {} : { DEFLECTOR_S3_ENDPOINT: lines?.s3?.endpoint ?? s3.endpoint }),
    ...settings,
  };
  const command = (...args: string[]): Promise<Outcome> => deflector(args, { env, cwd: folder });
  const defence = ['--model', model, '--runs', '3', '--seed', '1'];

  return {
    folder,
    /** Where on the disk the objects of a job lie. */
    objectsOf: (job: string) => join(disk, job),
    input,
    defence,
    redis,
    lines,
    command,
    enqueue: (job: string, ...args: string[]) =>
      command('enqueue', input, '--job', job, '--out', place(job), '--chunk', '16', ...defence, ...args),
    /** Waits for a job and brings its results together. @returns the lines, without durations */
    results: async (job: string): Promise<string[]> => {
      const waited = await command('jobs', 'wait', job, '--quiet', '--max-errors', '1000');
      if (waited.code !== 0) throw new Error(`jobs wait: ${waited.code} ${waited.stderr}`);
      const exported = await command('jobs', 'export', job, '--overwrite');
      if (exported.code !== 0) throw new Error(`jobs export: ${exported.stderr}`);
      return timelessLines(join(disk, job, 'results.jsonl'));
    },
    /** What the embedded pipeline says of the same images. */
    embedded: async (): Promise<string[]> => {
      await command('run', input, '--out', join(folder, 'embedded'), '--threads', '1', '--overwrite', ...defence);
      return timelessLines(join(folder, 'embedded', 'results.jsonl'));
    },
    connection,
    progress: async (job: string): Promise<JobProgress> => records.progress(await records.get(job)),
    /** Starts a worker process and waits until it takes chunks. @param args its stage first, where that is not `all` */
    worker: async (args: readonly string[] = [], deadly: string = ''): Promise<ServiceProcess> => {
      const [stage = 'all', ...others] = args[0]?.startsWith('--') === false ? args : ['all', ...args];
      const worker = startService(['worker', stage, '--threads', '1', '--lock', '2', ...others], folder, {
        ...env,
        ...(deadly === '' ? {} : { DEADLY: deadly, NODE_OPTIONS: `--import=${HAZARD}` }),
      });
      workers.push(worker);
      while (!worker.log().includes('is ready')) {
        if (worker.child.exitCode !== null) throw new Error(`the worker ended: ${worker.log()}`);
        await sleep(10);
      }
      return worker;
    },
  };
}

/** Waits until something holds. */
export async function until(condition: () => boolean | Promise<boolean>, patience = 60_000): Promise<void> {
  const deadline = performance.now() + patience;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('it did not come to pass');
    await sleep(20);
  }
}

/** Loaded before a worker's own code; see hazard.ts. */
const HAZARD = `file://${join(REPOSITORY, 'dist/test/helpers/hazard.js')}`;
