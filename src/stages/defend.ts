/**
 * The defend stage: from pixels to a verdict. One engine serves one classifier; it keeps several images in hand, so that
 * the model sees full batches although images need different numbers of runs.
 *
 * An image in the engine:
 *
 *     mapping ───────────────▶ running ───────────────▶ done
 *     its undefended pass,     its runs, as many as
 *     which also gives the     the vote needs
 *     activation map
 *
 * A place in a batch goes to the image that came first and has work for it: no image waits for one that came later.
 */
import { activationMap } from '../defense/activation-map.js';
import { type Defender, PLAIN_RGB, type PreparedImage, type TensorFormat } from '../defense/defender.js';
import { nextRuns } from '../defense/early-stop.js';
import { runRandom } from '../defense/random.js';
import { deflects, usesMap } from '../defense/settings.js';
import { softmax } from '../defense/softmax.js';
import { VoteTally } from '../defense/vote.js';
import { VoteRisk } from '../defense/vote-risk.js';
import { DeflectorError, invalid } from '../errors.js';
import { inputRegion, preprocess, preprocessPlanar } from '../images/preprocess.js';
import { tensorFormat, writePlanes, writeTensor } from '../images/tensor.js';
import { requireHead } from '../models/localizer.js';
import { jointIdentity } from '../models/voters.js';
import type {
  ActivationMap,
  Classifier,
  ClassifierOutput,
  DefenceSettings,
  ErrorVerdict,
  Explanation,
  FailedImage,
  FetchedImage,
  Label,
  Localizer,
  ModelIdentity,
  OkVerdict,
  RgbImage,
  RunClassifier,
  Verdict,
} from '../types.js';
import { VERDICT_SCHEMA } from '../types.js';
import { type Clock, toVerdictError } from './common.js';
import type { ModelCall } from './observer.js';

/** Below this a probability in single precision says nothing more. */
const LEAST_PROBABILITY = 1e-12;

/** What the stage needs from outside. The engine has the classifier for itself. */
export interface DefendPorts {
  readonly classifier: Classifier;
  /** Others of the same classes that vote with it: run k goes to the k-th of all in turn, the classifier first. */
  readonly voters?: readonly Classifier[] | undefined;
  readonly defender: Defender;
  /** Makes the activation maps in the classifier's place. */
  readonly localizer?: Localizer | undefined;
  /** Makes and classifies the runs in the place of defender and classifier, under the settings of the engine. */
  readonly runs?: RunClassifier | undefined;
  readonly clock: Clock;
  /** Told of each call of the model that succeeded. */
  readonly called?: ((call: Omit<ModelCall, 'at'>) => void) | undefined;
}

export interface DefendOptions {
  readonly settings: DefenceSettings;
  /** What verdicts say of the settings (their field `defence`). */
  readonly record: Readonly<Record<string, unknown>>;
  /** Most images or runs in one call of the model, at least 1. */
  readonly maximumBatch: number;
  /** Milliseconds that a batch with free places may wait for another image; 0 where the model is as fast without. */
  readonly maximumWait: number;
}

/** What a caller may want beside the verdict. */
export interface Wanted {
  /** Run 0 as 8-bit pixels. */
  readonly defended?: boolean;
  /** Run 0 as it is before it is normalised for the network. */
  readonly planes?: boolean;
  /** The material of a panel; it includes the defended image. */
  readonly explanation?: boolean;
}

export interface DefendOutcome {
  readonly verdict: Verdict;
  readonly defended?: RgbImage;
  /** float32 [3, height, width], RGB on the [0,1] scale; variant `modern` may lie outside. */
  readonly planes?: Float32Array;
  readonly explanation?: Explanation;
  /** Forward passes that this image took, its undefended pass included. */
  readonly passes: number;
}

/** An image in the engine's hands. */
class Task {
  readonly image: FetchedImage;
  readonly wanted: Wanted;
  readonly settle: (outcome: DefendOutcome) => void;
  readonly started: number;
  /** Runs that have had their place in a batch; before the undefended pass came back it stands for that pass. */
  placed = 0;
  /** Runs to execute before the vote is looked at again. */
  target = 1;
  running: Running | undefined;
  passes = 0;

