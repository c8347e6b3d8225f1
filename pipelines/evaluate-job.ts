/**
 * An evaluation: labelled images, attacked and defended as protocols demand, to a report.
 *
 *     DIR/evaluation.json   all figures, with what they were made from; says how to make them again
 *     DIR/evaluation.csv    one figure a line
 *     DIR/evaluation.md     tables for reading
 *     DIR/evaluation.html   the same with plots, one page that asks for nothing else
 *     DIR/cache/            what was found, by what it follows from; see evaluation-cache.ts
 */
import { createHash } from 'node:crypto';
import { arch, cpus, platform } from 'node:os';
import { join } from 'node:path';
import { availableCores } from '../src/config/cores.js';
import { DEFAULT_RECIPE, type Recommendation } from '../src/config/recipes.js';
import { printDefence, type ResolvedOptions, resolveOptions } from '../src/config/settings.js';
import { contentDigest } from '../src/evaluation/content-digest.js';
import type { DefenceCase } from '../src/evaluation/defence-case.js';
import { EvaluationCache } from '../src/evaluation/evaluation-cache.js';
import { EVALUATION_SCHEMA, type EvaluationReport } from '../src/evaluation/evaluation-report.js';
import { evaluateExternal, externalDefences } from '../src/evaluation/external-evaluation.js';
import { readExternalImages } from '../src/evaluation/external-images.js';
import { LabelledImages } from '../src/evaluation/labelled-images.js';
import { runLadder } from '../src/evaluation/ladder/ladder.js';
import type { LadderRow } from '../src/evaluation/ladder/ladder-result.js';
import type { Measurement } from '../src/evaluation/measurement.js';
import { modelCard } from '../src/evaluation/model-card.js';
import { type EvaluationOptions, ModelEvaluation, type Shard } from '../src/evaluation/model-evaluation.js';
import type { Measured, Plan } from '../src/evaluation/protocol.js';
import { type ChosenProtocols, EXTERNAL, protocolsCalled } from '../src/evaluation/protocols/catalogue.js';
import { ladder, ladderDefences, ladderSample, PROTOCOL_BUDGET } from '../src/evaluation/protocols/ladder.js';
import type { Section } from '../src/evaluation/report-content.js';
import type { Split } from '../src/evaluation/split.js';
import { hardenDecoder } from '../src/images/decode.js';
import { openModel } from '../src/models/registry.js';
import { runtimeFor } from '../src/models/runtimes.js';
import { evaluationCsv } from '../src/report/evaluation/csv.js';
import { evaluationMarkdown } from '../src/report/evaluation/markdown.js';
import { evaluationPage } from '../src/report/evaluation/page.js';
import { openDestination } from '../src/sinks/destination.js';
import { isS3Address } from '../src/storage/s3-address.js';
import { S3Connection } from '../src/storage/s3-connection.js';
import { runtimeVersions } from './versions.js';

export interface EvaluationRequest {
  readonly protocol: string;
  readonly data: string;
  readonly out: string;
  /** Folder or bucket of the cache; default: `cache` in `out`. */
  readonly cache: string | undefined;
  readonly labels: string | undefined;
  /** Images of the main tables; default: the protocol's. */
  readonly images: number | undefined;
  /** Further models, for the tables that compare models. */
  readonly models: readonly string[];
  /** Do only this part of the work, and write no report. */
  readonly shard: Shard | undefined;
  readonly options: ResolvedOptions;
  /** What the model's folder recommends. */
  readonly recipe: Recommendation | undefined;
}

/** Told how an evaluation goes on; must not throw. */
export interface EvaluationObserver {
  total?(attackedImages: number): void;
  done?(measurement: Measurement, fromCache: boolean): void;
  /** Of the adaptive ladder: attacks done, of how many. */
  climbed?(done: number, total: number): void;
}

/** Names of the files of an evaluation, in its folder. */
export const EVALUATION_FILES = Object.freeze({
  json: 'evaluation.json',
  csv: 'evaluation.csv',
  markdown: 'evaluation.md',
  page: 'evaluation.html',
  cache: 'cache',
});

