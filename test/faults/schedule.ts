/**
 * Random schedules of faults against a real deployment, each a function of its seed: what is hit, in which order, after
 * which pauses. When it has ended, the laws of the pipeline are held against what is left.
 */
import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT } from '../../src/cli/exit-codes.js';
import { type ChunkPayload, chunkTask, STAGE_QUEUES, type StageQueue } from '../../src/jobs/chunk-task.js';
import type { Job } from '../../src/jobs/job.js';
import { JobRecords } from '../../src/jobs/job-records.js';
import { openBullQueue } from '../../src/queue/bull-queue.js';
import type { ServiceProcess } from '../helpers/cli.js';
import { deployment } from '../helpers/distributed.js';
import { filesBelow } from '../helpers/files.js';
import type { Disturbance } from '../helpers/s3-server.js';

const IMAGES = 96;
const CHUNK = 4;

/** The workers of a job, by whether its fetch stage is one of its own. */
const WORKERS = { fused: ['all', 'all'], separate: ['fetch', 'defend', 'all'] } as const;

/** Milliseconds between two faults, at most. */
const LONGEST_PAUSE = 1500;

/** How long what a schedule has done may take to come right: a job that needs longer is stuck. */
const PATIENCE_MS = 300_000;

/** How long a line to Redis or to the store is disturbed. */
const DISTURBED_MS = 2000;

/** Patience of the clients of the store, in the place of that for real networks: a stall must end within a schedule. */
const S3_PATIENCE = { DEFLECTOR_S3_TIMEOUT: '2', DEFLECTOR_S3_TRIES: '10' };

/** Longer than the lock of the workers, so that a process that was held finds its chunks in other hands. */
const HOLD_MS = 2500;

export interface Outcome {
  /** What was done, in order. */
  readonly faults: readonly string[];
  /** Laws that were broken; none in the best of worlds. */
  readonly violations: readonly string[];
}

/** Runs one schedule. @param count how many faults */
export async function runSchedule(seed: string, count = 5): Promise<Outcome> {
  const cleanups: (() => unknown)[] = [];
  const t = { after: (cleanup: () => unknown) => void cleanups.push(cleanup) };
  try {
    const draws = drawsOf(seed);
    const store = draws(2) === 0 ? 'folder' : 's3';
    const at = await deployment(t, IMAGES, S3_PATIENCE, { store, disturbed: true });
    const schedule = new Schedule(draws, count, store, at);
    return await Promise.race([schedule.run(), schedule.stuck()]);
  } finally {
    for (const cleanup of cleanups.reverse()) await cleanup();
  }
}

/** What the embedded pipeline says of the images. */
let expected: readonly string[] | undefined;

type Deployment = Awaited<ReturnType<typeof deployment>>;

/** A worker process, and the stage that takes its place when it is gone. */
interface Deployed {
  readonly stage: string;
  readonly process: ServiceProcess;
}

/** The n-th draw of a seed is always the same: a number from 0 to before `below`. */
function drawsOf(seed: string): (below: number) => number {
  let draws = 0;
  return below => createHash('sha256').update(`${seed}:${draws++}`).digest().readUInt32BE(0) % below;
}

class Schedule {
  readonly #draw: (below: number) => number;
  readonly #count: number;
  readonly #store: 'folder' | 's3';
  readonly #at: Deployment;
  readonly #done: string[] = [];
  #copies = 0;
  readonly #fetch: keyof typeof WORKERS;
  #workers: Deployed[] = [];