  constructor(image: FetchedImage, wanted: Wanted, started: number, settle: (outcome: DefendOutcome) => void) {
    this.image = image;
    this.wanted = wanted;
    this.started = started;
    this.settle = settle;
  }
}

/** What an image has once its undefended pass is back. */
interface Running {
  readonly undefended: Float64Array;
  readonly map: ActivationMap | undefined;
  readonly prepared: PreparedImage;
  readonly tally: VoteTally;
  /** Logits of the undefended image, where the vote may end on a risk; the evidence itself begins with run 0. */
  readonly undefendedLogits: Float32Array | undefined;
  risk: VoteRisk | undefined;
}

/** One place of a batch; without a run it is the undefended pass. */
interface Place {
  readonly task: Task;
  readonly run: number | undefined;
}

/** A classifier at work: how it reads images, and the batch that is written for it. */
interface Seat {
  readonly classifier: Classifier;
  readonly format: TensorFormat;
  /** Elements of one image in its input. */
  readonly length: number;
  readonly batch: Float32Array;
}

/** Keeps a model busy with the runs of several images. */
export class DefendEngine {
  readonly #ports: DefendPorts;
  readonly #options: DefendOptions;
  readonly #classes: number;
  /** The classifier, and those that vote with it. */
  readonly #seats: readonly [Seat, ...Seat[]];
  /** Probabilities of the run that is being counted. */
  readonly #probability: Float64Array;
  readonly #tasks: Task[] = [];
  /** Three images as the model reads them. */
  #scratch: Float32Array | undefined;
  /** Who votes. */
  readonly #model: ModelIdentity;
  #working: Promise<void> | undefined;
  #arrival: (() => void) | undefined;

  /**
   * @throws DeflectorError MODEL_NO_LOCALIZATION when the settings ask for a map that no model here can make; SETTINGS_INVALID
   *   when several models are to end their vote on a risk
   */
  constructor(ports: DefendPorts, options: DefendOptions) {
    const { classifier } = ports;
    if (usesMap(options.settings) && ports.localizer === undefined) requireHead(classifier);
    this.#ports = ports;
    this.#options = options;
    const voters = ports.voters ?? [];
    if (voters.length > 0 && onRisk(options.settings)) {
      // Its evidence is how one model's scores scatter.
      throw invalid('--early-stop', 'exact or off, since several models vote', 'risk');
    }
    const seat = (of: Classifier) => seatOf(of, options.maximumBatch);
    this.#seats = [seat(classifier), ...voters.map(seat)];
    this.#model = jointIdentity(this.#seats.map(one => one.classifier.model));
    this.#classes = classifier.labels.length;
    this.#probability = new Float64Array(this.#classes);
  }

  /** Images in hand. */
  get inFlight(): number {
    return this.#tasks.length;
  }

  /**
   * Defends one image. Never rejects: a fault becomes an error verdict.
   *
   * @param image at the model's input size, or at its own with `at: original`
   */
  defend(image: FetchedImage, wanted: Wanted = {}): Promise<DefendOutcome> {
    return new Promise(resolve => {
      this.#tasks.push(new Task(image, wanted, this.#ports.clock.now(), resolve));
      this.#arrival?.();
      this.#working ??= this.#work();
    });
  }

  async #work(): Promise<void> {
    // Images that are handed over in the same turn share the first batch.
    await Promise.resolve();
    while (this.#tasks.length > 0) {
      if (this.#options.maximumWait > 0 && this.#demand() < this.#options.maximumBatch) await this.#wait();
      await this.#execute(this.#place());
    }
    this.#working = undefined;
  }