/**
 * Evaluates a model, or goes on where an earlier call stopped: what is in the cache is not done again.
 *
 * @param signal asks to stop: what is in hand is finished and kept
 * @returns the report; `undefined` for a shard, and where it was asked to stop
 * @throws DeflectorError of kind `usage` before any work; what the data, the models and the stores throw
 */
export async function runEvaluation(
  request: EvaluationRequest,
  observer: EvaluationObserver,
  signal: AbortSignal,
): Promise<EvaluationReport | undefined> {
  hardenDecoder();
  const chosen = request.protocol === EXTERNAL ? { protocols: [], images: 0 } : protocolsCalled(request.protocol);
  const s3 = new S3Connection(request.options);
  try {
    return await new Evaluation(request, chosen, s3, observer, signal).run();
  } finally {
    await s3.close();
  }
}

class Evaluation {
  readonly #request: EvaluationRequest;
  readonly #protocols: ChosenProtocols['protocols'];
  readonly #plan: Plan;
  readonly #s3: S3Connection;
  readonly #observer: EvaluationObserver;
  readonly #signal: AbortSignal;
  readonly #startedAt = new Date();
  readonly #started = performance.now();
  readonly #threadMs = new Map<string, number>();
  #measured = 0;
  #fromCache = 0;

  constructor(
    request: EvaluationRequest,
    chosen: ChosenProtocols,
    s3: S3Connection,
    observer: EvaluationObserver,
    signal: AbortSignal,
  ) {
    this.#request = request;
    this.#protocols = chosen.protocols;
    this.#s3 = s3;
    this.#observer = observer;
    this.#signal = signal;
    this.#plan = {
      images: request.images ?? chosen.images,
      models: [request.options.model, ...request.models],
      recommended: recommendedCase(request.recipe),
    };
  }

  async run(): Promise<EvaluationReport | undefined> {
    const { out, cache } = this.#request;
    const destination = openDestination(out, this.#s3);
    await destination.check();
    const kept = new EvaluationCache(
      (cache === undefined ? destination.folder(EVALUATION_FILES.cache) : openDestination(cache, this.#s3)).store,
    );
    const report = this.#request.protocol === EXTERNAL ? await this.#external(kept) : await this.#measure(kept);
    if (report === undefined) return undefined;
    for (const [name, bytes] of await reportFiles(report)) await destination.store.write(name, bytes);
    return report;
  }

  async #measure(cache: EvaluationCache): Promise<EvaluationReport | undefined> {
    const demands = this.#protocols.flatMap(protocol => protocol.demands(this.#plan));
    const evaluations: ModelEvaluation[] = [];
    for (const [n, model] of this.#plan.models.entries()) {
      const own = demands.filter(({ sample }) => sample.model === n);
      const evaluation = await this.#open(model, cache);
      evaluations.push(evaluation);
      if (!(await evaluation.run(own, total => this.#observer.total?.(total)))) return undefined;
    }
    if (this.#request.shard !== undefined) return undefined;
    const rows = this.#protocols.includes(ladder) ? await this.#climb(evaluations[0]!) : [];
    if (this.#signal.aborted) return undefined;
    const measured: Measured = {
      measurements: (sample, attack) => evaluations[sample.model]!.measurements(sample, attack),
      cases: (sample, attack, defence) => evaluations[sample.model]!.cases(sample, attack, defence),
      ladder: rows,
    };
    const sections = this.#protocols.map(protocol => protocol.section(measured, this.#plan));
    const names = new Set(this.#protocols.map(({ name }) => name));
    const [first] = evaluations;
    return this.#report(
      evaluations.map(evaluation => ({
        ...evaluation.model.identity,
        test: imagesOf(evaluation, 'test'),
        search: imagesOf(evaluation, 'search'),
      })),
      runtimeFor(first!.model, this.#request.options.runtime).name,
      { sha256: digestOf(first!), listed: first!.listed, unusable: first!.unusable },
      sections,
      modelCard(measured, this.#plan, names),
    );
  }

  /** The ladder keeps what it has done by itself, in a folder. */
  async #climb(evaluation: ModelEvaluation): Promise<readonly LadderRow[]> {
    const { options, out, cache } = this.#request;
    const { seed } = options.defence;
    const images = evaluation.images('test').slice(0, ladderSample(this.#plan).images);
    const folder = cache ?? join(out, EVALUATION_FILES.cache);
    return runLadder(
      {
        model: options.model,
        runtime: options.runtime,
        surrogate: this.#plan.models[1],
        defences: ladderDefences(this.#plan).map(({ id, settings, rungs }) => ({
          name: id,
          settings: { ...settings, seed },
          rungs,
        })),
        images,
        budget: PROTOCOL_BUDGET,
        seed: `attacker of ${seed}`,
        threads: options.threads,
        store: isS3Address(folder) ? undefined : join(folder, 'ladder'),
      },
      { result: (_, done, total) => this.#observer.climbed?.(done, total) },
      this.#signal,
    );
  }

  async #external(cache: EvaluationCache): Promise<EvaluationReport | undefined> {
    const { data, options } = this.#request;
    const model = await openModel(options.model);
    const attacks = await readExternalImages(data, model, options);
    const images = attacks.flatMap(({ images: own }) => own);
    this.#observer.total?.(images.length);
    const defences = externalDefences(this.#plan.recommended);
    const section = await evaluateExternal(model, attacks, defences, cache, this.#evaluationOptions(options.model));
    if (section === undefined) return undefined;
    const hash = createHash('sha256');
    for (const { pixels } of images) hash.update(contentDigest(pixels));
    const none = { images: 0, wrong: 0 };
    return this.#report(
      [{ ...model.identity, test: { images: images.length, wrong: 0 }, search: none }],
      runtimeFor(model, options.runtime).name,
      { sha256: hash.digest('hex'), listed: images.length, unusable: 0 },
      [section],
      ['These images were attacked elsewhere; the table says what defences make of them, and no more.'],
    );
  }

  #open(model: string, cache: EvaluationCache): Promise<ModelEvaluation> {
    const { options, data, labels } = this.#request;
    const { maxBytes, maxPixels, imageTimeout } = options;
    const limits = { labels, maxBytes, maxPixels, imageTimeout, s3: this.#s3 };
    return ModelEvaluation.open(this.#evaluationOptions(model), cache, opened =>
      LabelledImages.open(data, opened.labels, limits),
    );
  }

  #evaluationOptions(model: string): EvaluationOptions {
    const { options, shard } = this.#request;
    return {
      ...{ model, runtime: options.runtime, threads: options.threads, seed: options.defence.seed },
      shard: shard ?? { index: 0, count: 1 },
      signal: this.#signal,
      done: (key, measurement, fromCache) => this.#count(key, measurement, fromCache),
    };
  }

  #count(key: string, measurement: Measurement, fromCache: boolean): void {
    if (fromCache) this.#fromCache++;
    else this.#measured++;
    const outcomes = Object.values(measurement.outcomes).reduce((sum, { ms }) => sum + ms, 0);
    this.#threadMs.set(key, measurement.ms + outcomes);
    this.#observer.done?.(measurement, fromCache);
  }

  #report(
    models: EvaluationReport['models'],
    runtime: string,
    found: Pick<EvaluationReport['data'], 'sha256' | 'listed' | 'unusable'>,
    sections: readonly Section[],
    card: readonly string[],
  ): EvaluationReport {
    const { options, data, labels } = this.#request;
    return {
      schema: EVALUATION_SCHEMA,
      protocol: this.#request.protocol,
      command: this.#command(),
      models,
      runtime,
      data: { source: data, ...found, labels: labels ?? 'labels.csv or class folders' },
      images: this.#plan.images,
      seed: options.defence.seed,
      recipe: this.#request.recipe?.recipe ?? DEFAULT_RECIPE,
      defences: this.#defences(),
      attacks: this.#attacks(),
      versions: runtimeVersions(),
      machine: {
        cpu: cpus()[0]?.model.trim() ?? 'unknown processor',
        cores: availableCores(),
        platform: `${platform()}-${arch()}`,
      },
      startedAt: this.#startedAt.toISOString(),
      finishedAt: new Date().toISOString(),
      duration: {
        ms: Math.round(performance.now() - this.#started),
        measured: this.#measured,
        fromCache: this.#fromCache,
        threadMs: [...this.#threadMs.values()].reduce((sum, ms) => sum + ms, 0),
      },
      card,
      sections,
    };
  }

  #command(): string[] {
    const { protocol, data, out, cache, labels, models, options } = this.#request;
    return [
      ...['deflector', 'evaluate', protocol, '--data', data, '--out', out],
      ...(cache === undefined ? [] : ['--cache', cache]),
      ...(labels === undefined ? [] : ['--labels', labels]),
      ...(protocol === EXTERNAL ? [] : ['--images', String(this.#plan.images)]),
      ...models.flatMap(model => ['--compare', model]),
      ...['--model', options.model, '--runtime', options.runtime, '--seed', options.defence.seed],
    ];
  }

  #defences(): Record<string, Readonly<Record<string, unknown>>> {
    const demanded = this.#protocols.flatMap(protocol =>
      protocol.demands(this.#plan).flatMap(({ defences }) => defences),
    );
    const external = this.#request.protocol === EXTERNAL ? externalDefences(this.#plan.recommended) : [];
    const climbed = this.#protocols.includes(ladder) ? ladderDefences(this.#plan) : [];
    const cases = [...demanded, ...external, ...climbed];
    const { seed } = this.#request.options.defence;
    return Object.fromEntries(
      cases.map(({ id, settings }) => {
        const { seed: _, ...printed } = printDefence({ ...settings, seed });
        return [id, printed];
      }),
    );
  }

  #attacks(): Record<string, Readonly<Record<string, unknown>>> {
    const cases = this.#protocols.flatMap(protocol => protocol.demands(this.#plan).flatMap(({ attacks }) => attacks));
    return Object.fromEntries(
      cases.flatMap(({ id, attack, parameters }) => (attack === undefined ? [] : [[id, { attack, ...parameters }]])),
    );
  }
}

function recommendedCase(recommendation: Recommendation | undefined): DefenceCase | undefined {
  if (recommendation === undefined || recommendation.recipe === DEFAULT_RECIPE) return undefined;
  const { recipe, defence: settings } = resolveOptions({ seed: '-' }, recommendation);
  return { id: recipe, title: 'Recommended recipe', settings };
}

function imagesOf(evaluation: ModelEvaluation, split: Split): { images: number; wrong: number } {
  const { chosen, wrong } = evaluation.selection(split);
  return { images: chosen, wrong };
}

function digestOf(evaluation: ModelEvaluation): string {
  const hash = createHash('sha256');
  for (const split of ['test', 'search'] as const) {
    for (const { sha256 } of evaluation.images(split)) hash.update(sha256);
  }
  return hash.digest('hex');
}

async function reportFiles(report: EvaluationReport): Promise<readonly (readonly [string, Uint8Array])[]> {
  // Plots are drawn from their data again; what they show stands in the tables.
  const sections = report.sections.map(({ plots: _, ...section }) => section);
  return [
    [EVALUATION_FILES.json, Buffer.from(`${JSON.stringify({ ...report, sections }, undefined, 1)}\n`)],
    [EVALUATION_FILES.csv, Buffer.from(evaluationCsv(report))],
    [EVALUATION_FILES.markdown, Buffer.from(evaluationMarkdown(report))],
    [EVALUATION_FILES.page, Buffer.from(await evaluationPage(report))],
  ];
}
