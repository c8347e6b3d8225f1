/** Real Redis servers on loopback, each in a folder of its own. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Certificate } from './certificates.js';
import { freePort } from './free-port.js';

export interface RedisServer {
  readonly port: number;
  readonly url: string;
  /** Ends the server at once, as a crash does, and starts it again on the same port and files. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a server that keeps an append-only file, as production does. @param options further arguments of redis-server */
export async function startRedis(...options: string[]): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'deflector-redis-'));
  const port = await freePort();
  let child: ChildProcess | undefined;
  const start = async () => {
    const fixed = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'yes'];
    child = spawn('redis-server', [...fixed, ...options], { stdio: 'ignore' });
    await ready(child, port);
  };
  const end = async () => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  await start();
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    restart: async () => {
      await end();
      await start();
    },
    stop: async () => {
      await end();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Starts a server that takes connections by TLS as well. @returns its address too: by name, `rediss:` */
export async function startRedisWithTls(
  { authority, certificate, key }: Certificate,
  ...options: string[]
): Promise<RedisServer & { readonly tlsUrl: string }> {
  const port = await freePort();
  const files = ['--tls-ca-cert-file', authority, '--tls-cert-file', certificate, '--tls-key-file', key];
  const server = await startRedis('--tls-port', `${port}`, '--tls-auth-clients', 'no', ...files, ...options);
  return { ...server, tlsUrl: `rediss://localhost:${port}` };
}

/** Starts a Redis Cluster of one node, which clients know by its name, and by TLS. */
export async function startNamedRedisCluster(certificate: Certificate): ReturnType<typeof startRedisWithTls> {
  const names = ['--cluster-announce-hostname', 'localhost', '--cluster-preferred-endpoint-type', 'hostname'];
  const node = await startRedisWithTls(certificate, '--cluster-enabled', 'yes', '--tls-cluster', 'yes', ...names);
  const cli = (...args: string[]) => promisify(execFile)('redis-cli', ['-p', `${node.port}`, 'cluster', ...args]);
  await cli('addslotsrange', '0', '16383');
  while (!(await cli('info')).stdout.includes('cluster_state:ok')) await sleep(50);
  return node;
}

/** Starts a Sentinel that watches a server under the name `main`. */
export async function startSentinel({
  port: watched,
}: RedisServer): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'deflector-sentinel-'));
  const port = await freePort();
  const file = join(folder, 'sentinel.conf');
  await writeFile(file, `port ${port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 ${watched} 1\n`);
  const child = spawn('redis-server', [file, '--sentinel'], { stdio: 'ignore' });
  await ready(child, port);
  return {
    url: `redis://127.0.0.1:${port}`,
    stop: async () => {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Starts a Redis Cluster of three masters. @returns their addresses, separated by commas, and how to stop it */
export async function startRedisCluster(): Promise<{ readonly urls: string; stop(): Promise<void> }> {
  const options = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000'];
  const nodes = await Promise.all([1, 2, 3].map(() => startRedis(...options)));
  const stop = async () => {
    await Promise.all(nodes.map(node => node.stop()));
  };
  try {
    const cli = (...args: string[]) => promisify(execFile)('redis-cli', args);
    await cli('--cluster', 'create', ...nodes.map(({ port }) => `127.0.0.1:${port}`), '--cluster-yes');
    for (const { port } of nodes) {
      while (!(await cli('-p', `${port}`, 'cluster', 'info')).stdout.includes('cluster_state:ok')) await sleep(50);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { urls: nodes.map(({ url }) => url).join(','), stop };
}

async function ready(child: ChildProcess, port: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!/^(?:\+PONG|-NOAUTH)/.test(await ping(port))) {
    if (child.exitCode !== null) throw new Error(`redis-server ended with code ${child.exitCode}`);
    if (performance.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error('redis-server does not answer');
    }
    await sleep(20);
  }
}

/** The answer to PING: a server may be loading its files, or refuse who has not named himself. */
function ping(port: number): Promise<string> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.once('error', () => resolve(''));
    socket.once('data', answer => {
      socket.destroy();
      resolve(answer.toString());
    });
  });
}
