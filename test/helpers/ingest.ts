/** `deflector ingest` in a process of its own. */
import type { ChildProcess } from 'node:child_process';
import type { TestContext } from 'node:test';
import { startService } from './cli.js';
import { until } from './distributed.js';

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
  const { child, log, end } = startService(['ingest', '--listen', '127.0.0.1:0', '--threads', '1', ...args], cwd, env);
  t.after(() => end('SIGKILL'));
  const address = () => /"address":"([^"]+)"/.exec(log())?.[1];
  await until(() => {
    if (child.exitCode !== null) throw new Error(`the gateway ended: ${log()}`);
    return address() !== undefined;
  });
  return { url: address()!, child, log, end: () => end('SIGTERM') };
}
