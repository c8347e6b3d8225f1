/** What `deflector run` does once it is called. */
import type { Command } from 'commander';
import { type Began, JOB_FILES, type JobObserver, type JobResult, runJob } from '../../pipelines/job.js';
import { printSettings, type ResolvedOptions, resolveSettings, type UserOptions } from '../config/settings.js';
import { defaultText, flagOf, RESULT_SETTINGS, SETTING_NAMES, SETTINGS } from '../config/table.js';
import { DeflectorError, invalid } from '../errors.js';
import { closingSummary } from '../report/closing-summary.js';
import { counted } from '../report/numbers.js';
import { createProgress } from '../report/progress.js';
import { failedCount, RUN_SCHEMA, type RunSummary } from '../report/run-summary.js';
import { terminalStyle } from '../report/terminal-style.js';
import { visibleText } from '../report/visible-text.js';
import { openDestination } from '../sinks/destination.js';
import { S3Connection } from '../storage/s3-connection.js';
import { startTelemetry, type Telemetry } from '../telemetry/telemetry.js';
import { EXIT } from './exit-codes.js';
import { settingsFromCommand } from './options.js';
import { recommendedRecipe } from './recommended-recipe.js';
import { stoppable } from './stoppable.js';

/** Largest `run.json` that is read. */
const MAX_RUN_BYTES = 16 * 1024 * 1024;

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
  const settings = await settingsFromCommand(command, flags.resume ? undefined : recommendedRecipe);
  const before = flags.resume ? await readRun(flags.out, settings) : undefined;
  const options = before === undefined ? settings : resumedSettings(flags, before, settings);
  const telemetry = await startTelemetry(settings, ['fetch', 'defend', 'publish']);
  try {
    if (telemetry.url !== undefined && !options.quiet) {
      process.stderr.write(`Metrics and health at ${telemetry.url}\n`);
    }
    return await runAndReport(inputs, flags, options, before, telemetry);
  } finally {
    await telemetry.close();
  }
}

async function runAndReport(
  inputs: readonly string[],
  flags: RunFlags,
  options: ResolvedOptions,
  before: RunSummary | undefined,
  telemetry: Telemetry,
): Promise<number> {
  const result = await runWatched(inputs, flags, options, before, telemetry);
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
  { observer: stages, health, drain }: Telemetry,
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
  try {
    const existing = flags.resume ? 'resume' : flags.overwrite ? 'overwrite' : 'refuse';
    return await stoppable(quiet, signal => {
      signal.addEventListener('abort', drain, { once: true });
      return runJob({ inputs, out: flags.out, existing, options, began, stages, health }, observer, signal);
    });
  } finally {
    progress.stop();
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
    const out = openDestination(flags.out, new S3Connection(options));
    const place = (name: keyof typeof JOB_FILES) => out.place(JOB_FILES[name]);
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

/** The `run.json` of the job to resume. @throws DeflectorError RESUME_MISMATCH, STORE_* */
async function readRun(out: string, settings: ResolvedOptions): Promise<RunSummary> {
  const s3 = new S3Connection(settings);
  const destination = openDestination(out, s3);
  const path = destination.place(JOB_FILES.run);
  try {
    const text = Buffer.from(await destination.store.read(JOB_FILES.run, MAX_RUN_BYTES)).toString();
    const run = JSON.parse(text) as Partial<RunSummary>;
    if (run.schema === RUN_SCHEMA && run.settings !== undefined && run.model !== undefined) return run as RunSummary;
  } catch (cause) {
    if (cause instanceof DeflectorError && cause.code.startsWith('STORE_')) throw cause;
    throw new DeflectorError('RESUME_MISMATCH', `There is no job to go on with: ${path} cannot be read`, { cause });
  } finally {
    await s3.close();
  }
  throw new DeflectorError('RESUME_MISMATCH', `There is no job to go on with: ${path} is not of this version`);
}

/**
 * The settings that the job began with; flags may change only what results do not depend on.
 *
 * @throws DeflectorError RESUME_MISMATCH
 */
function resumedSettings(flags: RunFlags, before: RunSummary, here: ResolvedOptions): ResolvedOptions {
  const reached = printSettings(here);
  const given = Object.fromEntries(
    SETTING_NAMES.flatMap(name => {
      // How a store is reached may differ from machine to machine, and be said in its environment.
      if (SETTINGS[name].group !== 'storage') return flags[name] === undefined ? [] : [[name, flags[name]]];
      const value = reached[name];
      return value === undefined || String(value) === defaultText(name) ? [] : [[name, value]];
    }),
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