  /** Places that the images in hand could fill now. */
  #demand(): number {
    return this.#tasks.reduce((sum, task) => sum + task.target - task.placed, 0);
  }

  async #wait(): Promise<void> {
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, this.#options.maximumWait);
      this.#arrival = () => {
        if (this.#demand() < this.#options.maximumBatch) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.#arrival = undefined;
  }

  /** Gives out the places of the next batch and writes its input. */
  #place(): Place[] {
    const places: Place[] = [];
    const written = new Map<Seat, number>();
    for (const task of [...this.#tasks]) {
      while (task.placed < task.target && places.length < this.#options.maximumBatch) {
        const place = { task, run: task.running === undefined ? undefined : task.placed };
        task.placed++;
        const seat = this.#seat(place);
        const index = written.get(seat) ?? 0;
        if (!this.#guard(task, () => this.#write(place, index))) break;
        places.push(place);
        if (!this.#isFused(place)) written.set(seat, index + 1);
      }
    }
    return places;
  }

  /** Whether defence and network are one call for this place. */
  #isFused({ run }: Place): boolean {
    return run !== undefined && this.#ports.runs !== undefined;
  }

  /** Whose vote a place is; the undefended pass is the classifier's own. */
  #seat({ run }: Place): Seat {
    return this.#seats[(run ?? 0) % this.#seats.length]!;
  }

  /** Writes the input of the model whose place it is, but for runs that are made where the model is. */
  #write(place: Place, index: number): void {
    const { task, run } = place;
    const seat = this.#seat(place);
    const { batch, length, format } = seat;
    const offset = index * length;
    if (task.running === undefined || run === undefined) {
      writeTensor(this.#fit(task.image.pixels), format, batch, offset);
      return;
    }
    if (!this.#isFused(place)) {
      this.#writeRun(task.image, task.running.prepared, run, seat, batch, offset);
      if (run === 0) this.#beginRisk(task.image, task.running, batch.subarray(offset, offset + length));
    } else if (run === 0) {
      this.#beginRisk(task.image, task.running, undefined);
    }
  }

  #writeRun(
    image: FetchedImage,
    prepared: PreparedImage,
    run: number,
    { classifier: { preprocessing }, format }: Seat,
    out: Float32Array,
    offset: number,
  ): void {
    const { settings } = this.#options;
    const { width, height } = image.pixels;
    const random = runRandom(settings.seed, image.sha256, run);
    const fits = preprocessing.width === width && preprocessing.height === height;
    if (settings.at === 'model' && fits) {
      prepared.run(random, out, offset, format);
      return;
    }
    const planes = new Float32Array(3 * width * height);
    prepared.run(random, planes, 0, PLAIN_RGB);
    // An image of the classifier's size was cropped for it: a voter of another size sees all of it.
    const way = settings.at === 'model' ? { ...preprocessing, fit: 'stretch' as const } : preprocessing;
    writePlanes(
      preprocessPlanar(planes, width, height, way),
      preprocessing.width * preprocessing.height,
      format,
      out,
      offset,
    );
  }

  /**
   * How much runs differ is seen in pixels before a second one is worth a forward pass.
   *
   * @param first run 0 as the model reads it, where it was written
   */
  #beginRisk(image: FetchedImage, running: Running, first: Float32Array | undefined): void {
    const { undefendedLogits, prepared } = running;
    if (undefendedLogits === undefined) return;
    const [seat] = this.#seats;
    const { length, format } = seat;
    this.#scratch ??= new Float32Array(3 * length);
    this.#writeRun(image, prepared, 1, seat, this.#scratch, 0);
    writeTensor(this.#fit(image.pixels), format, this.#scratch, length);
    if (first === undefined) this.#writeRun(image, prepared, 0, seat, this.#scratch, 2 * length);
    const run = first ?? this.#scratch.subarray(2 * length);
    const apart = distance(run, this.#scratch.subarray(0, length)) / Math.SQRT2;
    const moved = distance(run, this.#scratch.subarray(length, 2 * length));
    running.risk = new VoteRisk(this.#options.settings, undefendedLogits, apart === 0 ? 0 : apart / moved);
  }

  /** The image as the model sees it. */
  #fit(pixels: RgbImage): RgbImage {
    return this.#options.settings.at === 'model' ? pixels : preprocess(pixels, this.#ports.classifier.preprocessing);
  }

  async #execute(places: readonly Place[]): Promise<void> {
    const fused = places.filter(place => this.#isFused(place));
    await this.#executeRuns(fused);
    const written = fused.length === 0 ? places : places.filter(place => !this.#isFused(place));
    if (this.#seats.length === 1) return this.#executeWritten(this.#seats[0], written);
    for (const seat of this.#seats) {
      await this.#executeWritten(
        seat,
        written.filter(place => this.#seat(place) === seat),
      );
    }
  }

  async #executeRuns(places: readonly Place[]): Promise<void> {
    if (places.length === 0) return;
    let scores: Float32Array;
    try {
      const started = this.#ports.clock.now();
      scores = await this.#ports.runs!.classifyRuns(
        places.map(({ task: { image, running }, run }) => ({
          image: image.pixels,
          map: running!.map,
          sha256: image.sha256,
          run: run!,
        })),
      );
      this.#ports.called?.({ ms: this.#ports.clock.now() - started, images: places.length });
    } catch (error) {
      await this.#retryAlone(places, error);
      return;
    }
    await this.#takeAll(places, { scores, features: undefined });
  }

  /** @param places of one seat, in the order of its batch */
  async #executeWritten(seat: Seat, places: readonly Place[]): Promise<void> {
    if (places.length === 0) return;
    const needsFeatures =
      usesMap(this.#options.settings) &&
      this.#ports.localizer === undefined &&
      places.some(place => place.run === undefined);
    let output: ClassifierOutput;
    try {
      const input = seat.batch.subarray(0, places.length * seat.length);
      const started = this.#ports.clock.now();
      output = await seat.classifier.classify(input, places.length, needsFeatures);
      this.#ports.called?.({ ms: this.#ports.clock.now() - started, images: places.length });
    } catch (error) {
      await this.#retryAlone(places, error);
      return;
    }
    await this.#takeAll(places, output);
  }

  async #takeAll(places: readonly Place[], output: ClassifierOutput): Promise<void> {
    for (const [index, place] of places.entries()) {
      if (this.#tasks.includes(place.task)) await this.#take(place, output, index);
    }
  }

  /** A batch that failed is repeated image by image, so that one image cannot spoil the others. */
  async #retryAlone(places: readonly Place[], error: unknown): Promise<void> {
    if (places.length === 1) {
      const task = places[0]!.task;
      if (this.#tasks.includes(task)) this.#fail(task, error);
      return;
    }
    for (const place of places) {
      if (!this.#tasks.includes(place.task)) continue;
      if (this.#guard(place.task, () => this.#write(place, 0))) await this.#execute([place]);
    }
  }

  /** Takes what the model says of one place. */
  async #take(place: Place, output: ClassifierOutput, index: number): Promise<void> {
    const { task, run } = place;
    const { classifier } = this.#seat(place);
    try {
      task.passes++;
      if (run === undefined) {
        const undefended = this.#probabilities(classifier, output.scores, index, new Float64Array(this.#classes));
        task.running = await this.#begin(task, undefended, output, index);
        task.placed = 0;
        task.target = this.#next(task.running);
        return;
      }
      const running = task.running!;
      running.tally.add(this.#probabilities(classifier, output.scores, index, this.#probability));
      running.risk?.add(this.#logits(output.scores, index));
      if (running.tally.runs < task.target) return;
      const more = this.#next(running);
      task.target += more;
      if (more === 0) this.#finish(task, running);
    } catch (error) {
      this.#fail(task, error);
    }
  }

  #next({ tally, risk, undefendedLogits, prepared }: Running): number {
    const { runs, earlyStop } = this.#options.settings;
    if (!prepared.isRandom && earlyStop.kind !== 'off') return tally.runs === 0 ? 1 : 0;
    // The evidence begins with run 0: before it, one run is what a vote on risk asks for.
    if (tally.runs === 0 && undefendedLogits !== undefined) return 1;
    return nextRuns(tally, runs, earlyStop, risk);
  }

  async #begin(task: Task, undefended: Float64Array, output: ClassifierOutput, index: number): Promise<Running> {
    const { settings } = this.#options;
    const { pixels } = task.image;
    const map = usesMap(settings) ? await this.#map(pixels, output, index) : undefined;
    const prepared = this.#prepare(pixels, map);
    // One run that stands for all has the head start of one.
    const runs = prepared.isRandom || settings.earlyStop.kind === 'off' ? settings.runs : 1;
    return {
      undefended,
      map,
      prepared,
      tally: new VoteTally({ ...settings, runs }, this.#classes, topOf(undefended)),
      undefendedLogits: prepared.isRandom && onRisk(settings) ? this.#logits(output.scores, index) : undefined,
      risk: undefined,
    };
  }

  /** Where runs are made elsewhere, an image is made ready only if it is looked at here. */
  #prepare(pixels: RgbImage, map: ActivationMap | undefined): PreparedImage {
    const { settings } = this.#options;
    const { defender, runs } = this.#ports;
    if (runs === undefined) return defender.prepare(pixels, map, settings);
    let prepared: PreparedImage | undefined;
    return {
      isRandom: deflects(settings),
      run: (...args) => {
        prepared ??= defender.prepare(pixels, map, settings);
        prepared.run(...args);
      },
      release: () => prepared?.release(),
    };
  }

  async #map(pixels: RgbImage, output: ClassifierOutput, index: number): Promise<ActivationMap | undefined> {
    const { settings } = this.#options;
    const { classifier, localizer } = this.#ports;
    const located =
      localizer === undefined ? own(classifier, output, index) : await another(localizer, this.#fit(pixels));
    const region =
      settings.at === 'model'
        ? { left: 0, top: 0, width: pixels.width, height: pixels.height }
        : inputRegion(pixels.width, pixels.height, classifier.preprocessing);
    const map = activationMap(settings, located.features, located.head, located.scores, region.width, region.height);
    return map === undefined ? undefined : onto(map, region.left, region.top, pixels.width, pixels.height);
  }

  /**
   * @param into filled and returned
   * @throws DeflectorError INFERENCE_FAILED where the model's output is not finite
   */
  #probabilities(classifier: Classifier, scores: Float32Array, index: number, into: Float64Array): Float64Array {
    const offset = index * this.#classes;
    const row = scores.subarray(offset, offset + this.#classes);
    if (row.length !== this.#classes || !areFinite(row)) {
      throw new DeflectorError('INFERENCE_FAILED', `Model ${classifier.model.name} gave a score that is not finite`);
    }
    if (classifier.outputs === 'logits') return softmax(row, 0, row.length, into);
    into.set(row);
    return into;
  }

  /** Logits of one image of a batch, or what stands for them where the model gives probabilities. */
  #logits(scores: Float32Array, index: number): Float32Array {
    const row = scores.slice(index * this.#classes, (index + 1) * this.#classes);
    return this.#ports.classifier.outputs === 'logits' ? row : row.map(p => Math.log(Math.max(p, LEAST_PROBABILITY)));
  }

  #finish(task: Task, running: Running): void {
    const verdict = this.#verdict(task, running);
    const { defended, planes, explanation } = task.wanted;
    const outcome: DefendOutcome = { verdict, passes: task.passes };
    if (!defended && !planes && !explanation) {
      this.#settle(task, outcome);
      return;
    }
    const { width, height } = task.image.pixels;
    const deflected = new Set<number>();
    const firstRun = this.#firstRun(task, running.prepared, deflected);
    const image = toRgbImage(firstRun, width, height);
    this.#settle(task, {
      ...outcome,
      ...(defended ? { defended: image } : {}),
      ...(planes ? { planes: firstRun } : {}),
      ...(explanation ? { explanation: explain(task.image, running, verdict, image, deflected) } : {}),
    });
  }

  #verdict(task: Task, { tally, undefended }: Running): OkVerdict {
    const { settings, record } = this.#options;
    const { clock } = this.#ports;
    const winner = tally.winner();
    const before = topOf(undefended);
    const { key, sha256, ms } = task.image;
    return {
      schema: VERDICT_SCHEMA,
      key,
      sha256,
      status: 'ok',
      label: this.#label(winner),
      votes: tally.votes(),
      runs: settings.runs,
      runsExecuted: tally.runs,
      agreement: tally.count(winner) / tally.runs,
      probability: tally.probability(winner),
      undefended: { ...this.#label(before), probability: undefended[before]! },
      suspicious: winner !== before,
      seed: settings.seed,
      model: this.#model,
      defence: record,
      ms: { ...ms, defend: clock.now() - task.started },
    };
  }

  #label(index: number): Label {
    return this.#ports.classifier.labels[index] ?? { index, id: '', name: String(index) };
  }

  /** @param deflected gets the pixels that were deflected */
  #firstRun({ image }: Task, prepared: PreparedImage, deflected: Set<number>): Float32Array {
    const planes = new Float32Array(3 * image.pixels.width * image.pixels.height);
    prepared.run(runRandom(this.#options.settings.seed, image.sha256, 0), planes, 0, PLAIN_RGB, list => {
      for (let i = 0; i < list.count; i++) deflected.add(list.targets[i]!);
    });
    return planes;
  }

  /** @returns whether `act` went well; if not, the task has failed */
  #guard(task: Task, act: () => void): boolean {
    try {
      act();
      return true;
    } catch (error) {
      this.#fail(task, error);
      return false;
    }
  }

  #fail(task: Task, error: unknown): void {
    const { key, sha256, ms } = task.image;
    const verdict: ErrorVerdict = {
      schema: VERDICT_SCHEMA,
      key,
      sha256,
      status: 'error',
      error: toVerdictError(error),
      ms: { ...ms, defend: this.#ports.clock.now() - task.started },
    };
    this.#settle(task, { verdict, passes: task.passes });
  }

  #settle(task: Task, outcome: DefendOutcome): void {
    const place = this.#tasks.indexOf(task);
    if (place >= 0) this.#tasks.splice(place, 1);
    task.running?.prepared.release();
    task.running = undefined;
    task.settle(outcome);
  }
}

