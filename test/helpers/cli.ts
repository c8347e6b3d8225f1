/** Runs the command line as a user does: in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
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

/** A `deflector` that runs until it is ended: a worker, a gateway. */
export interface ServiceProcess {
  readonly child: ChildProcess;
  /** What it said so far, on standard error. */
  readonly log: () => string;
  /** Ends it by a signal and waits. @returns its exit code; null where the signal ended it */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>;
  /** Waits until it has ended by itself. */
  readonly ended: Promise<number | null>;
}

/** Runs `deflector ARGS` to its end; settings of the surrounding environment are left out. */
export function deflector(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return startDeflector(args, options).outcome;
}

/** Starts `deflector ARGS`. */
export function startDeflector(args: readonly string[], { env, cwd, under = [] }: RunOptions = {}): Running {
  const [program, ...rest] = [...under, process.execPath, CLI, ...args] as [string, ...string[]];
  const child = spawn(program, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...cleanEnvironment(), ...env },
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

/** Starts `deflector ARGS`, which is meant to stay. @param env beside that of this process, but for its own settings */
export function startService(
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
): ServiceProcess {
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd,
    env: { ...cleanEnvironment(), ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', text => (log += text));
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  return {
    child,
    log: () => log,
    ended,
    end: async signal => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      return ended;
    },
  };
}

/** The environment of this process without what would change the command's behaviour. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const names = Object.entries(process.env).filter(([name]) => !/^(DEFLECTOR_|DEBUG$|NODE_TEST_CONTEXT$)/.test(name));
  return Object.fromEntries(names);
}
