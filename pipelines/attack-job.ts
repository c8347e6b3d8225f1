/**
 * Many images attacked: inputs to a folder of adversarial images.
 *
 *     DIR/attacks.jsonl   one image a line, in the order of input; the journal that a resumed job goes on from
 *     DIR/run.json        attack, parameters, seed, model, versions, figures; says how to run it again
 *     DIR/images/         the adversarial images, as PNG; with --npy beside each its pixels as the model takes them
 */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Attack } from '../src/attacks/attack.js';
import { attackImage } from '../src/attacks/attack-image.js';
import { ATTACK_SCHEMA, type AttackRecord, type AttackSummary, summarise } from '../src/attacks/attack-record.js';
import { ModelQueries } from '../src/attacks/model-queries.js';
import { printParameters } from '../src/attacks/resolve-parameters.js';
import { type TrueLabels, trueLabels } from '../src/attacks/true-labels.js';
import type { ResolvedOptions } from '../src/config/settings.js';
import { flagOf } from '../src/config/table.js';
import { runRandom } from '../src/defense/random.js';
import { DeflectorError } from '../src/errors.js';
import { decodeImage, hardenDecoder } from '../src/images/decode.js';
import { framed } from '../src/images/frame.js';
import { preprocess } from '../src/images/preprocess.js';
import { encodeNpy, encodePng } from '../src/images/write.js';
import { openModel } from '../src/models/registry.js';
import { openClassifier, openDifferentiable } from '../src/models/runtimes.js';
import { defendedName } from '../src/sinks/defended-dataset.js';
import type { Existing } from '../src/sinks/journal.js';
import { LineJournal } from '../src/sinks/line-journal.js';
import { systemClock, toVerdictError } from '../src/stages/common.js';
import { type FetchPorts, fetchImage, isFetched } from '../src/stages/fetch.js';
import { FileSystemStore } from '../src/storage/filesystem-store.js';
import { type JobInputs, openInputs } from '../src/storage/inputs.js';
import type { Classifier, FetchedImage, JobItem, Label, ModelIdentity, RgbImage } from '../src/types.js';
import { runtimeVersions } from './versions.js';

export const ATTACK_RUN_SCHEMA = 'deflector/attack-run@1';

/** Names of the files of a job, in its folder. */
export const ATTACK_FILES = Object.freeze({ records: 'attacks.jsonl', run: 'run.json', images: 'images' });

export interface AttackRequest {
  readonly attack: Attack;
  readonly values: Readonly<Record<string, unknown>>;
  readonly inputs: readonly string[];
  /** Folder of the results. */
  readonly out: string;
  readonly existing: Existing;
  /** As `trueLabels` takes it. */
  readonly labels: string;
  readonly npy: boolean;
  /** Model, runtime, limits and seed. */
  readonly options: ResolvedOptions;
  /** The model that the job to resume began with. */
  readonly model?: ModelIdentity | undefined;
}

/** The content of run.json. Field order is the order of the printed JSON. */
export interface AttackRun {
  readonly schema: typeof ATTACK_RUN_SCHEMA;
  readonly status: 'running' | 'complete' | 'interrupted' | 'failed';
  readonly failure?: { readonly code: string; readonly message: string };
  readonly command: readonly string[];
  readonly attack: string;
  readonly source: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly labels: string;
  readonly npy: boolean;
  readonly seed: string;
  /** What else the images depend on, by the names in deflector.yaml. */
  readonly settings: { readonly model: string; readonly maxBytes: number; readonly maxPixels: number };
  readonly model: ModelIdentity;
  readonly runtime: string;
  readonly threads: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly figures: AttackSummary;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly ms: { readonly total: number };
}

/** Told how a job goes on; must not throw. */
export interface AttackObserver {
  started?(model: ModelIdentity, runtime: string): void;
  total?(images: number): void;
  record?(record: AttackRecord, resumed: boolean): void;
}

/** Images under attack at a time, and queries in one call of the model. */
const IMAGES_AT_ONCE = 4;
const QUERIES_AT_ONCE = 8;

/** Longest line of `attacks.jsonl` in bytes. */
const MAX_RECORD_BYTES = 64 * 1024;

/**
 * Runs an attack over many images, or goes on with it.
 *
 * @param signal asks the job to stop: what is under attack is finished, the rest is left for `resume`
 * @throws DeflectorError of kind `usage` before any work; RESUME_MISMATCH; what the stores and the model throw
 */
