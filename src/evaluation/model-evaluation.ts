/**
 * One model under evaluation: finds the images that it gets right, has them attacked and defended as protocols demand, and
 * keeps what is found, so that nothing is done twice.
 */
import { ATTACKS } from '../attacks/catalogue.js';
import { printParameters, resolveParameters } from '../attacks/resolve-parameters.js';
import { makePatchBank, type PatchBank } from '../comparators/quilting.js';
import { toPlanar } from '../defense/order.js';
import { runRandom } from '../defense/random.js';
import type { DefenceSettings } from '../defense/settings.js';
import { invalid } from '../errors.js';
import type { Model } from '../models/model.js';
import { openModel } from '../models/registry.js';
import { runtimeFor } from '../models/runtimes.js';
import type { RgbImage } from '../types.js';
import { type AttackCase, CLEAN } from './attack-case.js';
import { contentDigest } from './content-digest.js';
import type { DefenceCase } from './defence-case.js';
import { type Circumstances, type EvaluationCache, keyOfCircumstances, keyOfDefence } from './evaluation-cache.js';
import { EvaluationPool } from './evaluation-pool.js';
import type { Experiment } from './image-laboratory.js';
import type { LabelledImage, LabelledImages } from './labelled-images.js';
import type { Measurement } from './measurement.js';
import type { Demand } from './protocol.js';
import type { Case } from './rates.js';
import type { Sample } from './sample.js';
import type { Split } from './split.js';

/** Part of the work, for one of several processes that share a cache: the images whose number leaves `index` over `count`. */
export interface Shard {
  /** From 0. */
  readonly index: number;
  readonly count: number;
}

export interface EvaluationOptions {
  /** Name or folder. */
  readonly model: string;
  readonly runtime: string;
  readonly threads: number;
  readonly seed: string;
  readonly shard: Shard;
  readonly signal: AbortSignal;
  /** Told of each image under each attack that is done, found in the cache or not; not of those looked at to choose. */
  readonly done: (key: string, measurement: Measurement, fromCache: boolean) => void;
}

/** An image that counts. */
interface Chosen extends LabelledImage {
  /** As the model gives it where the data do not say. */
  readonly label: number;
}

/** How the images of a split were found. */
export interface Selection {
  readonly chosen: number;
  /** Left out because the undefended model gets them wrong. */
  readonly wrong: number;
}

/** Images that one attack is put to, and for each the defences. */
interface Work {
  readonly attack: AttackCase;
  readonly split: Split;
  /** By key of the defence: how many images, and its settings. */
  readonly defences: Map<string, { images: number; settings: DefenceSettings }>;
  images: number;
}

/** Clean images whose patches `quilt` takes, and how many patches. */
const BANK_IMAGES = 40;
const BANK_PATCHES = 20_000;

export class ModelEvaluation {
  readonly model: Model;
  readonly #options: EvaluationOptions;
  readonly #cache: EvaluationCache;
  readonly #data: LabelledImages;
  readonly #chosen: Record<Split, Chosen[]> = { search: [], test: [] };
  readonly #wrong: Record<Split, number> = { search: 0, test: 0 };
  readonly #found = new Map<string, Measurement>();
  readonly #runtime: string | undefined;
  #pool: EvaluationPool | undefined;
  #patches: { readonly bank: PatchBank; readonly digest: string } | undefined;

  private constructor(model: Model, options: EvaluationOptions, cache: EvaluationCache, data: LabelledImages) {
    this.model = model;
    this.#runtime = unusualRuntime(model, options.runtime);
    this.#options = options;
    this.#cache = cache;
    this.#data = data;
  }

  /** @throws DeflectorError what opening the model and the data throws */
  static async open(
    options: EvaluationOptions,
    cache: EvaluationCache,
    openData: (model: Model) => Promise<LabelledImages>,
  ): Promise<ModelEvaluation> {
    const model = await openModel(options.model);
    return new ModelEvaluation(model, options, cache, await openData(model));
  }

