/** What the commands of `deflector jobs` do once they are called. Each returns its exit code. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { cleanJob } from '../../pipelines/clean.js';
import { type ControlPorts, cancel, retry } from '../../pipelines/job-control.js';
import type { ResolvedOptions } from '../config/settings.js';
import { invalid } from '../errors.js';
import { type DeadLetter, isPastDeadline, type Job, type JobProgress } from '../jobs/job.js';
import { JobRecords } from '../jobs/job-records.js';
import { PackRegister } from '../jobs/pack-register.js';
import { closeStageQueues, openStageQueues } from '../jobs/stage-queues.js';
import { connectRedis } from '../queue/redis.js';
import { closingSummary } from '../report/closing-summary.js';
import { counted, grouped } from '../report/numbers.js';
import { createProgress } from '../report/progress.js';
import { failedCount } from '../report/run-summary.js';
import { terminalStyle } from '../report/terminal-style.js';
import { visibleText } from '../report/visible-text.js';
import { folderOpener, storeOpener } from '../storage/open-store.js';
import { S3Connection } from '../storage/s3-connection.js';
import { placeOf } from '../storage/store-address.js';
import { EXIT } from './exit-codes.js';
import { settingsFromCommand } from './options.js';
import { stoppable } from './stoppable.js';

/** Milliseconds between two looks at a job that is waited for. */
const LOOK_EVERY_MS = 500;

interface JobsFlags {
  readonly json?: boolean;
  readonly to?: string;
  readonly overwrite?: boolean;
  readonly clean?: boolean;
  readonly olderThan?: string;
  readonly discard?: boolean;
}

/** What a command works with. */
interface Tools extends ControlPorts {
  readonly s3: S3Connection;
  readonly options: ResolvedOptions;
  readonly flags: JobsFlags;
  /** The job that the command names. */
  job(): Promise<Job>;
}

export function listJobs(command: Command): Promise<number> {
  return withTools(command, async ({ records, flags }) => {
    const all: object[] = [];
    for await (const job of records.list()) {
      const progress = await records.progress(job);
      if (flags.json) all.push(described(job, progress));
      else {
        const { state, verdicts, images } = progress;
        const far = `${grouped(verdicts.total)} of ${grouped(images)}`;
        process.stdout.write(`${job.name.padEnd(32)} ${state.padEnd(10)} ${far.padStart(20)}  ${job.createdAt}\n`);
      }
    }
    if (flags.json) print(all);
    return EXIT.done;
  });
}

export function showJob(command: Command): Promise<number> {
  return withTools(command, async ({ records, flags, job: named }) => {
    const job = await named();
    const progress = await records.progress(job);
    if (flags.json) print(described(job, progress));
    else process.stdout.write(lines(job, progress));
    return EXIT.done;
  });
}

export function waitForJob(command: Command): Promise<number> {
  return withTools(command, async ({ records, flags, options, job: named }) => {
    const job = await named();
    const quiet = options.quiet || flags.json === true;
    const bar = createProgress({ quiet, tty: process.stderr.isTTY === true });
    const last = await stoppable(quiet, async signal => {
      for (;;) {
        const progress = await records.progress(job);
        const { state, images, verdicts } = progress;
        if (state !== 'listing') bar.setTotal(images);
        const { total, suspicious } = verdicts;
        bar.update({ done: total, suspicious, failed: failedCount(verdicts) });
        if (signal.aborted || (state !== 'listing' && state !== 'running')) return progress;
        await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
      }
    }).finally(() => bar.stop());
    if (flags.json) print(described(job, last));
    else if (!quiet) process.stdout.write(lines(job, last));
    if (last.state === 'listing' || last.state === 'running') return EXIT.interrupted;
    if (last.state !== 'complete') return EXIT.errors;
    return failedCount(last.verdicts) > options.maxErrors ? EXIT.errors : EXIT.done;
  });
}

export function cancelJob(command: Command): Promise<number> {
  return withTools(command, async tools => {
    const job = await tools.job();
    await cancel(job, tools);
    const progress = await tools.records.progress(job);
    if (tools.flags.json) print(described(job, progress));
    else process.stdout.write(lines(job, progress));
    return EXIT.done;
  });
}

export function retryJob(command: Command): Promise<number> {
  return withTools(command, async tools => {
    const job = await tools.job();
    const chunks = await retry(job, tools);
    if (tools.flags.json) print({ job: job.name, chunks });
    else process.stdout.write(`Job ${job.name}: ${counted(chunks, 'chunk')} back in the queue\n`);
    return EXIT.done;
  });
}

export function deadLetters(command: Command): Promise<number> {
  return withTools(command, async ({ records, flags, job: named }) => {
    const all: DeadLetter[] = [];
    for await (const letter of records.letters(await named())) {
      if (flags.json) all.push(letter);
      else {
        const what = letter.keys === undefined ? 'all images' : letter.keys.map(visibleText).join(', ');
        process.stdout.write(`chunk ${letter.chunk}: ${what}\n  ${letter.code}: ${visibleText(letter.message)}\n`);
      }
    }
    if (flags.json) print(all);
    return EXIT.done;
  });
}

