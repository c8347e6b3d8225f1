/**
 * The probability that a vote that ended now would have another winner than the vote of all runs. It is read from the
 * margins of the runs so far and from how much runs of this image differ; derivation and checks: docs/science.md.
 *
 * Model: the margins of the runs of one image (logit of the leader minus the highest other) are normal with an unknown
 * mean, about which nothing is assumed, and an unknown variance, which is scaled-inverse-chi-squared around a scale
 * that is itself measured on this image. Runs to come vote against the leader where their margin is negative. Under `pool`
 * the margins are those of its scores, which differ by no more than logits do, and their sum decides.
 */
import { softmax } from './softmax.js';
import { headStart, poolScore, type VoteSettings } from './vote.js';

/** Half-width and step of the grid of standardised means. */
const GRID_END = 14;
const GRID_STEP = 0.025;
/** Nodes for the unknown scale, as the ratio of the measured scale to the true one. */
const SCALE_END = 6;
const SCALE_STEP = 0.01;

/**
 * How the standard deviation of margins relates to the root mean square difference of logits between runs, over all
 * classes: on EfficientNet-Lite0 and three recipes its geometric mean is 1.8, and its spread that of 6 degrees of freedom.
 */
const BETWEEN_RUNS = { ratio: 2, freedom: 6 };

/**
 * The same for what is known after one run: how far the defence moved the logits, times how far two runs lie apart in
 * pixels over how far the defence moved the pixels. Measured 0.72 to 0.80, with the spread of 3 degrees of freedom.
 */
const WITHIN_ONE_RUN = { ratio: 1, freedom: 3 };

/** Gathers the runs of one image, for votes by `majority` and `pool`. */
export class VoteRisk {
  readonly #settings: VoteSettings;
  readonly #start: number;
  readonly #undefendedLabel: number;
  readonly #undefended: Float32Array;
  readonly #displacement: number;
  readonly #logits: Float32Array[] = [];

  /**
   * @param settings with the number of all runs of the image
   * @param undefended logits of the undefended image; kept
   * @param displacement distance of two runs over sqrt 2, divided by the distance of a run from the undefended image, in
   *   the pixels that the model reads; what is above 1 counts as 1
   */
  constructor(settings: VoteSettings, undefended: Float32Array, displacement: number) {
    this.#settings = settings;
    this.#start = headStart(settings);
    this.#undefendedLabel = undefended.indexOf(undefended.reduce((a, b) => Math.max(a, b)));
    this.#undefended = undefended;
    this.#displacement = Math.min(displacement, 1);
  }

  /** @param logits of the next run; kept */
  add(logits: Float32Array): void {
    this.#logits.push(logits);
  }

  /**
   * Probability that the vote of all runs has another winner than `label`, which leads after the runs so far.
   *
   * @param votes how many of them voted for it
   * @returns in [0, 1]; 1 where the margins do not speak for the label at all
   */
  of(label: number, votes: number): number {
    return this.#settings.vote === 'pool' ? this.#poolRisk(label) : this.#majorityRisk(label, votes);
  }