export async function runAttackJob(
  request: AttackRequest,
  observer: AttackObserver,
  signal: AbortSignal,
): Promise<AttackRun> {
  hardenDecoder();
  const { options, attack } = request;
  const out = resolve(request.out);
  const inputs = await openInputs(request.inputs, { exclude: [out, join(out, ATTACK_FILES.images)] });
  const model = await openModel(options.model);
  if (request.model !== undefined && request.model.sha256 !== model.identity.sha256) {
    throw new DeflectorError('RESUME_MISMATCH', `The job began with another network of ${request.model.name}`);
  }
  const labels = await trueLabels(request.labels, model.labels);
  const open = attack.access === 'gradients' ? openDifferentiable : openClassifier;
  const classifier = await open(model, { runtime: options.runtime, threads: options.threads });
  try {
    return await new AttackJob(request, out, inputs, labels, classifier, observer).run(signal);
  } finally {
    await classifier.dispose();
  }
}

class AttackJob {
  readonly #request: AttackRequest;
  readonly #out: string;
  readonly #inputs: JobInputs;
  readonly #labels: TrueLabels;
  readonly #classifier: Classifier;
  readonly #observer: AttackObserver;
  readonly #queries: ModelQueries;
  readonly #ports: FetchPorts;
  readonly #results: FileSystemStore;
  readonly #images: FileSystemStore;
  readonly #records: AttackRecord[] = [];
  readonly #startedAt = new Date();
  readonly #started = systemClock.now();

