/**
 * A bulk job on one machine: inputs to a folder of results, which may lie in S3.
 *
 *     DIR/results.jsonl   one verdict a line, in the order of input; the journal that a resumed job goes on from
 *     DIR/run.json        settings, versions, digests, counts; says how to run it again
 *     DIR/results.parquet the verdicts as a table, where asked for
 *     DIR/report.html     the same for people
 *     DIR/defended/       the defended images, where asked for
 *
 * The states of a job, as `run.json` gives them:
 *
 *     running ──▶ complete
 *        ├──▶ interrupted ──resume──▶ running
 *        └──▶ failed ───────resume──▶ running     (a job that was killed stays `running` and is resumed the same way)
 */
import { defenceRecord, printFlags, printSettings, type ResolvedOptions } from '../src/config/settings.js';
import { DefendPool } from '../src/engine/defend-pool.js';
import type { EngineInfo } from '../src/engine/engine.js';
import { engineSpecOf } from '../src/engine/engine-spec.js';
import { DeflectorError } from '../src/errors.js';
import { hardenDecoder } from '../src/images/decode.js';
import { decoderFor } from '../src/images/decoder.js';
import { encodePng } from '../src/images/write.js';
import { FigureCounter, type RunFigures } from '../src/report/figures.js';
import { type GalleryItem, galleryItem, selectGallery } from '../src/report/gallery.js';
import { writeReport } from '../src/report/html-report.js';
import { RUN_SCHEMA, type RunSummary } from '../src/report/run-summary.js';
import {
  DATASET_FOLDERS,
  DefendedDataset,
  type DefendedImage,
  datasetForm,
  datasetPlaces,
  writeShards,
} from '../src/sinks/defended-dataset.js';
import { type Destination, openDestination } from '../src/sinks/destination.js';
import type { Existing } from '../src/sinks/journal.js';
import { JsonLinesSink } from '../src/sinks/json-lines-sink.js';
import { formatParquet } from '../src/sinks/parquet-writer.js';
import { systemClock, toVerdictError } from '../src/stages/common.js';
import type { DefendOutcome } from '../src/stages/defend.js';
import { type FetchPorts, fetchImage, isFetched } from '../src/stages/fetch.js';
import type { StageObserver } from '../src/stages/observer.js';
import { type JobInputs, openInputs } from '../src/storage/inputs.js';
import { S3Connection } from '../src/storage/s3-connection.js';
import type { Health } from '../src/telemetry/health.js';
import type { JobItem, Verdict } from '../src/types.js';
import { embeddedLimits, runEmbedded } from './embedded.js';
import { runtimeVersions } from './versions.js';

/** What results depend on beside the settings. */
export type Began = Pick<RunSummary, 'model' | 'localizer' | 'runtime'>;

export interface JobRequest {
  /** As the user typed them. */
  readonly inputs: readonly string[];
  /** Folder of the results, or its address in S3. */
  readonly out: string;
  readonly existing: Existing;
  readonly options: ResolvedOptions;
  /** What the job to resume began with. */
  readonly began?: Began | undefined;
  /** Told how the stages go on. */
  readonly stages?: StageObserver | undefined;
  /** Asked whether the process lives, and whether it is ready. */
  readonly health?: Health | undefined;
}

/** Told how a job goes on; must not throw. */
export interface JobObserver {
  /** The model is live and the results are open. */
  started?(info: EngineInfo): void;
  /** The number of images, once it is known. */
  total?(images: number): void;
  /** A verdict is durable; `resumed` where an earlier call made it. */
  verdict?(verdict: Verdict, resumed: boolean): void;
  /** All verdicts are there; the report is being written. */
  reporting?(): void;
}

export interface JobResult {
  /** The content of run.json; its status tells `complete` from `interrupted`. */
  readonly run: RunSummary;
  readonly figures: RunFigures;
  /** Files in the inputs' folders that by their names are no images: how many, and the first few. */
  readonly passedOver: { readonly count: number; readonly names: readonly string[] };
  /** Forward passes of the images that this call defended, undefended ones included. */
  readonly passes: number;
}

/** Names of the files of a job, in its folder. */
export const JOB_FILES = Object.freeze({
  results: 'results.jsonl',
  parquet: 'results.parquet',
  run: 'run.json',
  report: 'report.html',
  defended: DATASET_FOLDERS.dataset,
});

