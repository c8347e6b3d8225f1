/** A real Kubernetes API server with its database, on loopback; there are no nodes, so that no pod ever runs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.js';

export interface ApiServer {
  /** What clients know the server by. */
  readonly kubeconfig: string;
  /** @returns status and body; the body is JSON where `body` is given */
  call(method: string, path: string, body?: object): Promise<{ readonly status: number; readonly body: unknown }>;
  stop(): Promise<void>;
}

/** Seconds that a start may take on a busy machine. */
const PATIENCE = 180;

export async function startApiServer(): Promise<ApiServer> {
  const folder = await mkdtemp(join(tmpdir(), 'deflector-kubernetes-'));
  const children: ChildProcess[] = [];
  const stop = async () => {
    for (const child of children.reverse()) await end(child);
    await rm(folder, { recursive: true, force: true });
  };
  const start = (program: string, args: readonly string[]) => {
    const log = createWriteStream(join(folder, `${program}.log`));
    const child = spawn(program, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.pipe(log);
    child.stderr.pipe(log);
    children.push(child);
    return child;
  };
  try {
    const [client, peer, secure] = [await freePort(), await freePort(), await freePort()];
    const etcd = `http://127.0.0.1:${client}`;
    start('etcd', [
      ...['--data-dir', join(folder, 'etcd'), '--listen-client-urls', etcd, '--advertise-client-urls', etcd],
      ...['--listen-peer-urls', `http://127.0.0.1:${peer}`, '--unsafe-no-fsync'],
    ]);
    const token = randomBytes(16).toString('hex');
    await writeFile(join(folder, 'tokens.csv'), `${token},admin,admin,system:masters\n`);
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    await writeFile(join(folder, 'accounts.pem'), privateKey.export({ type: 'pkcs1', format: 'pem' }));
    const child = start('kube-apiserver', [
      ...['--etcd-servers', etcd, '--bind-address', '127.0.0.1', '--secure-port', `${secure}`],
      // Loopback may not be told to others; of what is told here (RFC 5737) nobody makes use.
      ...['--advertise-address', '192.0.2.1', '--cert-dir', join(folder, 'certificates')],
      ...['--token-auth-file', join(folder, 'tokens.csv'), '--authorization-mode', 'RBAC'],
      ...['--service-account-issuer', 'https://kubernetes.default.svc', '--service-cluster-ip-range', '10.0.0.0/24'],
      ...['--service-account-key-file', join(folder, 'accounts.pem')],
      ...['--service-account-signing-key-file', join(folder, 'accounts.pem')],
      // No controller makes the default account of a namespace.
      ...['--disable-admission-plugins', 'ServiceAccount'],
    ]);
    const call = (method: string, path: string, body?: object) => callServer(secure, token, method, path, body);
    const deadline = performance.now() + PATIENCE * 1000;
    while ((await call('GET', '/readyz').catch(() => ({ status: 0 }))).status !== 200) {
      if (child.exitCode !== null || performance.now() > deadline) {
        const log = await readFile(join(folder, 'kube-apiserver.log'), 'utf8');
        throw new Error(`the API server does not start:\n${log.slice(-4000)}`);
      }
      await sleep(200);
    }
    const kubeconfig = join(folder, 'kubeconfig');
    await writeFile(kubeconfig, kubeconfigOf(secure, token));
    return { kubeconfig, call, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function kubeconfigOf(port: number, token: string): string {
  const named = (name: string, kind: string, value: object) => ({ name, [kind]: value });
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [named('test', 'cluster', { server: `https://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true })],
    users: [named('test', 'user', { token })],
    contexts: [named('test', 'context', { cluster: 'test', user: 'test' })],
  });
}

function callServer(port: number, token: string, method: string, path: string, body?: object) {
  return new Promise<{ status: number; body: unknown }>((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    // The server signs its certificate itself.
    const options = { host: '127.0.0.1', port, method, path, headers, rejectUnauthorized: false, agent: false };
    const call = request(options, response => {
      let text = '';
      response.setEncoding('utf8').on('data', chunk => (text += chunk));
      response.once('end', () => {
        const json = /json/.test(response.headers['content-type'] ?? '');
        resolve({ status: response.statusCode ?? 0, body: json ? JSON.parse(text) : text });
      });
    });
    call.once('error', reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await exited;
  clearTimeout(force);
}
