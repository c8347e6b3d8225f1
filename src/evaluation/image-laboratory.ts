/**
 * What a thread of an evaluation does with one image: attack it, look where the attack went, defend it by one defence after
 * another. The model stays live between images.
 */
import { topClass } from '../attacks/attack.js';
import { attackImage } from '../attacks/attack-image.js';
import { ATTACKS } from '../attacks/catalogue.js';
import { type Calls, ModelQueries } from '../attacks/model-queries.js';
import { resolveParameters } from '../attacks/resolve-parameters.js';
import { comparatorSteps } from '../comparators/order.js';
import type { PatchBank } from '../comparators/quilting.js';
import { activationMap } from '../defense/activation-map.js';
import type { Defender, PreparedImage, TensorFormat } from '../defense/defender.js';
import { nextRuns } from '../defense/early-stop.js';
import { createKernelDefender } from '../defense/kernel/kernel-defender.js';
import { toPlanar } from '../defense/order.js';
import { runRandom } from '../defense/random.js';
import { type DefenceSettings, usesMap } from '../defense/settings.js';
import { softmax } from '../defense/softmax.js';
import { VoteTally } from '../defense/vote.js';
import { invalid } from '../errors.js';
import { tensorFormat, writeTensor } from '../images/tensor.js';
import { openModel } from '../models/registry.js';
import { openClassifier, openDifferentiable } from '../models/runtimes.js';
import type { ActivationMap, Classifier, ClassifierOutput, DifferentiableClassifier, RgbImage } from '../types.js';
import { contentDigest } from './content-digest.js';
import { GRID, type Location, MEASUREMENT_SCHEMA, type Measurement, type Outcome } from './measurement.js';
import { imageDistance, structuralSimilarity } from './statistics.js';

/** What a laboratory is made of, as plain data: it travels to worker threads. */
export interface LaboratorySpec {
  /** Name or folder of the model. */
  readonly model: string;
  readonly runtime: string;
  /** Whether attacks will ask for gradients. */
  readonly gradients: boolean;
  /** What `quilt` takes its patches from, where a defence has that step. */
  readonly patches: PatchBank | undefined;
}

/** One image under one attack, and the defences to put to it. */
export interface Experiment {
  /** The clean image, of the model's input size; absent for an image made elsewhere whose original is not at hand. */
  readonly clean: RgbImage | undefined;
  /** The true class; `undefined`: what the model says of the clean image. */
  readonly label: number | undefined;
  /** How to attack; `undefined`: not at all, or done already. */
  readonly attack: { readonly name: string; readonly parameters: Readonly<Record<string, unknown>> } | undefined;
  /** The attacked image, where it was made before or elsewhere. */
  readonly attacked: RgbImage | undefined;
  /** What is known of the attacked image already. */
  readonly known: Measurement | undefined;
  /** By their keys, with their seeds. */
  readonly defences: Readonly<Record<string, DefenceSettings>>;
  /** Seed of the attack's own draws. */
  readonly seed: string;
}

export interface Findings {
  /** Outcomes are those of this experiment alone. */
  readonly measurement: Measurement;
  /** The image that was attacked here. */
  readonly made: RgbImage | undefined;
}

/** Runs in one call of the model. */
const BATCH = 2;
/** Queries of one attack in one call of the model. */
const QUERIES_AT_ONCE = 8;

/** What the undefended model says of an image. */
interface Look {
  /** The image as the model reads it. */
  readonly input: Float32Array;
  readonly scores: Float32Array;
  readonly output: ClassifierOutput;
}

/** A model, a kernel and the attacks, for one caller at a time. */
export class ImageLaboratory {
  readonly #classifier: Classifier | DifferentiableClassifier;
  readonly #defender: Defender;
  readonly #format: TensorFormat;
  readonly #length: number;
  readonly #batch: Float32Array;
  readonly #queries: ModelQueries;

  private constructor(classifier: Classifier | DifferentiableClassifier, defender: Defender) {
    const { width, height } = classifier.preprocessing;
    this.#classifier = classifier;
    this.#defender = defender;
    this.#format = tensorFormat(classifier.preprocessing);
    this.#length = 3 * width * height;
    this.#batch = new Float32Array(BATCH * this.#length);
    this.#queries = new ModelQueries(classifier, QUERIES_AT_ONCE);
  }