/** Seconds after which a thread that has images in hand and gives no verdict counts as stuck. */
const STUCK_SECONDS = 300;

/** Labels and label changes in the figures of a result. */
const CHANGES_LISTED = 20;
/** Files passed over that a result names. */
const PASSED_OVER_NAMED = 3;

/**
 * Runs a job, or goes on with one.
 *
 * @param signal asks the job to stop: what is on its way is finished, the rest is left for `resume`
 * @throws DeflectorError of kind `usage` before any work; RESUME_MISMATCH; what the stores, the sinks and the model throw
 */
export async function runJob(request: JobRequest, observer: JobObserver, signal: AbortSignal): Promise<JobResult> {
  const s3 = new S3Connection(request.options);
  try {
    return await runConnected(request, s3, observer, signal);
  } finally {
    await s3.close();
  }
}

async function runConnected(
  request: JobRequest,
  s3: S3Connection,
  observer: JobObserver,
  signal: AbortSignal,
): Promise<JobResult> {
  const { options } = request;
  hardenDecoder();
  const out = openDestination(request.out, s3);
  await out.check();
  const inputs = await openInputs(request.inputs, {
    // A job does not defend what it makes, even where its results lie among its inputs.
    exclude: [out.place(''), ...Object.values(DATASET_FOLDERS).map(folder => out.place(folder))],
    links: options.followLinks ? 'anywhere' : 'inside',
    s3,
  });
  const record = defenceRecord(options);
  const starting = request.health?.addReadiness('model', () => 'starting');
  const pool = await DefendPool.start(engineSpecOf(options), options.threads, request.stages);
  const watched = request.health?.addLiveness('threads', () => stuck(pool));
  starting?.();
  try {
    if (request.began !== undefined) checkSame(request.began, pool.info);
    return await new Job(request, out, inputs, pool, record, observer).run(signal);
  } finally {
    watched?.();
    await pool.close();
  }
}

function stuck(pool: DefendPool): string | undefined {
  const seconds = Math.round(pool.stalled / 1000);
  return seconds > STUCK_SECONDS ? `a thread has given no verdict for ${seconds} s` : undefined;
}

class Job {
  readonly #request: JobRequest;
  readonly #out: Destination;
  readonly #inputs: JobInputs;
  readonly #pool: DefendPool;
  readonly #record: Readonly<Record<string, unknown>>;
  readonly #observer: JobObserver;
  readonly #figures = new FigureCounter();
  readonly #fetchPorts: FetchPorts;
  readonly #startedAt = new Date();
  readonly #started = systemClock.now();
  /** When the last verdict was durable. */
  #finished: number | undefined;
  #passedOver = 0;
  readonly #passedOverNames: string[] = [];
  /** Images that this call defended. */
  #images = 0;
  /** Verdicts that are durable, those of earlier calls included. */
  #published = 0;
  #begun = false;
  #passes = 0;