  #majorityRisk(label: number, votes: number): number {
    const { runs } = this.#settings;
    const executed = this.#logits.length;
    const { mean, deviation, freedom } = this.#law(this.#logits.map(logits => margin(logits, label)));
    if (!(mean > 0)) return 1;
    // A tie may go either way, so half of all votes, head start included, are counted as enough.
    const against = executed - votes + (label === this.#undefendedLabel ? 0 : this.#start);
    const needed = Math.max(0, Math.ceil((runs + this.#start) / 2 - against));
    if (deviation === 0) return needed > runs - executed ? 0 : Number(needed === 0);
    return flipProbability(runs - executed, executed, needed, mean / deviation, freedom);
  }

  /** All other labels count as one that takes the best score of every run; the undefended one, with its head start, apart. */
  #poolRisk(label: number): number {
    const scores = this.#logits.map(logits => softmax(logits, 0, logits.length).map(poolScore));
    const start = this.#start;
    const rival = this.#undefendedLabel;
    const remaining = this.#settings.runs - this.#logits.length;
    const risk = (margins: readonly number[], advance: number) => {
      const { mean, deviation, freedom } = this.#law(margins);
      return sumRisk(margins.length * mean + advance, remaining, margins.length, mean, deviation, freedom);
    };
    const others = risk(
      scores.map(score => margin(score, label)),
      label === rival ? start : 0,
    );
    if (label === rival || start === 0) return others;
    const undefended = risk(
      scores.map(score => score[label]! - score[rival]!),
      -start,
    );
    return Math.min(1, others + undefended);
  }

  /** What is known of the law that margins are drawn by: their mean, and an estimate of their deviation with its degrees of freedom. */
  #law(margins: readonly number[]): { mean: number; deviation: number; freedom: number } {
    const mean = margins.reduce((sum, value) => sum + value, 0) / margins.length;
    const scatter = margins.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    const { variance, freedom } = this.#scale();
    const allFreedom = freedom + margins.length - 1;
    return { mean, deviation: Math.sqrt((freedom * variance + scatter) / allFreedom), freedom: allFreedom };
  }

  /** What this image says of the variance of its margins, and with how many degrees of freedom. */
  #scale(): { variance: number; freedom: number } {
    const executed = this.#logits.length;
    const classes = this.#undefended.length;
    if (executed === 1) {
      const moved = meanSquareDifference(this.#logits[0]!, this.#undefended) * this.#displacement ** 2;
      return scaled(WITHIN_ONE_RUN, moved, classes - 1);
    }
    // The mean over all pairs of runs of half their square difference is the variance over the runs.
    let sum = 0;
    for (let a = 1; a < executed; a++) {
      for (let b = 0; b < a; b++) sum += meanSquareDifference(this.#logits[a]!, this.#logits[b]!) / 2;
    }
    return scaled(BETWEEN_RUNS, (2 * sum) / (executed * (executed - 1)), (executed - 1) * (classes - 1));
  }
}

/** A measured scale with its own uncertainty: few classes say little of it. */
function scaled(relation: { ratio: number; freedom: number }, square: number, measured: number) {
  const variance = relation.ratio ** 2 * square;
  return { variance, freedom: (relation.freedom * measured) / (relation.freedom + measured) };
}

function margin(logits: Float32Array | Float64Array, label: number): number {
  let other = Number.NEGATIVE_INFINITY;
  for (let c = 0; c < logits.length; c++) if (c !== label && logits[c]! > other) other = logits[c]!;
  return logits[label]! - other;
}

/** Mean over the classes of the square difference, after the mean difference is taken out: it moves no probability. */
function meanSquareDifference(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  let squares = 0;
  for (let c = 0; c < a.length; c++) {
    const difference = a[c]! - b[c]!;
    sum += difference;
    squares += difference * difference;
  }
  const mean = sum / a.length;
  return Math.max(squares / a.length - mean * mean, 0);
}

/**
 * Probability that at least some of the runs to come vote against a label.
 *
 * @param remaining runs to come
 * @param executed runs so far, at least 1
 * @param needed votes against the label that it takes
 * @param ratio mean margin over the estimate of its standard deviation, above 0
 * @param freedom degrees of freedom of that estimate, above 0
 */
export function flipProbability(
  remaining: number,
  executed: number,
  needed: number,
  ratio: number,
  freedom: number,
): number {
  const flip = flipTable(remaining, executed, needed);
  return overScales(freedom, u => at(flip, ratio * u));
}

/**
 * Probability that a sum of margins ends at 0 or below: normal margins of which some are known, their mean and their
 * deviation not.
 *
 * @param lead the sum so far
 * @param remaining margins to come
 * @param executed margins so far, at least 1
 * @param mean of the margins so far
 * @param deviation estimate of their standard deviation
 * @param freedom degrees of freedom of that estimate, above 0
 */
export function sumRisk(
  lead: number,
  remaining: number,
  executed: number,
  mean: number,
  deviation: number,
  freedom: number,
): number {
  const expected = lead + remaining * mean;
  // Of what is to come: the scatter of the margins, and of their mean, of which nothing was assumed.
  const spread = deviation * Math.sqrt(remaining + remaining ** 2 / executed);
  if (spread === 0) return expected > 0 ? 0 : 1;
  return overScales(freedom, u => normalTail((u * expected) / spread));
}

/** The mean of a function of u = measured scale / true scale: u^2 has the distribution of chi^2 / freedom. */
function overScales(freedom: number, value: (u: number) => number): number {
  let weights = 0;
  let sum = 0;
  for (let u = SCALE_STEP / 2; u < SCALE_END; u += SCALE_STEP) {
    const weight = Math.exp((freedom - 1) * Math.log(u) - (freedom * u * u) / 2);
    weights += weight;
    sum += weight * value(u);
  }
  return sum / weights;
}

const tables = new Map<string, Float64Array>();

/** Flip probability with a known scale, for mean margins of 0, GRID_STEP, 2 GRID_STEP ... standard deviations. */
function flipTable(remaining: number, executed: number, needed: number): Float64Array {
  const key = `${remaining} ${executed} ${needed}`;
  let table = tables.get(key);
  if (table === undefined) {
    table = makeFlipTable(remaining, executed, needed);
    tables.set(key, table);
  }
  return table;
}

function makeFlipTable(remaining: number, executed: number, needed: number): Float64Array {
  const nodes = Math.round((2 * GRID_END) / GRID_STEP) + 1;
  const against = Float64Array.from({ length: nodes }, (_, i) =>
    binomialTail(remaining, needed, normalTail(i * GRID_STEP - GRID_END)),
  );
  // The true mean is normal around the measured one with variance 1 / executed.
  const reach = Math.ceil(8 / Math.sqrt(executed) / GRID_STEP);
  const kernel = Float64Array.from({ length: 2 * reach + 1 }, (_, i) =>
    Math.exp((-executed * ((i - reach) * GRID_STEP) ** 2) / 2),
  );
  const total = kernel.reduce((a, b) => a + b, 0);
  const zero = Math.round(GRID_END / GRID_STEP);
  return Float64Array.from({ length: nodes - zero }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < kernel.length; k++) {
      const node = Math.min(Math.max(zero + i + k - reach, 0), nodes - 1);
      sum += kernel[k]! * against[node]!;
    }
    return sum / total;
  });
}

