#!/usr/bin/env node
/**
 * The command line. Each command lives in a file of its own that declares its options and imports its work only when
 * it is called, so that `--help` starts as fast as Node.js lets it.
 */
import { Command, CommanderError } from 'commander';
import { DeflectorError } from '../errors.js';
import { visibleText } from '../report/visible-text.js';
import { VERSION } from '../version.js';
import { registerAttack } from './attack.js';
import { registerBench } from './bench.js';
import { registerDefend } from './defend.js';
import { registerDoctor } from './doctor.js';
import { registerEnqueue } from './enqueue.js';
import { registerEvaluate } from './evaluate.js';
import { EXIT, exitCodeOf } from './exit-codes.js';
import { registerExplain } from './explain.js';
import { registerIngest } from './ingest.js';
import { registerJobs } from './jobs.js';
import { registerModels } from './models.js';
import { registerRun } from './run.js';
import { registerSearch } from './search.js';
import { registerWorker } from './worker.js';

/** One a command, in the order of `--help`. */
const COMMANDS: readonly ((program: Command) => void)[] = [
  registerRun,
  registerDefend,
  registerExplain,
  registerEnqueue,
  registerWorker,
  registerIngest,
  registerJobs,
  registerAttack,
  registerEvaluate,
  registerSearch,
  registerModels,
  registerDoctor,
  registerBench,
];

/** @returns the exit code */
async function main(args: readonly string[]): Promise<number> {
  const program = new Command('deflector')
    .description('Defends image classifiers against adversarial images by pixel deflection and wavelet denoising.')
    .version(VERSION)
    .option('--debug', 'print where an error came from (also DEBUG=1)')
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .addHelpText(
      'after',
      '\nStart with:\n  $ deflector run photos --out results\n\nExit codes: 0 done, 1 errors, 2 bad usage or settings, 3 a needed service is not there, 130 interrupted.',
    );
  for (const register of COMMANDS) register(program);
  try {
    await program.parseAsync(args, { from: 'user' });
    return Number(process.exitCode ?? EXIT.done);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.done;
    // No command at all: the help is on standard error already.
    if (error instanceof CommanderError && error.code === 'commander.help') return EXIT.usage;
    const known = asDeflectorError(error);
    process.stderr.write(`error ${known.code}: ${visibleText(known.message)}\n${known.remedy}\n`);
    if (program.opts<{ debug?: boolean }>().debug || process.env.DEBUG) process.stderr.write(`${traceOf(known)}\n`);
    return exitCodeOf(known);
  }
}

function asDeflectorError(error: unknown): DeflectorError {
  if (error instanceof DeflectorError) return error;
  if (error instanceof CommanderError) {
    return new DeflectorError('COMMAND_INVALID', error.message.replace(/^error: /, '').replace(/\n/g, ' '));
  }
  return new DeflectorError('INTERNAL', error instanceof Error ? error.message : String(error), { cause: error });
}

/** The stack of the error and of each of its causes. */
function traceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const stack = error.stack ?? error.message;
  return error.cause === undefined ? stack : `${stack}\ncaused by: ${traceOf(error.cause)}`;
}

// A reader that has seen enough (`| head`) closes the pipe: what is left to say goes nowhere, the work goes on.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

process.exitCode = await main(process.argv.slice(2));