  selection(split: Split): Selection {
    return { chosen: this.#chosen[split].length, wrong: this.#wrong[split] };
  }

  /** Images of the data, usable or not. */
  get listed(): number {
    return this.#data.count;
  }

  /** Images that could not be read or have no class, of those that were looked at. */
  get unusable(): number {
    return this.#data.unusable;
  }

  /** The chosen images of a split, for what is measured elsewhere. */
  images(split: Split): readonly Chosen[] {
    return this.#chosen[split];
  }

  /**
   * Finds or makes everything that the demands are about.
   *
   * @param planned told how many attacked images there are in all, once that is known
   * @returns whether it was finished; not, where the signal asked to stop
   * @throws DeflectorError of the data, the model, the cache
   */
  async run(demands: readonly Demand[], planned: (total: number) => void): Promise<boolean> {
    const most = (split: Split) =>
      demands.reduce((most, { sample }) => (sample.split === split ? Math.max(most, sample.images) : most), 0);
    const quilts = demands.some(({ defences }) => defences.some(needsPatches));
    try {
      await this.#choose({ search: Math.max(most('search'), quilts ? BANK_IMAGES : 0), test: most('test') });
      if (this.#stopped) return false;
      if (quilts) await this.#makePatches();
      const work = this.#merge(demands);
      planned(work.reduce((sum, { images }) => sum + images, 0));
      await this.#carryOut(work);
      return !this.#stopped;
    } finally {
      await this.#pool?.end();
      this.#pool = undefined;
    }
  }

  /** What was found for the images of a sample; only after {@link run}. */
  measurements(sample: Sample, attack: AttackCase): readonly Measurement[] {
    return this.#chosen[sample.split].slice(0, sample.images).map(image => {
      const found = this.#found.get(this.#keyOf(image, attack));
      if (found === undefined) throw new TypeError(`${attack.id} was not demanded for this sample`);
      return found;
    });
  }

  cases(sample: Sample, attack: AttackCase, defence: DefenceCase): readonly Case[] {
    const key = this.#keyOfDefence(defence);
    return this.measurements(sample, attack).map(measurement => {
      const outcome = measurement.outcomes[key];
      if (outcome === undefined) throw new TypeError(`${defence.id} was not demanded for this sample`);
      return { measurement, outcome };
    });
  }

