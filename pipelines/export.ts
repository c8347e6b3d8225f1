/**
 * Brings the verdicts of a distributed job together: one chunk after another, in the order of input, in bounded memory.
 * What it writes is what an embedded job leaves, but for durations.
 */
import { defenceRecord, printFlags, type ResolvedOptions } from '../src/config/settings.js';
import { UNRECORDED_SETTINGS } from '../src/config/table.js';
import { DeflectorError } from '../src/errors.js';
import { readVerdictsOf } from '../src/jobs/chunk-files.js';
import { type Job, type JobDefender, type JobProgress, refuseCleaned } from '../src/jobs/job.js';
import { openModel } from '../src/models/registry.js';
import type { ResultPlaces } from '../src/report/closing-summary.js';
import { FigureCounter, type RunFigures } from '../src/report/figures.js';
import { selectGallery } from '../src/report/gallery.js';
import { writeReport } from '../src/report/html-report.js';
import { RUN_SCHEMA, type RunSummary } from '../src/report/run-summary.js';
import { datasetForm, datasetPlaces, describeDataset, writeShards } from '../src/sinks/defended-dataset.js';
import type { Destination } from '../src/sinks/destination.js';
import { formatParquet } from '../src/sinks/parquet-writer.js';
import { formatVerdict } from '../src/sinks/verdict-json.js';
import type { OpenStore } from '../src/storage/open-store.js';
import type { ObjectStore, Verdict } from '../src/types.js';
import { exportGallery } from './export-gallery.js';
import { JOB_FILES } from './job.js';
import { optionsOf } from './job-work.js';
import { runtimeVersions } from './versions.js';

/** Label changes in the figures of a result. */
const CHANGES_LISTED = 20;

/** Characters of lines that are written together. */
const LINES_LENGTH = 64 * 1024;

export interface ExportRequest {
  readonly job: Job;
  readonly progress: JobProgress;
  readonly defender: JobDefender | undefined;
  /** The job's own store, which holds its chunks. */
  readonly store: ObjectStore;
  /** The place of that store as a user names it, for run.json. */
  readonly out: string;
  /** That place itself. */
  readonly own: Destination;
  /** Where results.jsonl, run.json and report.html go. */
  readonly destination: Destination;
  readonly overwrite: boolean;
  readonly format: ResolvedOptions['format'];
  /** Most images shown in the report. */
  readonly gallery: number;
  readonly openStore: OpenStore;
  /** Told how many pictures the report does without, and why. */
  missingPictures(count: number, why: string): void;
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
  refuseCleaned(job, progress);
  if (!request.overwrite) await refuseExisting(destination);
  const options = optionsOf(job);
  const { labels } = await openModel(options.model);
  const verdicts = () => verdictsOf(store, progress.chunks);
  const counter = new FigureCounter();
  if (options.emit === 'defended') await exportDataset(request, options, verdicts);
  if (request.format !== 'jsonl') await destination.store.writeStream(JOB_FILES.parquet, formatParquet(verdicts()));
  if (request.format !== 'parquet') await destination.store.writeStream(JOB_FILES.results, lines(verdicts()));
  const choices = await selectGallery(counted(verdicts(), counter), request.gallery);
  const figures = counter.figures(CHANGES_LISTED);
  const run = summaryOf(request, figures);
  const gallery = exportGallery(job, options, choices, request.openStore, request.missingPictures);
  await writeReport({ run, verdicts: verdicts(), gallery, labels }, destination.store, JOB_FILES.report);
  await destination.store.write(JOB_FILES.run, Buffer.from(`${JSON.stringify(run, undefined, 2)}\n`));
  const { results, parquet, run: summary, report: page } = JOB_FILES;
  const places = {
    results: destination.place(request.format === 'parquet' ? parquet : results),
    run: destination.place(summary),
    report: destination.place(page),
    ...(options.emit === 'defended' ? { defended: request.own.place(JOB_FILES.defended) } : {}),
  };
  return { run, figures, places };
}

/** Describes the defended images, which lie in the job's own place, and makes shards of them where the job wants those. */
async function exportDataset(
  { own }: ExportRequest,
  options: ResolvedOptions,
  verdicts: () => AsyncGenerator<Verdict, void, undefined>,
): Promise<void> {
  const places = datasetPlaces(own);
  const form = datasetForm(options);
  await describeDataset(places, form, verdicts());
  if (form.kind === 'shards') await writeShards(places, form.size, verdicts());
}

/** @throws DeflectorError OUTPUT_EXISTS */
async function refuseExisting({ store }: Destination): Promise<void> {
  for (const name of [JOB_FILES.results, JOB_FILES.parquet]) {
    try {
      await store.readRange(name, 0, 1);
    } catch (error) {
      if (error instanceof DeflectorError && error.code === 'IMAGE_NOT_FOUND') continue;
      throw error;
    }
    throw new DeflectorError('OUTPUT_EXISTS', `There are results already: ${name} in ${store.url}`);
  }
}

async function* verdictsOf(store: ObjectStore, chunks: number): AsyncGenerator<Verdict, void, undefined> {
  for (let chunk = 0; chunk < chunks; chunk++) yield* await readVerdictsOf(store, chunk);
}

/** The lines of results.jsonl, some at a time. */
async function* lines(verdicts: AsyncIterable<Verdict>): AsyncGenerator<Uint8Array, void, undefined> {
  let text = '';
  for await (const verdict of verdicts) {
    text += `${formatVerdict(verdict)}\n`;
    if (text.length < LINES_LENGTH) continue;
    yield Buffer.from(text);
    text = '';
  }
  yield Buffer.from(text);
}

async function* counted(
  verdicts: AsyncIterable<Verdict>,
  figures: FigureCounter,
): AsyncGenerator<Verdict, void, undefined> {
  for await (const verdict of verdicts) {
    figures.add(verdict);
    yield verdict;
  }
}

function summaryOf({ job, progress, defender, out }: ExportRequest, figures: RunFigures): RunSummary {
  const options = optionsOf(job);
  const { total, ok, suspicious } = figures;
  const errors = figures.errors.map(({ code, count }) => [code, count] as const).sort(([a], [b]) => (a < b ? -1 : 1));
  const flags = [
    `--chunk=${job.chunk}`,
    `--lane=${job.lane}`,
    `--fetch=${job.fetch}`,
    ...(job.deadline === undefined ? [] : [`--deadline=${job.deadline}`]),
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
