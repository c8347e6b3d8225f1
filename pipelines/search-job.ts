/**
 * A search for a model's recipe: labelled images, attacked and defended by candidates on the search split, to a recipe that
 * is held against the paper's on the test split.
 *
 *     DIR/search.json   all figures and what they were made from; says how to make them again
 *     DIR/search.md     tables for reading
 *     DIR/cache/        what was found, adversarial images included; `deflector evaluate` reads the same
 */
import { arch, cpus, platform } from 'node:os';
import { availableCores } from '../src/config/cores.js';
import type { Recipe } from '../src/config/recipes.js';
import { printDefence, type ResolvedOptions } from '../src/config/settings.js';
import { EvaluationCache } from '../src/evaluation/evaluation-cache.js';
import { LabelledImages } from '../src/evaluation/labelled-images.js';
import { ModelEvaluation } from '../src/evaluation/model-evaluation.js';
import type { Demand } from '../src/evaluation/protocol.js';
import {
  type MeasuredCases,
  type SearchObserver,
  type SearchPlan,
  type SearchResult,
  searchRecipe,
} from '../src/evaluation/search/recipe-search.js';
import { SEARCH_SCHEMA, type SearchReport } from '../src/evaluation/search/search-report.js';
import { hardenDecoder } from '../src/images/decode.js';
import { recommendRecipe } from '../src/models/recommend-recipe.js';
import { openModel } from '../src/models/registry.js';
import { runtimeFor } from '../src/models/runtimes.js';
import { searchMarkdown } from '../src/report/evaluation/search-markdown.js';
import { openDestination } from '../src/sinks/destination.js';
import { S3Connection } from '../src/storage/s3-connection.js';
import { runtimeVersions } from './versions.js';

export interface SearchRequest {
  readonly data: string;
  readonly out: string;
  /** Folder or bucket of the cache; default: `cache` in `out`. */
  readonly cache: string | undefined;
  readonly labels: string | undefined;
  readonly plan: Omit<SearchPlan, 'seed'>;
  /** Whether the model's folder is to recommend what was found. */
  readonly write: boolean;
  readonly options: ResolvedOptions;
}

/** Told how a search goes on; must not throw. */
export interface SearchJobObserver extends SearchObserver {
  total?(attackedImages: number): void;
  done?(): void;
}

/** Names of the files of a search, in its folder. */
export const SEARCH_FILES = Object.freeze({ json: 'search.json', markdown: 'search.md', cache: 'cache' });

/**
 * Searches, or goes on where an earlier call stopped: what is in the cache is not done again.
 *
 * @param signal asks to stop: what is in hand is finished and kept
 * @returns the report; `undefined` where it was asked to stop
 * @throws DeflectorError of kind `usage` before any work; what the data, the model and the stores throw
 */
export async function runSearch(
  request: SearchRequest,
  observer: SearchJobObserver,
  signal: AbortSignal,
): Promise<SearchReport | undefined> {
  hardenDecoder();
  const started = performance.now();
  const startedAt = new Date();
  const s3 = new S3Connection(request.options);
  try {
    const destination = openDestination(request.out, s3);
    await destination.check();
    const { cache } = request;
    const kept = cache === undefined ? destination.folder(SEARCH_FILES.cache) : openDestination(cache, s3);
    const measuring = new Measuring(request, new EvaluationCache(kept.store), s3, observer, signal);
    const plan = { ...request.plan, seed: request.options.defence.seed };
    const result = await searchRecipe(plan, demands => measuring.measure(demands), observer);
    if (result === undefined) return undefined;
    const model = await openModel(request.options.model);
    const written = request.write ? await recommendRecipe(model.folder, result.winner.recipe) : undefined;
    const report: SearchReport = {
      schema: SEARCH_SCHEMA,
      command: commandOf(request),
      model: model.identity,
      runtime: runtimeFor(model, request.options.runtime).name,
      data: { source: request.data, ...measuring.counts },
      plan,
      ...printed(result),
      written,
      versions: runtimeVersions(),
      machine: {
        cpu: cpus()[0]?.model.trim() ?? 'unknown processor',
        cores: availableCores(),
        platform: `${platform()}-${arch()}`,
      },
      startedAt: startedAt.toISOString(),
      finishedAt: new Date().toISOString(),
      ms: Math.round(performance.now() - started),
    };
    const files: readonly (readonly [string, string])[] = [
      [SEARCH_FILES.json, `${JSON.stringify(report, undefined, 1)}\n`],
      [SEARCH_FILES.markdown, searchMarkdown(report)],
    ];
    for (const [name, text] of files) await destination.store.write(name, Buffer.from(text));
    return report;
  } finally {
    await s3.close();
  }
}

/** Measures one round of a search after another. */
class Measuring {
  counts = { listed: 0, unusable: 0 };
  readonly #request: SearchRequest;
  readonly #cache: EvaluationCache;
  readonly #s3: S3Connection;
  readonly #observer: SearchJobObserver;
  readonly #signal: AbortSignal;

  constructor(
    request: SearchRequest,
    cache: EvaluationCache,
    s3: S3Connection,
    observer: SearchJobObserver,
    signal: AbortSignal,
  ) {
    this.#request = request;
    this.#cache = cache;
    this.#s3 = s3;
    this.#observer = observer;
    this.#signal = signal;
  }

  /** @returns `undefined` where it was asked to stop */
  async measure(demands: readonly Demand[]): Promise<MeasuredCases | undefined> {
    const { options, data, labels } = this.#request;
    const { model, runtime, threads, maxBytes, maxPixels, imageTimeout } = options;
    const evaluation = await ModelEvaluation.open(
      {
        ...{ model, runtime, threads, seed: options.defence.seed },
        shard: { index: 0, count: 1 },
        signal: this.#signal,
        done: () => this.#observer.done?.(),
      },
      this.#cache,
      opened => LabelledImages.open(data, opened.labels, { labels, maxBytes, maxPixels, imageTimeout, s3: this.#s3 }),
    );
    if (!(await evaluation.run(demands, total => this.#observer.total?.(total)))) return undefined;
    this.counts = { listed: evaluation.listed, unusable: evaluation.unusable };
    return evaluation;
  }
}

/** Recipes as deflector.yaml takes them. */
function printed({ rounds, entries, curves, winner, test }: SearchResult) {
  const print = <T extends { readonly recipe: Recipe }>({ recipe, ...rest }: T) => {
    const { seed: _, ...settings } = printDefence({ ...recipe, seed: '-' });
    return { ...rest, recipe: settings };
  };
  return {
    rounds,
    winner: print(winner),
    test: test.map(print),
    curves: curves.map(print),
    entries: entries.map(print),
  };
}

function commandOf({ data, out, cache, labels, plan, options, write }: SearchRequest): string[] {
  return [
    ...['deflector', 'search', '--data', data, '--out', out],
    ...(cache === undefined ? [] : ['--cache', cache]),
    ...(labels === undefined ? [] : ['--labels', labels]),
    ...['--candidates', String(plan.candidates), '--images', String(plan.images)],
    ...['--test-images', String(plan.testImages), '--max-clean-loss', String(plan.maxCleanLoss)],
    ...['--model', options.model, '--runtime', options.runtime, '--seed', options.defence.seed],
    ...(plan.curves ? ['--curves'] : []),
    ...(write ? ['--write'] : []),
  ];
}
