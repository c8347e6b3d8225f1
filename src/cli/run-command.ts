/** What `deflector run` does once it is called. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { type Began, JOB_FILES, type JobObserver, type JobResult, runJob } from '../../pipelines/job.js';
import { printSettings, type ResolvedOptions, resolveSettings, type UserOptions } from '../config/settings.js';
import { flagOf, RESULT_SETTINGS, SETTING_NAMES } from '../config/table.js';
import { DeflectorError, invalid } from '../errors.js';
import { closingSummary } from '../report/closing-summary.js';
import { counted } from '../report/numbers.js';
import { createProgress } from '../report/progress.js';
import { failedCount, RUN_SCHEMA, type RunSummary } from '../report/run-summary.js';
import { terminalStyle } from '../report/terminal-style.js';
import { visibleText } from '../report/visible-text.js';
import { EXIT } from './exit-codes.js';
import { settingsFromCommand } from './options.js';
import { recommendedRecipe } from './recommended-recipe.js';

interface RunFlags extends UserOptions {
  readonly out: string;
  readonly resume?: boolean;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

/** @returns the exit code */
export async function runCommand(inputs: readonly string[], command: Command): Promise<number> {
  const flags = command.optsWithGlobals<RunFlags>();
  if (flags.resume && flags.overwrite) throw invalid('--resume and --overwrite', 'one of the two', 'both');
  const before = flags.resume ? await readRun(flags.out) : undefined;
  const options =
    before === undefined ? await settingsFromCommand(command, recommendedRecipe) : resumedSettings(flags, before);
  const result = await runWatched(inputs, flags, options, before);
  report(result, flags, options);
  if (result.run.status === 'interrupted') return EXIT.interrupted;
  return failedCount(result.run.counts) > options.maxErrors ? EXIT.errors : EXIT.done;
}

/** Runs the job under a progress display, and under Ctrl-C: once to stop in order, twice to stop at once. */
async function runWatched(
  inputs: readonly string[],
  flags: RunFlags,
  options: ResolvedOptions,
  began: Began | undefined,
): Promise<JobResult> {
  const quiet = options.quiet || flags.json === true;
  const progress = createProgress({ quiet, tty: process.stderr.isTTY === true });
  const counts = { done: 0, suspicious: 0, failed: 0 };
  const observer: JobObserver = {
    started: info => {
      if (!quiet) process.stderr.write(opening(info.model.name, info.runtime, options));
    },
    total: images => progress.setTotal(images),
    verdict: (verdict, resumed) => {
      counts.done++;
      if (verdict.status === 'error') counts.failed++;
      else if (verdict.suspicious) counts.suspicious++;
      if (!resumed) progress.update({ ...counts });
    },
    reporting: () => {
      progress.stop();
      if (!quiet) process.stderr.write('Writing the report\n');
    },
  };
  const stop = new AbortController();
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(EXIT.interrupted);
    stop.abort();
    if (!quiet) process.stderr.write('\nStopping: finishing what is in flight. Ctrl-C again stops at once.\n');
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    const existing = flags.resume ? 'resume' : flags.overwrite ? 'overwrite' : 'refuse';
    return await runJob({ inputs, out: flags.out, existing, options, began }, observer, stop.signal);
  } finally {
    progress.stop();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

function opening(model: string, runtime: string, options: ResolvedOptions): string {
  const { runs, seed, order } = options.defence;
  const threads = options.threads === 1 ? '1 thread' : `${options.threads} threads`;
  return `Model ${model} on ${runtime}, ${threads}; recipe ${options.recipe}, order ${order.join()}, ${runs} runs an image, seed ${seed}\n`;
}

function report({ run, figures, passedOver }: JobResult, flags: RunFlags, options: ResolvedOptions): void {
  if (flags.json) process.stdout.write(`${JSON.stringify(run, undefined, 2)}\n`);
  else if (!options.quiet) {
    const place = (name: keyof typeof JOB_FILES) => join(flags.out, JOB_FILES[name]);
    const places = {
      results: place('results'),
      run: place('run'),
      ...(run.status === 'complete' ? { report: place('report') } : {}),
      ...(options.emit === 'defended' ? { defended: place('defended') } : {}),
    };
    if (passedOver.count > 0) process.stderr.write(passedOverLine(passedOver));
    process.stdout.write(closingSummary(run, figures, places, terminalStyle(process.stdout, process.env)));
  }
}

function passedOverLine({ count, names }: JobResult['passedOver']): string {
  const examples = names.map(visibleText).join(', ') + (count > names.length ? ' ...' : '');
  return `Passed over ${counted(count, 'file')} that by name ${count === 1 ? 'is no image' : 'are no images'}: ${examples}\n`;
}

/** The `run.json` of the job to resume. @throws DeflectorError RESUME_MISMATCH */
async function readRun(out: string): Promise<RunSummary> {
  const path = join(out, JOB_FILES.run);
  try {
    const run = JSON.parse(await readFile(path, 'utf8')) as Partial<RunSummary>;
    if (run.schema === RUN_SCHEMA && run.settings !== undefined && run.model !== undefined) return run as RunSummary;
  } catch (cause) {
    throw new DeflectorError('RESUME_MISMATCH', `There is no job to go on with: ${path} cannot be read`, { cause });
  }
  throw new DeflectorError('RESUME_MISMATCH', `There is no job to go on with: ${path} is not of this version`);
}

/**
 * The settings that the job began with; flags may change only what results do not depend on.
 *
 * @throws DeflectorError RESUME_MISMATCH
 */
function resumedSettings(flags: RunFlags, before: RunSummary): ResolvedOptions {
  const given = Object.fromEntries(
    SETTING_NAMES.flatMap(name => (flags[name] === undefined ? [] : [[name, flags[name]]])),
  );
  const options = resolveSettings({ flags: { ...before.settings, ...given } });
  const printed = printSettings(options);
  for (const name of RESULT_SETTINGS) {
    const [began, asked] = [JSON.stringify(before.settings[name]), JSON.stringify(printed[name])];
    if (began !== asked) {
      throw new DeflectorError('RESUME_MISMATCH', `The job began with ${flagOf(name)} ${began}, not ${asked}`);
    }
  }
  return options;
}