  constructor(
    request: JobRequest,
    out: Destination,
    inputs: JobInputs,
    pool: DefendPool,
    record: Readonly<Record<string, unknown>>,
    observer: JobObserver,
  ) {
    this.#request = request;
    this.#out = out;
    this.#inputs = inputs;
    this.#pool = pool;
    this.#record = record;
    this.#observer = observer;
    this.#fetchPorts = {
      stores: inputs.stores,
      decode: decoderFor(pool.info.preprocessing, request.options.defence.at, request.options),
      clock: systemClock,
      observer: request.stages,
    };
  }

  async run(signal: AbortSignal): Promise<JobResult> {
    const journal = await this.#out.journal(JOB_FILES.results, this.#request.existing);
    const sink = new JsonLinesSink(JOB_FILES.results, journal);
    const counting = new AbortController();
    try {
      // Nothing is written before it is known that this is the job whose results lie here.
      const items = this.#inputs.items(key => this.#passed(key));
      await this.#passOver(sink.resumed(), items);
      await this.#out.sweep(false);
      for (const folder of Object.values(DATASET_FOLDERS)) await this.#out.folder(folder).sweep(true);
      await this.#save(this.#summary('running'));
      this.#begun = true;
      this.#observer.started?.(this.#pool.info);
      void this.#inputs.count(counting.signal).then(
        images => this.#observer.total?.(images),
        () => undefined,
      );
      const finished = await this.#defend(items, sink, signal);
      this.#finished = systemClock.now();
      if (finished) {
        this.#observer.reporting?.();
        await sink.seal();
        await this.#finish(sink);
        const report = {
          run: this.#summary('complete'),
          verdicts: sink.verdicts(),
          gallery: this.#gallery(sink),
          labels: this.#pool.info.labels,
        };
        await writeReport(report, this.#out.store, JOB_FILES.report);
      }
      const run = await this.#save(this.#summary(finished ? 'complete' : 'interrupted'));
      const passedOver = { count: this.#passedOver, names: this.#passedOverNames };
      return { run, figures: this.#figures.figures(CHANGES_LISTED), passes: this.#passes, passedOver };
    } catch (error) {
      const { code, message } = toVerdictError(error);
      // A disk that is full may refuse this too; the cause is what the caller needs to hear.
      // Where another process took the job over, what it says of the job holds.
      if (this.#begun && code !== 'OUTPUT_LOCKED') {
        await this.#save({ ...this.#summary('failed'), failure: { code, message } }).catch(() => undefined);
      }
      throw error;
    } finally {
      counting.abort();
      await sink.close();
    }
  }

  /** Makes what is made of all verdicts together. */
  async #finish(sink: JsonLinesSink): Promise<void> {
    const { emit, emitForm, shardSize, format } = this.#request.options;
    if (emit === 'defended' && emitForm === 'shards') {
      await writeShards(datasetPlaces(this.#out), shardSize, sink.verdicts());
    }
    if (format !== 'jsonl') await this.#out.store.writeStream(JOB_FILES.parquet, formatParquet(sink.verdicts()));
  }

  async #defend(items: AsyncIterable<JobItem>, sink: JsonLinesSink, signal: AbortSignal): Promise<boolean> {
    const { options } = this.#request;
    const dataset = options.emit === 'defended' ? await this.#openDataset(sink) : undefined;
    try {
      const publish = async (outcomes: readonly DefendOutcome[]): Promise<void> => {
        const { stages } = this.#request;
        const started = systemClock.now();
        const left = stages?.entered('publish', outcomes.length);
        const verdicts = outcomes.map(outcome => outcome.verdict);
        try {
          // The journal is written last: what it acknowledges is complete.
          await dataset?.write(await defendedImages(outcomes, this.#published));
          await sink.write(verdicts);
        } finally {
          left?.();
        }
        stages?.published({ verdicts, ms: systemClock.now() - started });
        for (const verdict of verdicts) this.#tell(verdict, false);
        this.#images += verdicts.length;
        this.#published += verdicts.length;
        for (const { passes } of outcomes) this.#passes += passes;
      };
      const limits = embeddedLimits(options.threads, options.maxBytes, options.defence.at === 'original');
      const ports = {
        ...this.#fetchPorts,
        defend: this.#pool.defend.bind(this.#pool),
        publish,
      };
      const finished = await runEmbedded(items, ports, limits, { defended: dataset !== undefined }, signal);
      if (finished) await dataset?.seal();
      return finished;
    } finally {
      await dataset?.close();
    }
  }

  async #openDataset(sink: JsonLinesSink): Promise<DefendedDataset> {
    const { existing, options } = this.#request;
    const places = datasetPlaces(this.#out);
    const form = datasetForm(options);
    if (existing !== 'resume') return DefendedDataset.open(places, form, { existing });
    let rows = 0;
    for await (const verdict of sink.resumed()) if (verdict.status === 'ok') rows++;
    return DefendedDataset.open(places, form, { existing, rows });
  }

  /** Passes over the images that have their verdicts already. @throws DeflectorError RESUME_MISMATCH where the listing is another one */
  async #passOver(done: AsyncIterable<Verdict>, items: AsyncIterator<JobItem>): Promise<void> {
    for await (const verdict of done) {
      const item = await items.next();
      const listed: string | undefined = item.done === true ? undefined : item.value.key;
      if (verdict.key !== listed) throw mismatch(verdict.key, listed);
      this.#published++;
      this.#tell(verdict, true);
    }
  }

  #passed(key: string): void {
    this.#passedOver++;
    if (this.#passedOverNames.length < PASSED_OVER_NAMED) this.#passedOverNames.push(key);
  }

  #tell(verdict: Verdict, resumed: boolean): void {
    this.#figures.add(verdict);
    this.#observer.verdict?.(verdict, resumed);
  }

  /** Defends the images of the gallery once more: same image, same seed, same pictures as in the job. */
  async *#gallery(sink: JsonLinesSink): AsyncGenerator<GalleryItem> {
    const { options } = this.#request;
    const choices = await selectGallery(sink.verdicts(), options.gallery);
    const items = await this.#at(new Set(choices.map(choice => choice.position)));
    for (const { position, verdict } of choices) {
      const item = items.get(position);
      if (item === undefined || item.key !== verdict.key) continue;
      const image = await fetchImage(item, this.#fetchPorts, options).catch(() => undefined);
      if (image === undefined || !isFetched(image) || image.sha256 !== verdict.sha256) continue;
      const { explanation } = await this.#pool.defend(image, { explanation: true });
      if (explanation !== undefined) yield galleryItem({ ...explanation, verdict });
    }
  }

  /** The items at some positions of the listing. */
  async #at(positions: ReadonlySet<number>): Promise<Map<number, JobItem>> {
    const found = new Map<number, JobItem>();
    if (positions.size === 0) return found;
    for await (const item of this.#inputs.items()) {
      if (positions.has(item.index)) found.set(item.index, item);
      if (found.size === positions.size) break;
    }
    return found;
  }

  #counts(): RunSummary['counts'] {
    const { total, ok, suspicious, errors } = this.#figures.figures(0);
    const byCode = errors.map(({ code, count }) => [code, count] as const).sort(([a], [b]) => (a < b ? -1 : 1));
    return { total, ok, suspicious, errors: Object.fromEntries(byCode) };
  }

  async #save(summary: RunSummary): Promise<RunSummary> {
    await this.#out.store.write(JOB_FILES.run, Buffer.from(`${JSON.stringify(summary, undefined, 2)}\n`));
    return summary;
  }

  #summary(status: RunSummary['status']): RunSummary {
    const { inputs, options, out } = this.#request;
    const { model, localizer, runtime, device } = this.#pool.info;
    return {
      schema: RUN_SCHEMA,
      status,
      command: ['deflector', 'run', ...inputs, '--out', out, ...printFlags(options)],
      inputs,
      model,
      ...(localizer === undefined ? {} : { localizer }),
      runtime,
      ...(device === undefined ? {} : { device }),
      threads: options.threads,
      recipe: options.recipe,
      seed: options.defence.seed,
      defence: this.#record,
      settings: printSettings(options),
      versions: runtimeVersions(),
      counts: this.#counts(),
      startedAt: this.#startedAt.toISOString(),
      finishedAt: new Date().toISOString(),
      ms: { total: Math.round((this.#finished ?? systemClock.now()) - this.#started), images: this.#images },
    };
  }
}

/** What the dataset takes of a chunk: the images that could be defended, as PNG. @param first place of the chunk in the input */
function defendedImages(outcomes: readonly DefendOutcome[], first: number): Promise<DefendedImage[]> {
  return Promise.all(
    outcomes.flatMap(({ verdict, defended }, place) =>
      verdict.status === 'ok' && defended !== undefined
        ? [encodePng(defended).then(png => ({ verdict, position: first + place, png }))]
        : [],
    ),
  );
}

/** @throws DeflectorError RESUME_MISMATCH where results would not be those of an uninterrupted job */
function checkSame(began: Began, now: EngineInfo): void {
  const identity = (model: Began['localizer']) =>
    model === undefined ? 'none' : `${model.name} (${model.sha256.slice(0, 12)})`;
  const same = (what: string, before: string, after: string) => {
    if (before !== after) {
      throw new DeflectorError('RESUME_MISMATCH', `The job began with the ${what} ${before}, not ${after}`);
    }
  };
  same('model', identity(began.model), identity(now.model));
  same('localiser', identity(began.localizer), identity(now.localizer));
  same('runtime', began.runtime, now.runtime);
}

function mismatch(done: string, listed: string | undefined): DeflectorError {
  const now = listed === undefined ? 'the listing ends' : `the listing has ${JSON.stringify(listed)}`;
  return new DeflectorError(
    'RESUME_MISMATCH',
    `The inputs are not those of the interrupted job: where it defended ${JSON.stringify(done)}, ${now}`,
  );
}
