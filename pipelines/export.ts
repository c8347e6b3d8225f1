/**
 * Brings the verdicts of a distributed job together: one chunk after another, in the order of input, in bounded memory.
 * What it writes is what an embedded job leaves, but for durations and the pictures of the report.
 */
import { defenceRecord, printFlags, resolveSettings } from '../src/config/settings.js';
import { UNRECORDED_SETTINGS } from '../src/config/table.js';
import { DeflectorError } from '../src/errors.js';
import { readVerdictsOf } from '../src/jobs/chunk-files.js';
import type { Job, JobDefender, JobProgress } from '../src/jobs/job.js';
import { openModel } from '../src/models/registry.js';
import type { ResultPlaces } from '../src/report/closing-summary.js';
import { FigureCounter, type RunFigures } from '../src/report/figures.js';
import type { GalleryItem } from '../src/report/gallery.js';
import { writeReport } from '../src/report/html-report.js';
import { RUN_SCHEMA, type RunSummary } from '../src/report/run-summary.js';
import type { Destination } from '../src/sinks/destination.js';
import { formatVerdict } from '../src/sinks/verdict-json.js';
import type { ObjectStore, Verdict } from '../src/types.js';
import { JOB_FILES } from './job.js';
import { runtimeVersions } from './versions.js';

/** Label changes in the figures of a result. */
const CHANGES_LISTED = 20;

export interface ExportRequest {
  readonly job: Job;
  readonly progress: JobProgress;
  readonly defender: JobDefender | undefined;
  /** The job's own store, which holds its chunks. */
  readonly store: ObjectStore;
  /** The place of that store as a user names it, for run.json. */
  readonly out: string;
  /** Where results.jsonl, run.json and report.html go. */
  readonly destination: Destination;
  readonly overwrite: boolean;
}

export interface Exported {
  readonly run: RunSummary;
  readonly figures: RunFigures;
  readonly places: ResultPlaces;
}

/**
 * Writes the results of a complete job: each file whole or not at all, run.json last.
 *
 * @throws DeflectorError JOB_UNFINISHED, OUTPUT_EXISTS, RESULTS_INVALID, what stores and model throw
 */
export async function exportJob(request: ExportRequest): Promise<Exported> {
  const { job, progress, destination, store } = request;
  if (progress.state !== 'complete') {
    const message = `The job ${job.name} is ${progress.state}: ${progress.done} of ${progress.chunks} chunks have their verdicts`;
    throw new DeflectorError('JOB_UNFINISHED', message);
  }
  if (!request.overwrite) await refuseExisting(destination);
  const { labels } = await openModel(resolveSettings({ flags: job.settings }).model);
  const counter = new FigureCounter();
  await destination.store.writeStream(JOB_FILES.results, lines(store, progress.chunks, counter));
  const figures = counter.figures(CHANGES_LISTED);
  const run = summaryOf(request, figures);
  const report = { run, verdicts: verdictsOf(store, progress.chunks), gallery: noGallery(), labels };
  await writeReport(report, destination.store, JOB_FILES.report);
  await destination.store.write(JOB_FILES.run, Buffer.from(`${JSON.stringify(run, undefined, 2)}\n`));
  const { results, run: summary, report: page } = JOB_FILES;
  const places = {
    results: destination.place(results),
    run: destination.place(summary),
    report: destination.place(page),
  };
  return { run, figures, places };
}

/** @throws DeflectorError OUTPUT_EXISTS */
async function refuseExisting({ store }: Destination): Promise<void> {
  try {
    await store.readRange(JOB_FILES.results, 0, 1);
  } catch (error) {
    if (error instanceof DeflectorError && error.code === 'IMAGE_NOT_FOUND') return;
    throw error;
  }
  throw new DeflectorError('OUTPUT_EXISTS', `There are results already: ${JOB_FILES.results} in ${store.url}`);
}

async function* verdictsOf(store: ObjectStore, chunks: number): AsyncGenerator<Verdict, void, undefined> {
  for (let chunk = 0; chunk < chunks; chunk++) yield* await readVerdictsOf(store, chunk);
}

/** The lines of results.jsonl, chunk by chunk. */
async function* lines(
  store: ObjectStore,
  chunks: number,
  figures: FigureCounter,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let chunk = 0; chunk < chunks; chunk++) {
    const verdicts = await readVerdictsOf(store, chunk);
    for (const verdict of verdicts) figures.add(verdict);
    yield Buffer.from(verdicts.map(verdict => `${formatVerdict(verdict)}\n`).join(''));
  }
}

function summaryOf({ job, progress, defender, out }: ExportRequest, figures: RunFigures): RunSummary {
  const options = resolveSettings({ flags: job.settings });
  const { total, ok, suspicious } = figures;
  const errors = figures.errors.map(({ code, count }) => [code, count] as const).sort(([a], [b]) => (a < b ? -1 : 1));
  const flags = [
    `--chunk=${job.chunk}`,
    `--lane=${job.lane}`,
    `--fetch=${job.fetch}`,
    ...printFlags(options, UNRECORDED_SETTINGS),
  ];
  const finishedAt = progress.finishedAt ?? job.createdAt;
  return {
    schema: RUN_SCHEMA,
    status: 'complete',
    command: ['deflector', 'enqueue', ...job.inputs, '--job', job.name, '--out', out, ...flags],
    inputs: job.inputs,
    model: job.model,
    ...(job.localizer === undefined ? {} : { localizer: job.localizer }),
    runtime: defender?.runtime ?? options.runtime,
    threads: defender?.threads ?? 0,
    recipe: options.recipe,
    seed: options.defence.seed,
    defence: defenceRecord(options),
    settings: job.settings,
    versions: defender?.versions ?? runtimeVersions(),
    counts: { total, ok, suspicious, errors: Object.fromEntries(errors) },
    startedAt: job.createdAt,
    finishedAt,
    ms: { total: Date.parse(finishedAt) - Date.parse(job.createdAt), images: total },
  };
}

/** Pictures would need the images once more. */
async function* noGallery(): AsyncGenerator<GalleryItem, void, undefined> {}
