/** The real operator of KEDA on an API server. It makes no pods: it sets how many there are to be. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from './free-port.js';

export interface Keda {
  /** What it said so far. */
  readonly log: () => string;
  stop(): Promise<void>;
}

/** Seconds that a start may take on a busy machine. */
const PATIENCE = 120;

/** @param kubeconfig of a server that knows KEDA's resources */
export async function startKeda(kubeconfig: string): Promise<Keda> {
  const folder = await mkdtemp(join(tmpdir(), 'deflector-keda-'));
  // It serves metrics to the API server by TLS in both directions; nobody asks for them here.
  const names = ['-keyout', 'tls.key', '-out', 'tls.crt', '-subj', '/CN=keda-operator'];
  const certificate = ['req', '-x509', '-newkey', 'rsa:2048', '-noenc', '-days', '2', ...names];
  await promisify(execFile)('openssl', certificate, { cwd: folder });
  await copyFile(join(folder, 'tls.crt'), join(folder, 'ca.crt'));
  const [metrics, health, service] = [await freePort(), await freePort(), await freePort()];
  const child = spawn(
    'keda-operator',
    [
      ...['--metrics-bind-address', `127.0.0.1:${metrics}`, '--health-probe-bind-address', `127.0.0.1:${health}`],
      ...['--metrics-service-bind-address', `127.0.0.1:${service}`, '--cert-dir', folder, '--ca-dir', folder],
    ],
    {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        KUBECONFIG: kubeconfig,
        POD_NAMESPACE: 'keda',
        KEDA_CLUSTER_OBJECT_NAMESPACE: 'keda',
        // All of them.
        WATCH_NAMESPACE: '',
      },
    },
  );
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => (log += text));
  const stop = async () => {
    await end(child);
    await rm(folder, { recursive: true, force: true });
  };
  const deadline = performance.now() + PATIENCE * 1000;
  while (!(await ready(health))) {
    if (child.exitCode !== null || performance.now() > deadline) {
      await stop();
      throw new Error(`the operator of KEDA does not start:\n${log.slice(-4000)}`);
    }
    await sleep(200);
  }
  return { log: () => log, stop };
}

async function ready(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  );
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), 20_000);
  await exited;
  clearTimeout(force);
}