export function exportResults(command: Command): Promise<number> {
  return withTools(command, async tools => {
    const { records, s3, openStore, flags, options } = tools;
    const job = await tools.job();
    // It takes the whole report with it, which no other command here needs.
    const { exportJob } = await import('../../pipelines/export.js');
    const { openDestination } = await import('../sinks/destination.js');
    const out = placeOf(job.out);
    const own = openDestination(out, s3);
    const { run, figures, places } = await exportJob({
      job,
      progress: await records.progress(job),
      defender: await records.defender(job),
      store: openStore(job.out),
      out,
      own,
      destination: flags.to === undefined ? own : openDestination(flags.to, s3),
      overwrite: flags.overwrite === true,
      format: options.format,
      gallery: options.gallery,
      openStore,
      missingPictures: (count, why) => {
        if (!options.quiet)
          process.stderr.write(`${counted(count, 'picture')} missing in the report: ${visibleText(why)}\n`);
      },
    });
    await records.markExported(job);
    if (flags.clean) await cleanJob(job, own, false, tools);
    if (flags.json) print(run);
    else if (!options.quiet) {
      process.stdout.write(closingSummary(run, figures, places, terminalStyle(process.stdout, process.env)));
    }
    return EXIT.done;
  });
}

export function cleanJobs(command: Command): Promise<number> {
  return withTools(command, async tools => {
    const { records, s3, flags } = tools;
    const { openDestination } = await import('../sinks/destination.js');
    const clean = (job: Job) => cleanJob(job, openDestination(placeOf(job.out), s3), flags.discard === true, tools);
    const cleaned: string[] = [];
    if (flags.olderThan === undefined) {
      const job = await tools.job();
      await clean(job);
      cleaned.push(job.name);
    } else {
      const before = new Date(Date.now() - daysOf(flags.olderThan) * 86_400_000).toISOString();
      for await (const job of records.list()) {
        const { finishedAt, exportedAt, cleanedAt, state } = await records.progress(job);
        const kept = state === 'complete' && exportedAt === undefined && flags.discard !== true;
        if (finishedAt === undefined || finishedAt > before || cleanedAt !== undefined || kept) continue;
        await clean(job);
        cleaned.push(job.name);
      }
    }
    if (flags.json) print(cleaned);
    else for (const name of cleaned) process.stdout.write(`Job ${name}: chunks removed\n`);
    return EXIT.done;
  });
}

/** @throws DeflectorError SETTINGS_INVALID */
function daysOf(text: string): number {
  const days = Number(text);
  if (text.trim() === '' || !(days >= 0)) throw invalid('--older-than', 'a number of days', text);
  return days;
}

async function withTools(command: Command, work: (tools: Tools) => Promise<number>): Promise<number> {
  const options = await settingsFromCommand(command);
  const redis = await connectRedis(options, 'bounded');
  const s3 = new S3Connection(options);
  try {
    const records = new JobRecords(redis);
    const queues = await openStageQueues(redis);
    const job = () => records.get(command.args[0] ?? '');
    const flags = command.optsWithGlobals<JobsFlags>();
    const code = await work({
      records,
      queues,
      packs: new PackRegister(redis),
      s3,
      openStore: storeOpener(s3),
      openFolder: folderOpener(s3),
      options,
      flags,
      job,
    });
    await closeStageQueues(queues);
    return code;
  } finally {
    await s3.close();
    await redis.close();
  }
}

/** A job as JSON. Scripts rely on the names. */
function described(job: Job, progress: JobProgress): object {
  const { name, createdAt, lane, chunk, fetch, deadline, inputs, out, model, settings } = job;
  return {
    schema: 'deflector/job@1',
    name,
    createdAt,
    lane,
    chunk,
    fetch,
    ...(deadline === undefined ? {} : { deadline, pastDeadline: isPastDeadline(job) }),
    inputs,
    out: placeOf(out),
    model,
    settings,
    ...progress,
  };
}

function lines(job: Job, { state, chunks, images, done, dead, verdicts }: JobProgress): string {
  const { total, suspicious, errors } = verdicts;
  const codes = Object.entries(errors).map(([code, count]) => `, ${grouped(count)} ${code}`);
  return [
    `Job ${job.name}: ${state}`,
    `  ${grouped(total)} of ${counted(images, 'image')} have verdicts: ${grouped(suspicious)} suspicious${codes.join('')}`,
    `  ${grouped(done)} of ${counted(chunks, 'chunk')} done, ${grouped(dead)} given up${dead > 0 ? ' (deflector jobs dead)' : ''}`,
    `  model ${visibleText(job.model.name)}, lane ${job.lane}, since ${job.createdAt}, in ${visibleText(placeOf(job.out))}`,
    ...(job.deadline === undefined ? [] : [deadlineLine(job, verdicts.errors.DEADLINE_PASSED ?? 0)]),
    '',
  ].join('\n');
}

function deadlineLine(job: Job, missed: number): string {
  const when = isPastDeadline(job) ? `passed at ${job.deadline}` : `is ${job.deadline}`;
  return `  deadline ${when}${missed > 0 ? `: ${counted(missed, 'image')} not defended in time` : ''}`;
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
}