function seatOf(classifier: Classifier, maximumBatch: number): Seat {
  const { width, height } = classifier.preprocessing;
  const length = 3 * width * height;
  return {
    classifier,
    format: tensorFormat(classifier.preprocessing),
    length,
    batch: new Float32Array(maximumBatch * length),
  };
}

/** Whether the vote may end on a risk; with one run there is nothing to end. */
function onRisk({ earlyStop, vote, runs }: DefenceSettings): boolean {
  return earlyStop.kind === 'risk' && vote !== 'mean' && runs > 1;
}

function explain(
  { pixels }: FetchedImage,
  { map }: Running,
  verdict: OkVerdict,
  defended: RgbImage,
  deflected: ReadonlySet<number>,
): Explanation {
  const { width, height } = pixels;
  return {
    verdict,
    input: pixels,
    map: map ?? { width, height, data: new Float32Array(width * height) },
    deflected: Uint32Array.from(deflected).sort(),
    defended,
  };
}

/** The most probable class; of equal ones the first. */
function topOf(probabilities: Float64Array): number {
  return probabilities.reduce((best, value, c) => (value > probabilities[best]! ? c : best), 0);
}

/** By a loop: `every` with a function costs as much as the softmax. */
function areFinite(values: Float32Array): boolean {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i]!)) return false;
  return true;
}