  get #stopped(): boolean {
    return this.#options.signal.aborted;
  }

  /** Reads images until there are enough of each split that the undefended model gets right. */
  async #choose(wanted: Record<Split, number>): Promise<void> {
    const splits: readonly Split[] = ['search', 'test'];
    const enough = () => splits.every(split => this.#chosen[split].length >= wanted[split]);
    const ahead: { image: LabelledImage; measurement: Promise<Measurement> }[] = [];
    const settle = async (): Promise<void> => {
      const { image, measurement } = ahead.shift()!;
      const { label, clean } = await measurement;
      if (clean !== label) this.#wrong[image.split]++;
      else this.#chosen[image.split].push({ ...image, label });
    };
    try {
      for await (const image of this.#data.read(this.model.preprocessing)) {
        if (enough() || this.#stopped) break;
        if (this.#chosen[image.split].length >= wanted[image.split]) continue;
        ahead.push({ image, measurement: this.#examine(image, CLEAN, {}, () => undefined) });
        if (ahead.length > 2 * this.#options.threads) await settle();
      }
      while (ahead.length > 0) await settle();
    } finally {
      await Promise.allSettled(ahead.map(({ measurement }) => measurement));
    }
    for (const split of splits) this.#chosen[split].splice(wanted[split]);
  }

  async #makePatches(): Promise<void> {
    const images = this.#chosen.search.slice(0, BANK_IMAGES);
    if (images.length === 0) throw invalid('--data', 'images for the patches of quilting', 'none of the search split');
    const digests = images.map(({ pixels }) => contentDigest(pixels));
    const planar = images.map(({ pixels }) => ({ ...pixels, planes: toPlanar(pixels) }));
    const bank = makePatchBank(planar, BANK_PATCHES, runRandom(this.#options.seed, digests[0]!, 0));
    this.#patches = { bank, digest: `${digests.join()} ${BANK_PATCHES} ${this.#options.seed}` };
    // Threads that are there already do not know the patches.
    await this.#pool?.end();
    this.#pool = undefined;
  }

  #merge(demands: readonly Demand[]): Work[] {
    const merged = new Map<string, Work>();
    for (const { sample, attacks, defences } of demands) {
      const images = Math.min(sample.images, this.#chosen[sample.split].length);
      for (const attack of attacks) {
        const name = `${sample.split} ${attack.id}`;
        const work = merged.get(name) ?? { attack, split: sample.split, images: 0, defences: new Map() };
        merged.set(name, work);
        work.images = Math.max(work.images, images);
        for (const defence of defences) {
          const key = this.#keyOfDefence(defence);
          const before = work.defences.get(key);
          if (before === undefined) work.defences.set(key, { images, settings: this.#settingsOf(defence) });
          else before.images = Math.max(before.images, images);
        }
      }
    }
    return [...merged.values()];
  }

  /** Image by image, so that what an interrupted evaluation leaves serves all tables alike. */
  async #carryOut(work: readonly Work[]): Promise<void> {
    const { shard, threads } = this.#options;
    const most = work.reduce((most, { images }) => Math.max(most, images), 0);
    const inHand = new Set<Promise<void>>();
    try {
      for (let i = 0; i < most; i++) {
        if (i % shard.count !== shard.index) continue;
        for (const { attack, split, images, defences } of work) {
          if (i >= images) continue;
          if (this.#stopped) return;
          const image = this.#chosen[split][i]!;
          const wanted = [...defences].filter(([, defence]) => i < defence.images);
          const settings = Object.fromEntries(wanted.map(([key, defence]) => [key, defence.settings]));
          const task = this.#examine(image, attack, settings).then(measurement => {
            this.#found.set(this.#keyOf(image, attack), measurement);
            inHand.delete(task);
          });
          inHand.add(task);
          if (inHand.size >= 2 * threads) await Promise.race(inHand);
        }
      }
      await Promise.all(inHand);
    } finally {
      await Promise.allSettled(inHand);
    }
  }

  /** One image under one attack and some defences, from the cache as far as it knows them. */
  async #examine(
    image: LabelledImage,
    attack: AttackCase,
    defences: Readonly<Record<string, DefenceSettings>>,
    done: EvaluationOptions['done'] = this.#options.done,
  ): Promise<Measurement> {
    const key = this.#keyOf(image, attack);
    const known = await this.#cache.find(key);
    const missing = Object.fromEntries(
      Object.entries(defences).filter(([defence]) => known?.outcomes[defence] === undefined),
    );
    if (known !== undefined && Object.keys(missing).length === 0) {
      done(key, known, true);
      return known;
    }
    const made = known === undefined || attack.attack === undefined ? undefined : await this.#cache.findImage(key);
    // Without its image a measurement cannot be added to: it is made again, and comes out the same.
    const usable = known !== undefined && (attack.attack === undefined || made !== undefined) ? known : undefined;
    const experiment: Experiment = {
      clean: image.pixels,
      label: image.label,
      attack: attack.attack === undefined ? undefined : { name: attack.attack, parameters: attack.parameters },
      attacked: made,
      known: usable,
      defences: usable === undefined ? defences : missing,
      seed: this.#options.seed,
    };
    const findings = await (await this.#startedPool()).examine(experiment);
    const outcomes = { ...usable?.outcomes, ...findings.measurement.outcomes };
    const measurement = { ...findings.measurement, outcomes };
    await this.#cache.keep(key, measurement, findings.made);
    done(key, measurement, false);
    return measurement;
  }

  #starting: Promise<EvaluationPool> | undefined;

  async #startedPool(): Promise<EvaluationPool> {
    if (this.#pool !== undefined) return this.#pool;
    const { model, runtime, threads } = this.#options;
    const spec = { model, runtime, gradients: true, patches: this.#patches?.bank };
    this.#starting ??= EvaluationPool.start(spec, threads);
    try {
      this.#pool = await this.#starting;
      return this.#pool;
    } finally {
      this.#starting = undefined;
    }
  }

  readonly #keys = new WeakMap<RgbImage, string>();

  #keyOf({ pixels, label }: LabelledImage, { attack, parameters }: AttackCase): string {
    let clean = this.#keys.get(pixels);
    if (clean === undefined) {
      clean = contentDigest(pixels);
      this.#keys.set(pixels, clean);
    }
    const circumstances: Circumstances = {
      model: this.model.identity.sha256,
      preprocessing: this.model.preprocessing,
      runtime: this.#runtime,
      clean,
      given: null,
      label: label ?? null,
      attack: attack ?? null,
      parameters: attack === undefined ? {} : resolvedParameters(attack, parameters),
      seed: this.#options.seed,
    };
    return keyOfCircumstances(circumstances);
  }

  #settingsOf({ settings }: DefenceCase): DefenceSettings {
    return { ...settings, seed: this.#options.seed, at: 'model' };
  }

  #keyOfDefence(defence: DefenceCase): string {
    return keyOfDefence(this.#settingsOf(defence), needsPatches(defence) ? this.#patches?.digest : undefined);
  }
}

/** The name of what executes a model, where that is not ONNX Runtime on the CPU. */
export function unusualRuntime(model: Model, asked: string): string | undefined {
  const { name } = runtimeFor(model, asked);
  return name === 'onnxruntime-cpu' ? undefined : name;
}

function needsPatches({ settings }: DefenceCase): boolean {
  return settings.order.some(step => step.split(':')[0] === 'quilt');
}

/** As they are after defaults and fractions were worked out: how they were written makes no other image. */
function resolvedParameters(name: string, parameters: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const attack = ATTACKS.find(known => known.name === name);
  if (attack === undefined) throw invalid('attack', `one of ${ATTACKS.map(known => known.name).join(', ')}`, name);
  return printParameters(attack, resolveParameters(attack, parameters));
}
