/**
 * What an S3 server and its client cost: reads a second, and processor time of this process a read and a write.
 *
 *     node dist/bench/storage.js s3://bucket/prefix [--endpoint URL] [--bytes N] [--reads N] [--json FILE]
 *
 * Writes 100 objects below a name of its own there and removes them again. Credentials come as for `deflector run`.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { asFolder, parseS3Address } from '../src/storage/s3-address.js';
import { S3Connection } from '../src/storage/s3-connection.js';
import type { S3Store } from '../src/storage/s3-store.js';
import { atLeast, benchCommand, runBenchCommand } from './lib/command.js';
import { table } from './lib/statistics.js';

interface Options {
  readonly endpoint?: string;
  readonly bytes: number;
  readonly reads: number;
}

const OBJECTS = 100;
const PARALLEL = [1, 4, 16, 64];

async function measure({ endpoint, bytes, reads }: Options, [place]: readonly string[]): Promise<unknown> {
  const address = parseS3Address(place ?? '');
  if (address === undefined) throw new Error('Expected s3://bucket or s3://bucket/prefix');
  const s3 = new S3Connection({
    s3Endpoint: endpoint ?? null,
    s3Region: null,
    s3Addressing: 'auto',
    s3Timeout: 30,
    s3Tries: 4,
  });
  const store = s3.open({ bucket: address.bucket, key: `${asFolder(address).key}bench-${randomUUID()}/` });
  const keys = Array.from({ length: OBJECTS }, (_, i) => `${i}.bin`);
  try {
    const content = randomBytes(bytes);
    await store.write(keys[0]!, content);
    const rows = [
      { name: 'write', parallel: 1, ...(await timed(OBJECTS, 1, i => store.write(keys[i]!, content))) },
      ...(await readings(store, keys, bytes, reads)),
    ];
    console.log(
      table([
        ['', 'at a time', 'a second', 'CPU ms each'],
        ...rows.map(row => [row.name, String(row.parallel), row.perSecond.toFixed(0), row.cpuMs.toFixed(2)]),
      ]),
    );
    return rows;
  } finally {
    await store.deleteAll(keys).catch(() => undefined);
    await s3.close();
  }
}

async function readings(store: S3Store, keys: readonly string[], bytes: number, reads: number) {
  const rows = [];
  const read = (i: number) => store.read(keys[i % keys.length]!, bytes);
  for (const parallel of PARALLEL) {
    // Connections are made and the compiler is done before the clock starts.
    await timed(reads, parallel, read);
    rows.push({ name: 'read', parallel, ...(await timed(reads, parallel, read)) });
  }
  return rows;
}

async function timed(count: number, parallel: number, work: (i: number) => Promise<unknown>) {
  let next = 0;
  const cpu = process.cpuUsage();
  const start = performance.now();
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  const { user, system } = process.cpuUsage(cpu);
  return { perSecond: (1000 * count) / (performance.now() - start), cpuMs: (user + system) / 1000 / count };
}

await runBenchCommand(
  benchCommand<Options>('storage', 'Reads a second from an S3 server, and processor time a read.', measure)
    .argument('<address>', 's3://bucket or s3://bucket/prefix to write to')
    .option('--endpoint <url>', 'address of the server')
    .option('--bytes <n>', 'size of an object', atLeast(1), 100_000)
    .option('--reads <n>', 'reads for each figure', atLeast(1), 1000),
);