  /** @throws DeflectorError what opening the model throws */
  static async open({ model, runtime, gradients, patches }: LaboratorySpec): Promise<ImageLaboratory> {
    const open = gradients ? openDifferentiable : openClassifier;
    const classifier = await open(await openModel(model), { runtime, threads: 1 });
    const steps = comparatorSteps(patches === undefined ? {} : { patches });
    return new ImageLaboratory(classifier, await createKernelDefender(steps));
  }

  /** Frees the model. */
  close(): Promise<void> {
    return this.#classifier.dispose();
  }

  /** @throws DeflectorError INFERENCE_FAILED, SETTINGS_INVALID */
  async examine(experiment: Experiment): Promise<Findings> {
    const { known, defences } = experiment;
    if (known !== undefined) {
      const image = experiment.attacked ?? required(experiment.clean);
      const look = await this.#look(image);
      return {
        measurement: { ...known, outcomes: await this.#defendAll(image, look, known, defences) },
        made: undefined,
      };
    }
    const { measurement, image, look, made } = await this.#measure(experiment);
    // An image that the model gets wrong when clean counts nowhere.
    const counts = measurement.clean === measurement.label;
    const outcomes = counts ? await this.#defendAll(image, look, measurement, defences) : {};
    return { measurement: { ...measurement, outcomes }, made };
  }

  async #measure(experiment: Experiment) {
    const { clean, attack } = experiment;
    const started = performance.now();
    let made: RgbImage | undefined;
    let calls: Calls = { gradients: 0, scores: 0 };
    let fooledBeforeRounding: boolean | null = null;
    let reached: Pick<Measurement, 'l2' | 'linf' | 'ssim'> | undefined;
    let image = experiment.attacked ?? required(clean);
    if (attack !== undefined && clean !== undefined && experiment.attacked === undefined) {
      const found = ATTACKS.find(({ name }) => name === attack.name);
      if (found === undefined)
        throw invalid('attack', `one of ${ATTACKS.map(({ name }) => name).join(', ')}`, attack.name);
      const values = resolveParameters(found, attack.parameters);
      const random = runRandom(experiment.seed, contentDigest(clean), 0);
      const result = await attackImage(found, values, this.#queries, clean, experiment.label, random);
      if ('attacked' in result) {
        ({ calls, fooledBeforeRounding } = result.attacked);
        const { l2, linf, ssim } = result.attacked;
        reached = { l2: round(l2), linf: round(linf), ssim: round(ssim) };
        made = result.attacked.image;
        image = made;
      }
    }
    const ms = performance.now() - started;
    const look = await this.#look(image);
    const before = clean === undefined || clean === image ? look : await this.#look(clean);
    const label = experiment.label ?? topClass(before.scores);
    const attacked = topClass(look.scores);
    const measurement: Measurement = {
      schema: MEASUREMENT_SCHEMA,
      label,
      // Of an image made elsewhere without its original it is taken on trust that the model knew the original.
      clean: clean === undefined ? label : topClass(before.scores),
      attacked,
      fooledBeforeRounding,
      margin: round(margin(look.scores, label)),
      ...(reached ?? strength(clean, image)),
      calls,
      rankOfTrue: rankOf(look.scores, label),
      rankOfAttacked: rankOf(before.scores, attacked),
      probability: round(this.#probabilities(look.scores)[label]!),
      location: this.#locate(clean, image, before, look),
      outcomes: {},
      ms: Math.round(ms),
    };
    return { measurement, image, look, made };
  }

  async #look(image: RgbImage): Promise<Look> {
    const input = new Float32Array(this.#length);
    writeTensor(image, this.#format, input, 0);
    const output = await this.#classifier.classify(input, 1, this.#classifier.head !== undefined);
    return { input, scores: this.#logits(output.scores), output };
  }

  /** As before the softmax, where the network ends in one. */
  #logits(scores: Float32Array): Float32Array {
    return this.#classifier.outputs === 'logits' ? scores : scores.map(p => Math.log(Math.max(p, 1e-12)));
  }

  #probabilities(scores: Float32Array): Float64Array {
    return softmax(scores, 0, scores.length, new Float64Array(scores.length));
  }

  async #defendAll(
    image: RgbImage,
    look: Look,
    { label, attacked }: Measurement,
    defences: Experiment['defences'],
  ): Promise<Record<string, Outcome>> {
    const outcomes: Record<string, Outcome> = {};
    for (const sharing of defencesByRuns(defences)) {
      const known: RunsKnown = { scores: new Map(), rms: 0 };
      for (const [key, settings] of sharing) {
        outcomes[key] = await this.#defend(image, look, label, attacked, settings, known);
      }
    }
    return outcomes;
  }

  /** The runs of one defence, as the defend stage executes them, until the vote is settled. */
  async #defend(
    image: RgbImage,
    look: Look,
    label: number,
    attacked: number,
    settings: DefenceSettings,
    known: RunsKnown,
  ): Promise<Outcome> {
    const started = performance.now();
    const { width, height } = image;
    const classes = look.scores.length;
    const map = usesMap(settings) ? this.#map(settings, look, width, height) : undefined;
    const prepared = this.#defender.prepare(image, map, settings);
    try {
      // Where runs do not differ one stands for all, with what one run's head start is.
      const runs = prepared.isRandom ? settings.runs : 1;
      const tally = new VoteTally({ ...settings, runs }, classes, attacked);
      const sha256 = contentDigest(image);
      for (let more = next(tally, runs, settings); more > 0; more = next(tally, runs, settings)) {
        for (const end = tally.runs + more; tally.runs < end; ) {
          const run = tally.runs;
          if (!known.scores.has(run)) await this.#execute(prepared, run, end, sha256, settings.seed, look, known);
          tally.add(this.#probabilities(known.scores.get(run)!));
        }
      }
      const first = known.scores.get(0)!;
      const voted = tally.winner();
      return {
        first: topClass(first),
        voted,
        runsExecuted: tally.runs,
        agreement: round(tally.count(voted) / tally.runs),
        probabilityTrue: round(tally.probability(label)),
        probabilityAttacked: round(tally.probability(attacked)),
        moved: round(first.reduce((sum, score, c) => sum + Math.abs(score - look.scores[c]!), 0) / classes),
        rms: round(known.rms),
        ms: Math.round(performance.now() - started),
      };
    } finally {
      prepared.release();
    }
  }

  /** Executes runs from `from` on, as many as one call of the model takes, none from `end` on. */
  async #execute(
    prepared: PreparedImage,
    from: number,
    end: number,
    sha256: string,
    seed: string,
    look: Look,
    known: RunsKnown,
  ): Promise<void> {
    const classes = look.scores.length;
    const count = Math.min(BATCH, end - from);
    for (let n = 0; n < count; n++) {
      prepared.run(runRandom(seed, sha256, from + n), this.#batch, n * this.#length, this.#format);
    }
    if (from === 0) known.rms = this.#rms(this.#batch, look.input);
    const { scores } = await this.#classifier.classify(this.#batch.subarray(0, count * this.#length), count, false);
    for (let n = 0; n < count; n++) {
      known.scores.set(from + n, this.#logits(scores.slice(n * classes, (n + 1) * classes)));
    }
  }

  /** Root mean square difference of two inputs of the model, as pixels on the [0,1] scale. */
  #rms(a: Float32Array, b: Float32Array): number {
    const { layout, channels, scale } = this.#format;
    const area = this.#length / 3;
    let sum = 0;
    for (let i = 0; i < this.#length; i++) {
      const place = layout === 'nchw' ? Math.floor(i / area) : i % 3;
      sum += ((a[i]! - b[i]!) / scale[channels === 'rgb' ? place : 2 - place]!) ** 2;
    }
    return Math.sqrt(sum / this.#length);
  }

  #map(
    settings: Pick<DefenceSettings, 'map' | 'mapClasses'>,
    { scores, output }: Look,
    width: number,
    height: number,
  ): ActivationMap | undefined {
    const { head } = this.#classifier;
    if (head === undefined || output.features === undefined) {
      throw invalid('--model', 'a model that makes activation maps', this.#classifier.headless);
    }
    return activationMap(settings, output.features, head, scores, width, height);
  }

  #locate(clean: RgbImage | undefined, image: RgbImage, before: Look, look: Look): Location {
    const { width, height } = image;
    const none = new Array<number>(GRID * GRID).fill(0);
    const energy = clean === undefined ? none : energyShares(clean, image);
    if (this.#classifier.head === undefined) return { energy, map: none, focus: null, mapAgreement: null };
    const maps = (settings: Pick<DefenceSettings, 'map' | 'mapClasses'>) =>
      [this.#map(settings, before, width, height), this.#map(settings, look, width, height)] as const;
    const [robust, robustAttacked] = maps({ map: 'rcam', mapClasses: 5 });
    const [cam, camAttacked] = maps({ map: 'cam', mapClasses: 1 });
    const map = robust === undefined ? none : gridMeans(robust);
    const mean = map.reduce((sum, value) => sum + value, 0) / map.length;
    const under = map.reduce((sum, value, i) => sum + value * energy[i]!, 0);
    const changed = energy.some(share => share > 0);
    return {
      energy,
      map,
      focus: changed && mean > 0 ? round(under / mean) : null,
      mapAgreement: {
        cam: round(correlation(cam, camAttacked)),
        rcam: round(correlation(robust, robustAttacked)),
      },
    };
  }
}

/** Six digits: files stay small, and nothing in single precision has more to say. */
function round(value: number): number {
  return Number(value.toPrecision(6));
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new TypeError('an experiment needs an image');
  return value;
}

/** Runs of one image under settings that differ in their vote alone. */
interface RunsKnown {
  /** By number of the run: as before the softmax. */
  readonly scores: Map<number, Float32Array>;
  /** Root mean square of how far run 0 moves a value. */
  rms: number;
}

/** Defences in groups that share their runs: within a group they differ only in how runs vote. */
function defencesByRuns(
  defences: Experiment['defences'],
): readonly (readonly (readonly [string, DefenceSettings])[])[] {
  const groups = new Map<string, (readonly [string, DefenceSettings])[]>();
  for (const [key, settings] of Object.entries(defences)) {
    const runs = JSON.stringify({ ...settings, vote: undefined, trust: undefined, earlyStop: undefined });
    const group = groups.get(runs);
    if (group === undefined) groups.set(runs, [[key, settings]]);
    else group.push([key, settings]);
  }
  return [...groups.values()];
}

/** Votes end when they are settled, whatever the risk that a recipe would take: the label is that of all runs. */
function next(tally: VoteTally, runs: number, { earlyStop }: DefenceSettings): number {
  return nextRuns(tally, runs, earlyStop.kind === 'off' ? earlyStop : { kind: 'exact' }, undefined);
}

function strength(clean: RgbImage | undefined, image: RgbImage): Pick<Measurement, 'l2' | 'linf' | 'ssim'> {
  if (clean === undefined || clean === image) return { l2: 0, linf: 0, ssim: 1 };
  const [x, y] = [toPlanar(clean), toPlanar(image)];
  const { l2Normalised, linf } = imageDistance(x, y);
  return {
    l2: round(l2Normalised),
    linf: round(linf),
    ssim: round(structuralSimilarity(x, y, image.width, image.height)),
  };
}

function margin(scores: Float32Array, label: number): number {
  let best = Number.NEGATIVE_INFINITY;
  for (let c = 0; c < scores.length; c++) if (c !== label && scores[c]! > best) best = scores[c]!;
  return best - scores[label]!;
}

/** Place of a class by its score, from 1. */
function rankOf(scores: Float32Array, label: number): number {
  let above = 0;
  for (let c = 0; c < scores.length; c++) if (scores[c]! > scores[label]!) above++;
  return above + 1;
}

/** The cell of the grid that a pixel lies in. */
function cellOf(pixel: number, width: number, height: number): number {
  const row = Math.floor((Math.floor(pixel / width) * GRID) / height);
  return row * GRID + Math.floor(((pixel % width) * GRID) / width);
}

/** Shares of |x' - x|^2 by cell of the grid. */
function energyShares(clean: RgbImage, image: RgbImage): number[] {
  const sums = new Array<number>(GRID * GRID).fill(0);
  let total = 0;
  for (let i = 0; i < image.data.length; i++) {
    const square = (image.data[i]! - clean.data[i]!) ** 2;
    if (square === 0) continue;
    sums[cellOf(Math.floor(i / 3), image.width, image.height)]! += square;
    total += square;
  }
  return total === 0 ? sums : sums.map(sum => round(sum / total));
}

function gridMeans({ width, height, data }: ActivationMap): number[] {
  const sums = new Array<number>(GRID * GRID).fill(0);
  const counts = new Array<number>(GRID * GRID).fill(0);
  for (let p = 0; p < data.length; p++) {
    const cell = cellOf(p, width, height);
    sums[cell]! += data[p]!;
    counts[cell]!++;
  }
  return sums.map((sum, cell) => round(sum / Math.max(counts[cell]!, 1)));
}

/** Pearson's correlation of two maps; a map that is not there is flat, and correlates with nothing. */
function correlation(a: ActivationMap | undefined, b: ActivationMap | undefined): number {
  if (a === undefined || b === undefined) return 0;
  const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [ma, mb] = [mean(a.data), mean(b.data)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let p = 0; p < a.data.length; p++) {
    const [da, db] = [a.data[p]! - ma, b.data[p]! - mb];
    ab += da * db;
    aa += da * da;
    bb += db * db;
  }
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : 0;
}
