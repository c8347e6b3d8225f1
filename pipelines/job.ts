/**
 * A bulk job on one machine: inputs to a folder of results.
 *
 *     DIR/results.jsonl   one verdict a line, in the order of input; the journal that a resumed job goes on from
 *     DIR/run.json        settings, versions, digests, counts; says how to run it again
 *     DIR/report.html     the same for people
 *     DIR/defended/       the defended images, where asked for
 *
 * The states of a job, as `run.json` gives them:
 *
 *     running ──▶ complete
 *        ├──▶ interrupted ──resume──▶ running
 *        └──▶ failed ───────resume──▶ running     (a job that was killed stays `running` and is resumed the same way)
 */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { printDefence, printFlags, printSettings, type ResolvedOptions } from '../src/config/settings.js';
import { DeflectorError } from '../src/errors.js';
import { decodeImage, hardenDecoder } from '../src/images/decode.js';
import { preprocess } from '../src/images/preprocess.js';
import { encodePng } from '../src/images/write.js';
import { FigureCounter, type RunFigures } from '../src/report/figures.js';
import { type GalleryItem, galleryItem, selectGallery } from '../src/report/gallery.js';
import { writeReport } from '../src/report/html-report.js';
import { RUN_SCHEMA, type RunSummary } from '../src/report/run-summary.js';
import { DefendedDataset, type DefendedImage } from '../src/sinks/defended-dataset.js';
import { type JsonLinesSink, openJsonLinesSink, readVerdicts } from '../src/sinks/json-lines-sink.js';
import type { Existing } from '../src/sinks/line-journal.js';
import { systemClock, toVerdictError } from '../src/stages/common.js';
import type { DefendOutcome } from '../src/stages/defend.js';
import { type FetchPorts, fetchImage, isFetched } from '../src/stages/fetch.js';
import { FileSystemStore } from '../src/storage/filesystem-store.js';
import { type JobInputs, openInputs } from '../src/storage/inputs.js';
import type { JobItem, ModelIdentity, Preprocessing, RgbImage, Verdict } from '../src/types.js';
import { DefendPool } from './defend-pool.js';
import { embeddedLimits, runEmbedded } from './embedded.js';
import type { EngineInfo, EngineSpec } from './engine.js';
import { runtimeVersions } from './versions.js';

export interface JobRequest {
  /** As the user typed them. */
  readonly inputs: readonly string[];
  /** Folder of the results. */
  readonly out: string;
  readonly existing: Existing;
  readonly options: ResolvedOptions;
  /** The model that the job to resume began with. */
  readonly model?: ModelIdentity | undefined;
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
}

/** Names of the files of a job, in its folder. */
export const JOB_FILES = Object.freeze({
  results: 'results.jsonl',
  run: 'run.json',
  report: 'report.html',
  defended: 'defended',
});

/** Labels and label changes in the figures of a result. */
const CHANGES_LISTED = 20;

/**
 * Runs a job, or goes on with one.
 *
 * @param signal asks the job to stop: what is on its way is finished, the rest is left for `resume`
 * @throws DeflectorError of kind `usage` before any work; RESUME_MISMATCH; what the stores, the sinks and the model throw
 */
export async function runJob(request: JobRequest, observer: JobObserver, signal: AbortSignal): Promise<JobResult> {
  const { options } = request;
  hardenDecoder();
  const out = resolve(request.out);
  const inputs = await openInputs(request.inputs, { exclude: [out] });
  const record = defenceRecord(options);
  const spec: EngineSpec = {
    model: options.model,
    localizer: options.localizer,
    runtime: options.runtime,
    settings: options.defence,
    record,
    maximumBatch: options.batch,
    threads: 1,
  };
  const pool = await DefendPool.start(spec, options.threads);
  try {
    const { model } = pool.info;
    if (request.model !== undefined && request.model.sha256 !== model.sha256) {
      const [began, found] = [request.model, model].map(({ name, sha256 }) => `${name} (${sha256.slice(0, 12)})`);
      throw new DeflectorError('RESUME_MISMATCH', `The job began with the model ${began}, not ${found}`);
    }
    return await new Job(request, out, inputs, pool, record, observer).run(signal);
  } finally {
    await pool.close();
  }
}

/** What a verdict says of the settings: all of the defence but the seed, which has a field of its own. */
export function defenceRecord(options: ResolvedOptions): Readonly<Record<string, unknown>> {
  const { seed: _, ...defence } = printDefence(options.defence);
  return Object.freeze({ recipe: options.recipe, ...defence });
}

/** Decodes an image for a defence at the model's size, or at its own. */
export function decoderFor(options: ResolvedOptions, preprocessing: Preprocessing): FetchPorts['decode'] {
  const limits = {
    maxBytes: options.maxBytes,
    maxPixels: options.maxPixels,
    timeoutSeconds: Math.ceil(options.imageTimeout),
  };
  return async (bytes): Promise<RgbImage> => {
    const image = await decodeImage(bytes, limits);
    return options.defence.at === 'model' ? preprocess(image, preprocessing) : image;
  };
}

class Job {
  readonly #request: JobRequest;
  readonly #out: string;
  readonly #inputs: JobInputs;
  readonly #pool: DefendPool;
  readonly #record: Readonly<Record<string, unknown>>;
  readonly #observer: JobObserver;
  readonly #store: FileSystemStore;
  readonly #figures = new FigureCounter();
  readonly #fetchPorts: FetchPorts;
  readonly #startedAt = new Date();
  readonly #started = systemClock.now();
  #images = 0;

