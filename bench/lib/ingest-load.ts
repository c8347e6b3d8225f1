/** A gateway under load: events at a fixed rate, and what became of each. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import { readChunk } from '../../src/jobs/chunk-files.js';
import { JobRecords } from '../../src/jobs/job-records.js';
import { openBullQueue } from '../../src/queue/bull-queue.js';
import { connectRedis } from '../../src/queue/redis.js';
import { storeOpener } from '../../src/storage/open-store.js';
import { S3Connection } from '../../src/storage/s3-connection.js';

const CLI = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** Characters of what a gateway says in which its address must be. */
const MAX_LOG = 10_000;

export interface LoadOptions {
  readonly redisUrl: string;
  /** Begins the names of all keys in Redis; nothing else may use it. */
  readonly prefix: string;
  /** Folder for chunks; a new one. */
  readonly out: string;
  /** Events a second, and for how many seconds. */
  readonly rate: number;
  readonly seconds: number;
  /** Chunks that may wait before the gateway says that it is full; no worker takes any. */
  readonly queueLimit: number;
  /** Settings of the gateway: a model, for one. */
  readonly settings: readonly string[];
}

export interface LoadOutcome {
  readonly sent: number;
  /** Answered 202, 429, and otherwise or not at all. */
  readonly accepted: number;
  readonly refused: number;
  readonly failed: number;
  /** Different images in the chunks of the job, and chunks in the queue. */
  readonly stored: number;
  readonly chunks: number;
  readonly queued: number;
  /** Milliseconds from request to answer: median and 99 of 100. */
  readonly p50: number;
  readonly p99: number;
}

/** Sends events of different images to a gateway in a process of its own, and counts what it took. */
export async function loadGateway(options: LoadOptions): Promise<LoadOutcome> {
  const { redisUrl, prefix, out, rate, seconds, queueLimit, settings } = options;
  const flags = [
    ...['--listen', '127.0.0.1:0', '--allow', 's3://bench', '--out', out, '--redis-url', redisUrl],
    ...['--queue-prefix', prefix, '--queue-limit', `${queueLimit}`, '--rate', '1000000', '--threads', '1'],
  ];
  const gateway = spawn(process.execPath, [CLI, 'ingest', ...flags, ...settings], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  try {
    const url = await addressOf(gateway);
    const result = await shoot(url, rate, seconds);
    const counts = result.statusCodeStats as Readonly<Record<string, { readonly count: number }>>;
    const accepted = counts['202']?.count ?? 0;
    const refused = counts['429']?.count ?? 0;
    const sent = rate * seconds;
    const { p50, p99 } = result.latency;
    return { sent, accepted, refused, failed: sent - accepted - refused, ...(await taken(options)), p50, p99 };
  } finally {
    if (gateway.exitCode === null) {
      gateway.kill('SIGTERM');
      await once(gateway, 'exit');
    }
  }
}

/** Reads on what the gateway says: what nobody reads would hold it up. */
function addressOf(gateway: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let log = '';
    gateway.stderr!.setEncoding('utf8').on('data', (text: string) => {
      if (log.length < MAX_LOG) log += text;
      const address = /"address":"([^"]+)"/.exec(log)?.[1];
      if (address !== undefined) resolve(address);
    });
    gateway.once('exit', () => reject(new Error(`The gateway did not start: ${log}`)));
  });
}

function shoot(url: string, rate: number, seconds: number): Promise<autocannon.Result> {
  let next = 0;
  const body = () => {
    const key = `images/${next++}.jpg`;
    const s3 = { bucket: { name: 'bench' }, object: { key, eTag: 'x', sequencer: String(next) } };
    return JSON.stringify({ Records: [{ eventName: 'ObjectCreated:Put', s3 }] });
  };
  return autocannon({
    url: `${url}/v1/events`,
    connections: Math.min(50, rate),
    amount: rate * seconds,
    overallRate: rate,
    timeout: 30,
    requests: [
      {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        setupRequest: request => ({ ...request, body: body() }),
      },
    ],
  });
}

/** What is in Redis and in the store. */
async function taken({ redisUrl, prefix }: LoadOptions): Promise<Pick<LoadOutcome, 'stored' | 'chunks' | 'queued'>> {
  const settings = { redisUrl, redisCluster: false, redisMaster: null, queuePrefix: prefix };
  const redis = await connectRedis(settings, 'bounded');
  const s3 = new S3Connection({ s3Endpoint: null, s3Region: null, s3Addressing: 'auto', s3Timeout: 30, s3Tries: 1 });
  try {
    const records = new JobRecords(redis);
    const keys = new Set<string>();
    let chunks = 0;
    for await (const job of records.list()) {
      const progress = await records.progress(job);
      chunks += progress.chunks;
      for (let chunk = 0; chunk < progress.chunks; chunk++) {
        for (const { key } of await readChunk(storeOpener(s3)(job.out), chunk)) keys.add(key);
      }
    }
    const queue = await openBullQueue('defend', redis);
    const { online } = await queue.counts();
    await queue.close();
    return { stored: keys.size, chunks, queued: online };
  } finally {
    await s3.close();
    await redis.close();
  }
}
