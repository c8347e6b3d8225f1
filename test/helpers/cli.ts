/** Runs the command line as a user does: in a process of its own. */
import { spawn } from 'node:child_process';
import { CLI } from './repository.js';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `deflector ARGS`; settings of the surrounding environment are left out. */
export async function deflector(
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly cwd?: string } = {},
): Promise<Outcome> {
  const clean = Object.entries(process.env).filter(([name]) => !/^(DEFLECTOR_|DEBUG$|NODE_TEST_CONTEXT$)/.test(name));
  const child = spawn(process.execPath, [CLI, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...Object.fromEntries(clean), ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', text => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', text => (stderr += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('close', code => resolve({ code, stdout, stderr }));
  });
}