  constructor(
    request: AttackRequest,
    out: string,
    inputs: JobInputs,
    labels: TrueLabels,
    classifier: Classifier,
    observer: AttackObserver,
  ) {
    const { maxBytes, maxPixels, imageTimeout } = request.options;
    this.#request = request;
    this.#out = out;
    this.#inputs = inputs;
    this.#labels = labels;
    this.#classifier = classifier;
    this.#observer = observer;
    this.#queries = new ModelQueries(classifier, QUERIES_AT_ONCE);
    this.#results = new FileSystemStore(out);
    this.#images = new FileSystemStore(join(out, ATTACK_FILES.images));
    this.#ports = {
      stores: inputs.stores,
      decode: async (bytes): Promise<RgbImage> => {
        const image = await decodeImage(bytes, { maxBytes, maxPixels, timeoutSeconds: Math.ceil(imageTimeout) });
        return preprocess(image, classifier.preprocessing);
      },
      clock: systemClock,
    };
  }

  async run(signal: AbortSignal): Promise<AttackRun> {
    await mkdir(join(this.#out, ATTACK_FILES.images), { recursive: true });
    const journal = await LineJournal.open(join(this.#out, ATTACK_FILES.records), this.#request.existing);
    const counting = new AbortController();
    try {
      await this.#save('running');
      this.#observer.started?.(this.#classifier.model, this.#classifier.runtime);
      void this.#inputs.count(counting.signal).then(
        images => this.#observer.total?.(images),
        () => undefined,
      );
      const finished = await this.#attackAll(journal, signal);
      return await this.#save(finished ? 'complete' : 'interrupted');
    } catch (error) {
      const { code, message } = toVerdictError(error);
      // A disk that is full may refuse this too; the cause is what the caller needs to hear.
      await this.#save('failed', { code, message }).catch(() => undefined);
      throw error;
    } finally {
      counting.abort();
      await journal.close();
    }
  }

  /** Some images at a time; their records in the order of input. @returns whether all were attacked */
  async #attackAll(journal: LineJournal, signal: AbortSignal): Promise<boolean> {
    const ahead: Promise<AttackRecord>[] = [];
    const publish = async (): Promise<void> => {
      const record = await ahead.shift()!;
      await journal.append([JSON.stringify(record)]);
      this.#tell(record, false);
    };
    try {
      for await (const item of this.#remaining(journal)) {
        if (signal.aborted) break;
        ahead.push(this.#attack(item));
        if (ahead.length === IMAGES_AT_ONCE) await publish();
      }
      while (ahead.length > 0) await publish();
    } finally {
      await Promise.allSettled(ahead);
    }
    return !signal.aborted;
  }

  /** The images that have no record yet. @throws DeflectorError RESUME_MISMATCH where the listing is another one */
  async *#remaining(journal: LineJournal): AsyncGenerator<JobItem> {
    const done = journal.resumed(MAX_RECORD_BYTES);
    for await (const item of this.#inputs.items()) {
      const next = await done.next();
      if (next.done === true) {
        yield item;
        continue;
      }
      const record = recordOf(next.value.text);
      if (record?.key !== item.key) {
        throw new DeflectorError(
          'RESUME_MISMATCH',
          `The inputs are not those of the interrupted job: ${JSON.stringify(item.key)} was not listed there`,
        );
      }
      this.#tell(record, true);
    }
  }

  #tell(record: AttackRecord, resumed: boolean): void {
    this.#records.push(record);
    this.#observer.record?.(record, resumed);
  }

  async #attack(item: JobItem): Promise<AttackRecord> {
    const head = { schema: ATTACK_SCHEMA, key: item.key } as const;
    const fetched = await fetchImage(item, this.#ports, this.#request.options);
    if (!isFetched(fetched)) {
      const { sha256, error } = fetched;
      return { ...head, ...(sha256 === undefined ? {} : { sha256 }), status: 'error', error };
    }
    const { sha256 } = fetched;
    let label: number | undefined;
    try {
      label = this.#labels(item.key);
    } catch (error) {
      return { ...head, sha256, status: 'error', error: toVerdictError(error) };
    }
    return this.#attackFetched(fetched, label);
  }

  async #attackFetched({ key, sha256, pixels }: FetchedImage, label: number | undefined): Promise<AttackRecord> {
    const head = { schema: ATTACK_SCHEMA, key, sha256 } as const;
    const { attack, values, options, npy } = this.#request;
    const random = runRandom(options.defence.seed, sha256, 0);
    const started = systemClock.now();
    const result = await attackImage(attack, values, this.#queries, pixels, label, random);
    if ('predicted' in result) {
      return { ...head, status: 'wrong', label: this.#called(label!), predicted: this.#called(result.predicted) };
    }
    const { image, adversarial, fooled, fooledBeforeRounding, margin, l2, linf, ssim, calls } = result.attacked;
    const ms = { attack: Math.round(systemClock.now() - started) };
    const around = framed(image, this.#classifier.preprocessing);
    const name = defendedName(key);
    await this.#images.write(name, await encodePng(around ?? image));
    if (npy) await this.#images.write(`${name}.npy`, tensorFile(image));
    return {
      ...head,
      status: 'attacked',
      file: `${ATTACK_FILES.images}/${name}`,
      exact: around !== undefined,
      label: this.#called(result.label),
      adversarial: this.#called(adversarial),
      ...{ fooled, fooledBeforeRounding, margin, l2, linf, ssim, calls, ms },
    };
  }

  #called(index: number): Label {
    return this.#classifier.labels[index]!;
  }

  async #save(status: AttackRun['status'], failure?: AttackRun['failure']): Promise<AttackRun> {
    const { attack, values, inputs, out, labels, npy, options } = this.#request;
    const parameters = printParameters(attack, values);
    const { model, maxBytes, maxPixels } = options;
    const settings = { model, maxBytes, maxPixels };
    const flags = Object.entries({ ...parameters, labels, seed: options.defence.seed, ...settings });
    const run: AttackRun = {
      schema: ATTACK_RUN_SCHEMA,
      status,
      ...(failure === undefined ? {} : { failure }),
      command: [
        ...['deflector', 'attack', attack.name, ...inputs, '--out', out],
        ...flags.map(([name, value]) => `${flagOf(name)}=${value}`),
        ...(npy ? ['--npy'] : []),
      ],
      attack: attack.name,
      source: attack.source,
      parameters,
      labels,
      npy,
      seed: options.defence.seed,
      settings,
      model: this.#classifier.model,
      runtime: this.#classifier.runtime,
      threads: options.threads,
      versions: runtimeVersions(),
      figures: summarise(this.#records),
      startedAt: this.#startedAt.toISOString(),
      finishedAt: new Date().toISOString(),
      ms: { total: Math.round(systemClock.now() - this.#started) },
    };
    await this.#results.write(ATTACK_FILES.run, Buffer.from(`${JSON.stringify(run, undefined, 2)}\n`));
    return run;
  }
}

/** The pixels as float32 [height, width, 3], RGB in [0,1]. */
function tensorFile({ width, height, data }: RgbImage): Uint8Array {
  return encodeNpy(
    Float32Array.from(data, value => value / 255),
    [height, width, 3],
  );
}

function recordOf(text: string | undefined): AttackRecord | undefined {
  try {
    const record = JSON.parse(text ?? '') as AttackRecord;
    return record.schema === ATTACK_SCHEMA ? record : undefined;
  } catch {
    return undefined;
  }
}
