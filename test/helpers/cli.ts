/** Runs the command line as a user does: in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { CLI } from './repository.js';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** A program, with its arguments, that starts Node.js in the place of the test: `prlimit`, `setpriv`. */
  readonly under?: readonly string[];
}

/** A `deflector` that runs. */
export interface Running {
  readonly child: ChildProcess;
  readonly outcome: Promise<Outcome>;
}

/** Runs `deflector ARGS` to its end; settings of the surrounding environment are left out. */
export function deflector(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return startDeflector(args, options).outcome;
}

/** Starts `deflector ARGS`. */
export function startDeflector(args: readonly string[], { env, cwd, under = [] }: RunOptions = {}): Running {
  const clean = Object.entries(process.env).filter(([name]) => !/^(DEFLECTOR_|DEBUG$|NODE_TEST_CONTEXT$)/.test(name));
  const [program, ...rest] = [...under, process.execPath, CLI, ...args] as [string, ...string[]];
  const child = spawn(program, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...Object.fromEntries(clean), ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', text => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', text => (stderr += text));
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.once('error', reject).once('close', code => resolve({ code, stdout, stderr }));
  });
  return { child, outcome };
}
