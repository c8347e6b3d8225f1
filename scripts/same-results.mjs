// npm run same-results -- --data DIR --seed S --threads T: the images of a folder through each form of the pipeline, on a
// Redis and on a Redis Cluster of three nodes, and whether their results.jsonl differ in anything but `ms`. On Linux it says
// what processor time the workers took, their start and that of their models included.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { provideRedisServer } from './lib/redis-server.mjs';
import { build, install } from './lib/steps.mjs';

const { values } = parseArgs({
  options: {
    data: { type: 'string' },
    seed: { type: 'string', default: '1' },
    // Of each process that defends.
    threads: { type: 'string', default: '1' },
  },
});
if (values.data === undefined) {
  console.error('Name a folder of images: npm run same-results -- --data photos');
  process.exit(2);
}
const data = resolve(values.data);
install();
provideRedisServer();
build();
const { deflector } = await import('../dist/test/helpers/cli.js');
const { startService } = await import('../dist/test/helpers/cli.js');
const { until } = await import('../dist/test/helpers/distributed.js');
const { startRedis, startRedisCluster } = await import('../dist/test/helpers/redis-server.js');
const { timelessLines } = await import('../dist/test/helpers/results.js');

const THREE = [0, 1, 2];
const FORMS = [
  { title: 'worker all', workers: [['all']], fetch: 'fused' },
  {
    title: 'fetch, defend and publish, 3 workers each',
    workers: THREE.flatMap(() => [['fetch'], ['defend'], ['publish']]),
    fetch: 'separate',
  },
];

/** Images; small enough that every worker gets some. */
const CHUNK = 16;
/** For all workers of a form together, on a busy machine. */
const START_LIMIT_MS = 600_000;
const folder = await mkdtemp(join(tmpdir(), 'deflector-same-'));
const defence = ['--seed', values.seed];
let expected;
try {
  await report('embedded', async () => {
    await call(['run', data, '--out', join(folder, 'embedded'), '--threads', values.threads, ...defence]);
    return { out: join(folder, 'embedded'), took: new Map() };
  });
  await onRedis('Redis', await startRedis(), ({ url }) => ({ DEFLECTOR_REDIS_URL: url }));
  await onRedis('Redis Cluster', await startRedisCluster(), ({ urls }) => ({
    DEFLECTOR_REDIS_URL: urls,
    DEFLECTOR_REDIS_CLUSTER: 'true',
  }));
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function onRedis(name, server, settingsOf) {
  try {
    for (const [number, form] of FORMS.entries()) {
      const job = `${name.replace(' ', '-')}-${number}`;
      await report(`${form.title}, ${name}`, () => distributed(job, form, settingsOf(server)));
    }
  } finally {
    await server.stop();
  }
}

/** @returns where the results are, and the processor time of each worker by its stage */
async function distributed(job, { workers: stages, fetch }, env) {
  const threads = ['--threads', values.threads];
  const workers = stages.map(args => startService(['worker', ...args, ...threads], folder, env));
  try {
    const out = join(folder, job);
    await call(['enqueue', data, '--job', job, '--out', out, '--chunk', `${CHUNK}`, '--fetch', fetch, ...defence], env);
    await until(() => {
      const ended = workers.find(({ child }) => child.exitCode !== null);
      if (ended !== undefined) throw new Error(ended.log());
      return workers.every(worker => worker.log().includes('is ready'));
    }, START_LIMIT_MS);
    await call(['jobs', 'wait', job, '--quiet', '--max-errors', '1000000'], env);
    const took = new Map();
    for (const [place, [stage]] of stages.entries()) {
      took.set(stage, [...(took.get(stage) ?? []), processorSeconds(workers[place].child.pid)]);
    }
    await call(['jobs', 'export', job, '--gallery', '0', '--quiet'], env);
    return { out, took };
  } finally {
    await Promise.all(workers.map(worker => worker.end('SIGTERM')));
  }
}

/** Says what came of a form; the first one is what the others are held to. */
async function report(title, work) {
  const started = performance.now();
  const { out, took } = await work();
  const lines = await timelessLines(join(out, 'results.jsonl'));
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const digest = createHash('sha256').update(lines.join('\n')).digest('hex');
  expected ??= digest;
  if (digest !== expected) process.exitCode = 1;
  const same = digest === expected ? 'same' : 'DIFFERENT';
  console.log(`${same.padEnd(10)} ${title}: ${lines.length} lines, ${digest.slice(0, 16)}, ${seconds} s`);
  for (const [stage, each] of took) {
    if (!each.includes(undefined)) console.log(`             ${stage}: ${each.join(' + ')} s of processor time`);
  }
}

/** Processor time of a process and all its threads (proc_pid_stat(5)); Linux counts it in hundredths of a second. */
function processorSeconds(pid) {
  if (process.platform !== 'linux') return undefined;
  const [utime, stime] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ').slice(11, 13);
  return ((Number(utime) + Number(stime)) / 100).toFixed(1);
}

async function call(args, env = {}) {
  const { code, stderr } = await deflector(args, { env, cwd: folder });
  // Images without a verdict are in the results, too.
  if (code !== 0 && !(args[0] === 'run' && code === 1)) throw new Error(`deflector ${args.join(' ')}: ${stderr}`);
}