function at(table: Float64Array, place: number): number {
  const index = place / GRID_STEP;
  const low = Math.floor(index);
  // So many standard deviations from the boundary nothing is left to add.
  if (low >= table.length - 1) return 0;
  return table[low]! + (index - low) * (table[low + 1]! - table[low]!);
}

/** P(at least `needed` of `trials` succeed), each with probability `success`. */
function binomialTail(trials: number, needed: number, success: number): number {
  if (needed <= 0) return 1;
  if (needed > trials || success <= 0) return 0;
  if (success >= 1) return 1;
  let sum = 0;
  let log = trials * Math.log1p(-success);
  const odds = Math.log(success) - Math.log1p(-success);
  for (let k = 0; k <= trials; k++) {
    if (k >= needed) sum += Math.exp(log);
    log += Math.log((trials - k) / (k + 1)) + odds;
  }
  return Math.min(sum, 1);
}

/** P(Z > x) of a standard normal Z, to 1e-7 of its value: the continued fraction in the tail, the series near 0. */
function normalTail(x: number): number {
  if (x < 0) return 1 - normalTail(-x);
  const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  if (x < 3) {
    let term = x;
    let sum = x;
    for (let k = 1; k < 60; k++) {
      term *= (x * x) / (2 * k + 1);
      sum += term;
    }
    return 0.5 - density * sum;
  }
  let fraction = x;
  for (let k = 40; k >= 1; k--) fraction = x + k / fraction;
  return density / fraction;
}
