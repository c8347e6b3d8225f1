/**
 * An attacker of the ladder: the subject that an attack sees in place of the undefended model. Whatever it asks is
 * answered through the defence; the first candidate whose defended label is wrong ends the attack.
 */
import { isFooled, type Subject } from '../../attacks/attack.js';
import { toPlanar } from '../../defense/order.js';
import { runRandom } from '../../defense/random.js';
import type { ActivationMap, LogitLoss, RgbImage } from '../../types.js';
import { contentHash, type DefendedModel } from './defended-model.js';
import type { WhiteBox } from './rungs.js';

/** Slack of single precision when a candidate's largest change is compared with epsilon. */
const ROUNDING = 1e-6;

/** Votes, each under a seed of the attacker's own, that must all be wrong before a candidate counts as found. */
const TRIALS = 2;

/**
 * `linf`: no value changes by more than epsilon, on the [0,1] scale. `l2`: the Euclidean norm of the change is at most that
 * of a change of epsilon everywhere.
 */
export interface Reach {
  readonly norm: 'linf' | 'l2';
  readonly epsilon: number;
}

/** An image under attack, and what the attacker may do to it. */
export interface Target {
  readonly image: RgbImage;
  readonly label: number;
  /** How far from the image a candidate may be. */
  readonly reach: Reach;
  /** Seed of the attacker's own draws. */
  readonly seed: string;
}

/** An attack's subject, and the candidate that ends it. */
export interface Attacker {
  readonly subject: Subject;
  /** Resolves with the first candidate whose defended label is wrong; the question that led to it is never answered. */
  readonly found: Promise<RgbImage>;
}

/** What an attacker answers questions with. */
interface Answers {
  scores(image: RgbImage): Promise<Float32Array>;
  gradient(image: RgbImage, loss: LogitLoss): Promise<{ scores: Float32Array; gradient: Float32Array }>;
  /** Whether the candidate, whose scores look fooled, is one to end with. */
  isFound(image: RgbImage): Promise<boolean>;
}

/**
 * One that goes through the defence by gradients (rungs 1 to 6 and 9).
 *
 * @param seeds seeds of the votes that must be lost: those of the attacker's own, or the defence's where it is known
 */
export async function whiteBoxAttacker(
  model: DefendedModel,
  access: WhiteBox,
  target: Target,
  defenceSeed: string,
): Promise<Attacker> {
  const cleanMap = access.map === 'clean' ? await model.map(target.image) : undefined;
  const mapOf = (image: RgbImage): Promise<ActivationMap | undefined> =>
    access.map === 'clean' ? Promise.resolve(cleanMap) : model.map(image);
  const draws = drawsOf(target, access.freshness === 'fresh');
  const seeds = access.seed === 'known' ? [defenceSeed] : trialSeeds(target.seed);
  return attacker(model, target, {
    scores: async image => mean(await model.scores(image, await mapOf(image), draws(access.draws))),
    gradient: async (image, loss) => {
      const { scores, gradients } = await model.gradients(image, await mapOf(image), draws(access.draws), loss);
      return { scores: mean(scores), gradient: mean(gradients) };
    },
    isFound: image => losesAll(model, image, target.label, seeds),
  });
}

/** One that knows the undefended model alone (rung 0), or another model (rung 8): its success is not looked at. */
export function unawareAttacker(model: DefendedModel, target: Target): Attacker {
  const source = drawsOf(target, true);
  return attacker(model, target, {
    scores: async image => mean(await model.scores(image, undefined, source(1))),
    gradient: async (image, loss) => {
      const { scores, gradients } = await model.gradients(image, undefined, source(1), loss);
      return { scores: scores[0]!, gradient: gradients[0]! };
    },
    isFound: async () => false,
  });
}

/**
 * One that sees answers of the defended model alone (rung 7): of one run a question, which is what ten of them say nearly
 * always; where that one is fooled, the mean of as many runs as the vote has.
 */
export function queryAttacker(model: DefendedModel, target: Target): Attacker {
  const draws = drawsOf(target, true);
  const seeds = trialSeeds(target.seed);
  const runs = model.isRandom(target.image) ? model.settings.runs : 1;
  return attacker(model, target, {
    scores: async image => {
      const map = await model.map(image);
      const [one] = await model.scores(image, map, draws(1));
      return runs === 1 || !isFooled(one!, target.label) ? one! : mean(await model.scores(image, map, draws(runs)));
    },
    gradient: () => Promise.reject(new TypeError('an attacker by queries has no gradients')),
    isFound: image => losesAll(model, image, target.label, seeds),
  });
}

