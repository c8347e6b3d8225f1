/** A real S3 server (versitygw) on loopback, with its data in a temporary folder, and a proxy that disturbs it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { S3Connection, type S3Options } from '../../src/storage/s3-connection.js';
import { freePort } from './free-port.js';

const ACCESS = 'test-access';
const SECRET = 'test-secret-that-no-message-shows';

/** How the clients of the test server find and authenticate themselves: the variables of the AWS clients. */
const S3_CREDENTIALS = {
  AWS_ACCESS_KEY_ID: ACCESS,
  AWS_SECRET_ACCESS_KEY: SECRET,
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
} as const;

export interface S3Server {
  readonly endpoint: string;
  readonly port: number;
  /** A new bucket; objects put into its folder on the disk are there for clients, too. */
  bucket(): Promise<{ readonly name: string; readonly folder: string }>;
  /** A connection with short patience, closed with the server. */
  connect(options?: Partial<S3Options>): S3Connection;
  /** Objects and parts of objects there now: tells how far a writer has come. */
  objects(): number;
  stop(): Promise<void>;
}

export interface S3ServerOptions {
  /** A port that `freePort` gave; another free one where left out. */
  readonly port?: number;
  /** Told of each object that is written; somebody must answer there already. */
  readonly webhook?: string;
}

/** Starts a server of one's own; the credentials of this process become those of the server. */
export async function startS3Server(options: S3ServerOptions = {}): Promise<S3Server> {
  Object.assign(process.env, S3_CREDENTIALS);
  const folder = await mkdtemp(join(tmpdir(), 'deflector-s3-'));
  const data = join(folder, 'data');
  await mkdir(data);
  const port = options.port ?? (await freePort());
  const child = spawn(
    binary(),
    [
      '--port',
      `127.0.0.1:${port}`,
      '--access',
      ACCESS,
      '--secret',
      SECRET,
      '--health',
      '/health',
      '--quiet',
      '--keep-alive',
      ...(options.webhook === undefined ? [] : ['--event-webhook-url', options.webhook]),
      'posix',
      data,
    ],
    { stdio: 'ignore' },
  );
  const endpoint = `http://127.0.0.1:${port}`;
  await healthy(child, `${endpoint}/health`);
  const connections: S3Connection[] = [];
  let buckets = 0;
  return {
    endpoint,
    port,
    bucket: async () => {
      const name = `bucket-${++buckets}`;
      await mkdir(join(data, name));
      return { name, folder: join(data, name) };
    },
    objects: () => countFiles(data),
    connect: (options = {}) => {
      const connection = new S3Connection({ ...QUICK, s3Endpoint: endpoint, ...options });
      connections.push(connection);
      return connection;
    },
    stop: async () => {
      for (const connection of connections) await connection.close();
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What goes away while it is counted counts as gone. */
function countFiles(folder: string): number {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.reduce((sum, entry) => sum + (entry.isDirectory() ? countFiles(join(folder, entry.name)) : 1), 0);
  } catch {
    return 0;
  }
}

const QUICK: S3Options = { s3Endpoint: null, s3Region: null, s3Addressing: 'auto', s3Timeout: 10, s3Tries: 3 };

function binary(): string {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const folders = [...(process.env.PATH ?? '').split(delimiter), join(cache, 'deflector', 'tools', 'versitygw-1.8.0')];
  const found = folders.map(folder => join(folder, 'versitygw')).find(existsSync);
  if (found === undefined) throw new Error('versitygw is not there; `npm test -- s3` installs it');
  return found;
}

async function healthy(child: ChildProcess, url: string): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt++) {
    if (child.exitCode !== null) throw new Error(`versitygw ended with ${child.exitCode}`);
    const response = await fetch(url).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok) return;
    await sleep(20);
  }
  throw new Error('versitygw did not become ready');
}

/** What a proxy does to the answers of its next connections. */
export type Disturbance =
  | { readonly kind: 'none' }
  /** Ends the connection after so many bytes of answers. */
  | { readonly kind: 'cut'; readonly after: number }
  /** Passes on so many bytes and then nothing more, and keeps the connection open. */
  | { readonly kind: 'stall'; readonly after: number }
  /** Passes on no more than so many bytes a second. */
  | { readonly kind: 'slow'; readonly rate: number }
  /** Refuses. */
  | { readonly kind: 'reset' };

/** A TCP proxy in front of a server. */
export interface DisturbingProxy {
  readonly endpoint: string;
  /** Applied to connections that open from now on; with `times` to so many of them, the others go undisturbed. */
  disturb(how: Disturbance, times?: number): void;
  /** Connections accepted so far. */
  readonly connections: number;
  /** Bytes of answers passed on so far. */
  readonly answered: number;
  stop(): Promise<void>;
}

export async function startProxy(port: number): Promise<DisturbingProxy> {
  let how: Disturbance = { kind: 'none' };
  let left = 0;
  let connections = 0;
  let answered = 0;
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket.on('error', () => undefined).on('close', () => sockets.delete(socket)));
  };
  const server: Server = createServer(client => {
    connections++;
    keep(client);
    const current: Disturbance = left > 0 ? how : { kind: 'none' };
    left--;
    if (current.kind === 'reset') {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect(port, '127.0.0.1');
    keep(upstream);
    let room = 'after' in current ? current.after : Number.POSITIVE_INFINITY;
    client.on('data', data => upstream.write(data)).on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
    upstream.on('data', data => {
      const piece = data.subarray(0, Math.max(0, room));
      room -= piece.length;
      answered += piece.length;
      if (current.kind === 'slow') {
        client.write(piece);
        upstream.pause();
        setTimeout(() => upstream.resume(), (1000 * piece.length) / current.rate).unref();
        return;
      }
      if (!client.write(piece)) {
        upstream.pause();
        client.once('drain', () => upstream.resume());
      }
      if (room <= 0 && current.kind === 'cut') client.end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    disturb: (next, times = Number.POSITIVE_INFINITY) => {
      how = next;
      left = times;
      // Connections that are kept alive would go on as before.
      for (const socket of sockets) socket.destroy();
    },
    get connections() {
      return connections;
    },
    get answered() {
      return answered;
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
