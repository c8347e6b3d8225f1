/** `deflector ingest` in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { until } from './distributed.js';
import { CLI } from './repository.js';

export interface GatewayProcess {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly child: ChildProcess;
  /** What it said so far, on standard error. */
  readonly log: () => string;
  /** Asks it to end and waits. @returns its exit code */
  end(): Promise<number | null>;
}

/** Starts a gateway on a free port, which ends with the test at the latest. */
export async function startGateway(
  t: Pick<TestContext, 'after'>,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  cwd: string,
): Promise<GatewayProcess> {
  const clean = Object.entries(process.env).filter(([name]) => !/^(DEFLECTOR_|DEBUG$|NODE_TEST_CONTEXT$)/.test(name));
  const child = spawn(process.execPath, [CLI, 'ingest', '--listen', '127.0.0.1:0', '--threads', '1', ...args], {
    cwd,
    env: { ...Object.fromEntries(clean), ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', text => (log += text));
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  const end = (signal: 'SIGTERM' | 'SIGKILL') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    return ended;
  };
  t.after(() => end('SIGKILL'));
  const address = () => /"address":"([^"]+)"/.exec(log)?.[1];
  await until(() => {
    if (child.exitCode !== null) throw new Error(`the gateway ended: ${log}`);
    return address() !== undefined;
  });
  return { url: address()!, child, log: () => log, end: () => end('SIGTERM') };
}