function attacker(model: DefendedModel, target: Target, answers: Answers): Attacker {
  const { image, label, reach } = target;
  let tell: (candidate: RgbImage) => void = () => {};
  const found = new Promise<RgbImage>(resolve => {
    tell = resolve;
  });
  // Attacks may ask several questions at once; a model answers one at a time.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T extends { scores: Float32Array }>(pixels: Float32Array, ask: (asked: RgbImage) => Promise<T>) => {
    const answer = last.then(async () => {
      const asked = roundedNear(pixels, image, reach);
      const made = await ask(asked);
      if (isFooled(made.scores, label) && isNear(asked, image, reach) && (await answers.isFound(asked))) {
        tell(asked);
        await new Promise<never>(() => {});
      }
      return made;
    });
    last = answer.catch(() => undefined);
    return answer;
  };
  const subject: Subject = {
    image: toPlanar(image),
    width: image.width,
    height: image.height,
    label,
    classes: model.classes,
    random: runRandom(`${target.seed} attack`, contentHash(image), 0),
    scores: async pixels => (await inTurn(pixels, async asked => ({ scores: await answers.scores(asked) }))).scores,
    gradient: (pixels, loss) => inTurn(pixels, asked => answers.gradient(asked, loss)),
  };
  return { subject, found };
}

/** Whether all votes under some seeds are lost. */
async function losesAll(
  model: DefendedModel,
  image: RgbImage,
  label: number,
  seeds: readonly string[],
): Promise<boolean> {
  for (const seed of seeds) if ((await model.defendedLabel(image, seed)) === label) return false;
  return true;
}

function trialSeeds(seed: string): readonly string[] {
  return Array.from({ length: TRIALS }, (_, trial) => `${seed} trial ${trial}`);
}

/** Sources of an attacker's own draws: others at every call where they are fresh, else the same ones. */
function drawsOf({ image, seed }: Target, fresh: boolean) {
  const hash = contentHash(image);
  let next = 0;
  return (count: number) => {
    const first = next;
    if (fresh) next += count;
    return Array.from({ length: count }, (_, n) => runRandom(`${seed} draws`, hash, first + n));
  };
}

/** Whether an image lies within reach of the clean one. */
function isNear(image: RgbImage, clean: RgbImage, { norm, epsilon }: Reach): boolean {
  let most = 0;
  let squares = 0;
  for (let i = 0; i < image.data.length; i++) {
    const change = Math.abs(image.data[i]! - clean.data[i]!) / 255;
    most = Math.max(most, change);
    squares += change * change;
  }
  return norm === 'linf' ? most <= epsilon + ROUNDING : Math.sqrt(squares / image.data.length) <= epsilon + ROUNDING;
}

/** Pixels in 8 bits, within reach of the clean image: values are cut off, a change of too large a norm is scaled down. */
export function roundedNear(pixels: Float32Array, clean: RgbImage, { norm, epsilon }: Reach): RgbImage {
  const { width, height } = clean;
  const area = width * height;
  const most = norm === 'linf' ? Math.floor(255 * (epsilon + ROUNDING)) : 255;
  const data = new Uint8Array(3 * area);
  const at = (i: number) => 255 * pixels[(i % 3) * area + Math.floor(i / 3)]!;
  let scale = 1;
  if (norm === 'l2') {
    let squares = 0;
    for (let i = 0; i < data.length; i++) squares += (at(i) - clean.data[i]!) ** 2;
    scale = Math.min(1, (255 * epsilon) / Math.max(Math.sqrt(squares / data.length), Number.MIN_VALUE));
  }
  for (let i = 0; i < data.length; i++) {
    const centre = clean.data[i]!;
    const change = scale * (at(i) - centre);
    // What is scaled down is cut towards the clean value, so that rounding cannot take it out of reach.
    const value = centre + (scale < 1 ? Math.trunc(change) : Math.round(change));
    data[i] = Math.min(Math.max(value, centre - most, 0), centre + most, 255);
  }
  return { width, height, data };
}

function mean(vectors: readonly Float32Array[]): Float32Array {
  const [first, ...rest] = vectors;
  if (rest.length === 0) return first!;
  const sum = Float64Array.from(first!);
  for (const vector of rest) for (let i = 0; i < sum.length; i++) sum[i]! += vector[i]!;
  return Float32Array.from(sum, value => value / vectors.length);
}