  /** What can go wrong, by name. */
  readonly #faults: { readonly [name: string]: () => Promise<void> } = {
    'kill a worker': () => this.#replaced('SIGKILL'),
    'stop a worker': () => this.#replaced('SIGTERM'),
    'hold a worker': async () => {
      const { child } = this.#any().process;
      child.kill('SIGSTOP');
      await sleep(HOLD_MS);
      child.kill('SIGCONT');
    },
    'step a clock': async () => void this.#any().process.child.kill('SIGUSR2'),
    'crash Redis': () => this.#at.redis.restart(),
    'refuse connections to Redis': () => this.#disturb('redis', { kind: 'reset' }),
    'stall Redis': () => this.#disturb('redis', { kind: 'stall', after: this.#draw(2000) }),
    'deliver to fetch again': () => this.#deliverAgain('fetch'),
    'deliver to defend again': () => this.#deliverAgain('defend'),
    'deliver to publish again': () => this.#deliverAgain('publish'),
    'lose a task': () => this.#loseTask(),
    'lose a pack': () => this.#harmPack(path => rm(path, { force: true })),
    'damage a pack': () =>
      this.#harmPack(async path => {
        const bytes = await readFile(path);
        bytes[this.#draw(bytes.length)]! ^= 0x40;
        await writeFile(path, bytes);
      }),
  };

  /** What can go wrong with a bucket besides. */
  readonly #faultsOfBuckets: { readonly [name: string]: () => Promise<void> } = {
    'refuse connections to S3': () => this.#disturb('s3', { kind: 'reset' }),
    'stall S3': () => this.#disturb('s3', { kind: 'stall', after: this.#draw(2000) }),
    'cut answers of S3': () => this.#disturb('s3', { kind: 'cut', after: this.#draw(2000) }),
    'slow S3': () => this.#disturb('s3', { kind: 'slow', rate: 2000 }),
  };

  constructor(draw: (below: number) => number, count: number, store: 'folder' | 's3', at: Deployment) {
    this.#draw = draw;
    this.#count = count;
    this.#store = store;
    this.#at = at;
    this.#fetch = this.#draw(2) === 0 ? 'fused' : 'separate';
  }

  async run(): Promise<Outcome> {
    const { enqueue, embedded } = this.#at;
    // The same in every schedule: it depends on the images alone.
    expected ??= await embedded();
    // The producer has to wait for the queue to drain, so that it meets faults too.
    const produce = () => enqueue('job', '--chunk', `${CHUNK}`, '--queue-limit', '2', '--fetch', this.#fetch);
    const enqueued = produce();
    this.#workers = await Promise.all(WORKERS[this.#fetch].map(stage => this.#worker(stage)));
    for (let n = 0; n < this.#count; n++) {
      await sleep(this.#draw(LONGEST_PAUSE));
      const faults = Object.entries({ ...this.#faults, ...(this.#store === 's3' ? this.#faultsOfBuckets : {}) });
      const [name, happen] = faults[this.#draw(faults.length)]!;
      this.#done.push(name);
      await happen();
    }
    let { code, stderr } = await enqueued;
    // Where a server was away for longer than its patience, the producer says so, and the same call goes on.
    for (let calls = 1; code === EXIT.service && calls < 3; calls++) {
      this.#done.push('call the producer again');
      ({ code, stderr } = await produce());
    }
    const faults = [this.#store, this.#fetch, ...this.#done];
    if (code !== 0) return { faults, violations: [`the producer ended with exit code ${code}: ${stderr}`] };
    return { faults, violations: await this.#violations(expected) };
  }

  /** What to say where it never ends. */
  async stuck(): Promise<Outcome> {
    await sleep(PATIENCE_MS, undefined, { ref: false });
    return { faults: this.#done, violations: [`the job did not end within ${PATIENCE_MS / 1000} s`] };
  }

  async #violations(expected: readonly string[]): Promise<string[]> {
    const { connection, results, progress, objectsOf } = this.#at;
    const violations: string[] = [];
    const lines = await results('job');
    if (lines.length !== expected.length) violations.push(`${lines.length} verdicts of ${expected.length} images`);
    const different = lines.findIndex((line, place) => line !== expected[place]);
    if (different >= 0) violations.push(`another verdict: ${lines[different]}`);
    const { verdicts, dead } = await progress('job');
    if (verdicts.total !== expected.length) violations.push(`${verdicts.total} verdicts counted`);
    if (dead > 0) violations.push(`${dead} chunks given up`);
    // What was delivered again may still be on its way.
    const left = async () => {
      const keys = await connection.client.keys('{deflector}:*');
      const tasks = keys.filter(key => /:lock$|:packs:|:(?:fetch|defend|publish):(?:job\.|copy-)/.test(key));
      return [...tasks, ...(await filesBelow(join(objectsOf('job'), 'scratch')))];
    };
    for (let tries = 0; tries < 200 && (await left()).length > 0; tries++) await sleep(100);
    for (const key of await left()) violations.push(`${key} is left`);
    return violations;
  }

  async #replaced(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const victim = this.#any();
    await victim.process.end(signal);
    this.#workers = this.#workers.filter(worker => worker !== victim);
    this.#workers.push(await this.#worker(victim.stage));
  }

  async #disturb(line: 'redis' | 's3', how: Disturbance): Promise<void> {
    const proxy = this.#at.lines![line]!;
    proxy.disturb(how);
    await sleep(DISTURBED_MS);
    proxy.disturb({ kind: 'none' });
  }

  async #deliverAgain(stage: StageQueue): Promise<void> {
    const [job, chunk] = await this.#named();
    if (job === undefined || (stage === 'fetch' && job.fetch === 'fused')) return;
    // Only what was defended has verdicts that can be published.
    if (stage === 'publish' && !(await new JobRecords(this.#at.connection).isDone(job, chunk))) return;
    const queue = await openBullQueue<ChunkPayload>(stage, this.#at.connection);
    await queue.add([{ ...chunkTask(job, chunk), id: `copy-${this.#copies++}` }]);
    await queue.close();
  }

  async #loseTask(): Promise<void> {
    const [job, chunk] = await this.#named();
    if (job === undefined) return;
    for (const stage of STAGE_QUEUES) {
      const queue = await openBullQueue<ChunkPayload>(stage, this.#at.connection);
      await queue.discard([chunkTask(job, chunk).id]);
      await queue.close();
    }
  }

  async #harmPack(harm: (path: string) => Promise<void>): Promise<void> {
    const packs = await filesBelow(join(this.#at.objectsOf('job'), 'scratch'));
    const path = packs[this.#draw(packs.length + 1)];
    // It may be read and cleared at this very moment.
    if (path !== undefined) await harm(path).catch(() => undefined);
  }

  /** A chunk that the producer has named; no job where it has named none. */
  async #named(): Promise<[Job | undefined, number]> {
    const records = new JobRecords(this.#at.connection);
    const job = await records.get('job').catch(() => undefined);
    const chunks = job === undefined ? 0 : (await records.progress(job)).chunks;
    return chunks === 0 ? [undefined, 0] : [job, this.#draw(chunks)];
  }

  async #worker(stage: string): Promise<Deployed> {
    return { stage, process: await this.#at.worker([stage, '--drain', '1', '--attempts', '30'], '*=slow') };
  }

  #any(): Deployed {
    return this.#workers[this.#draw(this.#workers.length)]!;
  }
}