/** Euclidean distance. */
function distance(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(sum);
}

/** The verdict on an image that did not pass the fetch stage. */
export function failedVerdict({ key, sha256, error, ms }: FailedImage): ErrorVerdict {
  return { schema: VERDICT_SCHEMA, key, ...(sha256 === undefined ? {} : { sha256 }), status: 'error', error, ms };
}

/**
 * Planes in [0,1] as 8-bit pixels, rounded half up; what lies outside is cut off.
 *
 * @param planes float32 [3, height, width], RGB
 */
export function toRgbImage(planes: Float32Array, width: number, height: number): RgbImage {
  const size = width * height;
  const data = new Uint8Array(3 * size);
  for (let channel = 0; channel < 3; channel++) {
    for (let p = 0; p < size; p++) {
      data[3 * p + channel] = Math.floor(Math.min(Math.max(planes[channel * size + p]!, 0), 1) * 255 + 0.5);
    }
  }
  return { width, height, data };
}

/** What the classifier itself says of one image of a batch. */
function own(classifier: Classifier, { scores, features }: ClassifierOutput, index: number) {
  const { head, labels } = classifier;
  if (features === undefined || head === undefined) {
    throw new DeflectorError('INTERNAL', `Model ${classifier.model.name} gave no feature maps`);
  }
  const length = features.channels * features.height * features.width;
  return {
    features: { ...features, data: features.data.subarray(index * length, (index + 1) * length) },
    head,
    scores: scores.subarray(index * labels.length, (index + 1) * labels.length),
  };
}

/** What a localiser says of an image. */
async function another(localizer: Localizer, image: RgbImage) {
  const { scores, features } = await localizer.locate([image]);
  return { features, head: localizer.head, scores };
}

/** A map as part of a larger one that is 0 elsewhere: what the model does not see has no activation. */
function onto(map: ActivationMap, left: number, top: number, width: number, height: number): ActivationMap {
  if (map.width === width && map.height === height) return map;
  const data = new Float32Array(width * height);
  for (let row = 0; row < map.height; row++) {
    data.set(map.data.subarray(row * map.width, (row + 1) * map.width), (top + row) * width + left);
  }
  return { width, height, data };
}