  constructor(
    request: JobRequest,
    out: string,
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
    this.#store = new FileSystemStore(out);
    this.#fetchPorts = {
      stores: inputs.stores,
      decode: decoderFor(request.options, pool.info.preprocessing),
      clock: systemClock,
    };
  }

  async run(signal: AbortSignal): Promise<JobResult> {
    const { existing } = this.#request;
    await mkdir(this.#out, { recursive: true });
    const results = join(this.#out, JOB_FILES.results);
    const sink = await openJsonLinesSink(results, { existing });
    const counting = new AbortController();
    try {
      await this.#save(this.#summary('running'));
      this.#observer.started?.(this.#pool.info);
      void this.#inputs.count(counting.signal).then(
        images => this.#observer.total?.(images),
        () => undefined,
      );
      const finished = await this.#defend(sink, signal);
      if (finished) {
        this.#observer.reporting?.();
        const gallery = this.#gallery(results);
        const report = {
          run: this.#summary('complete'),
          verdicts: readVerdicts(results),
          gallery,
          labels: this.#pool.info.labels,
        };
        await writeReport(report, join(this.#out, JOB_FILES.report));
      }
      const run = await this.#save(this.#summary(finished ? 'complete' : 'interrupted'));
      return { run, figures: this.#figures.figures(CHANGES_LISTED) };
    } catch (error) {
      const { code, message } = toVerdictError(error);
      // A disk that is full may refuse this too; the cause is what the caller needs to hear.
      await this.#save({ ...this.#summary('failed'), failure: { code, message } }).catch(() => undefined);
      throw error;
    } finally {
      counting.abort();
      await sink.close();
    }
  }

  async #defend(sink: JsonLinesSink, signal: AbortSignal): Promise<boolean> {
    const { options } = this.#request;
    const dataset = options.emit === 'defended' ? await this.#openDataset(sink) : undefined;
    try {
      const publish = async (outcomes: readonly DefendOutcome[]): Promise<void> => {
        // The journal is written last: what it acknowledges is complete.
        await dataset?.write(await defendedImages(outcomes));
        const verdicts = outcomes.map(outcome => outcome.verdict);
        await sink.write(verdicts);
        for (const verdict of verdicts) this.#tell(verdict, false);
        this.#images += verdicts.length;
      };
      const limits = embeddedLimits(options.threads, options.maxBytes, options.defence.at === 'original');
      const ports = {
        ...this.#fetchPorts,
        defend: this.#pool.defend.bind(this.#pool),
        publish,
      };
      return await runEmbedded(this.#remaining(sink), ports, limits, { defended: dataset !== undefined }, signal);
    } finally {
      await dataset?.close();
    }
  }

  async #openDataset(sink: JsonLinesSink): Promise<DefendedDataset> {
    const { existing } = this.#request;
    const folder = join(this.#out, JOB_FILES.defended);
    if (existing !== 'resume') return DefendedDataset.open(folder, { existing });
    let rows = 0;
    for await (const verdict of sink.resumed()) if (verdict.status === 'ok') rows++;
    return DefendedDataset.open(folder, { existing, rows });
  }

  /** The images that have no verdict yet. @throws DeflectorError RESUME_MISMATCH where the listing is another one */
  async *#remaining(sink: JsonLinesSink): AsyncGenerator<JobItem> {
    const done = sink.resumed();
    let next = await done.next();
    for await (const item of this.#inputs.items()) {
      if (next.done === true) {
        yield item;
        continue;
      }
      if (next.value.key !== item.key) throw mismatch(next.value.key, item.key);
      this.#tell(next.value, true);
      next = await done.next();
    }
    if (next.done !== true) throw mismatch(next.value.key, undefined);
  }

  #tell(verdict: Verdict, resumed: boolean): void {
    this.#figures.add(verdict);
    this.#observer.verdict?.(verdict, resumed);
  }

  /** Defends the images of the gallery once more: same image, same seed, same pictures as in the job. */
  async *#gallery(results: string): AsyncGenerator<GalleryItem> {
    const { options } = this.#request;
    const choices = await selectGallery(readVerdicts(results), options.gallery);
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
    await this.#store.write(JOB_FILES.run, Buffer.from(`${JSON.stringify(summary, undefined, 2)}\n`));
    return summary;
  }

  #summary(status: RunSummary['status']): RunSummary {
    const { inputs, options, out } = this.#request;
    const { model, localizer, runtime } = this.#pool.info;
    return {
      schema: RUN_SCHEMA,
      status,
      command: ['deflector', 'run', ...inputs, '--out', out, ...printFlags(options)],
      inputs,
      model,
      ...(localizer === undefined ? {} : { localizer }),
      runtime,
      threads: options.threads,
      recipe: options.recipe,
      seed: options.defence.seed,
      defence: this.#record,
      settings: printSettings(options),
      versions: runtimeVersions(),
      counts: this.#counts(),
      startedAt: this.#startedAt.toISOString(),
      finishedAt: new Date().toISOString(),
      ms: { total: Math.round(systemClock.now() - this.#started), images: this.#images },
    };
  }
}

/** What the dataset takes of a chunk: the images that could be defended, as PNG. */
function defendedImages(outcomes: readonly DefendOutcome[]): Promise<DefendedImage[]> {
  return Promise.all(
    outcomes.flatMap(({ verdict, defended }) =>
      verdict.status === 'ok' && defended !== undefined ? [encodePng(defended).then(png => ({ verdict, png }))] : [],
    ),
  );
}

function mismatch(done: string, listed: string | undefined): DeflectorError {
  const now = listed === undefined ? 'the listing ends' : `the listing has ${JSON.stringify(listed)}`;
  return new DeflectorError(
    'RESUME_MISMATCH',
    `The inputs are not those of the interrupted job: where it defended ${JSON.stringify(done)}, ${now}`,
  );
}
