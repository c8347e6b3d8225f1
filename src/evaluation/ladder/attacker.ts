/**
 * An attacker of the ladder: the subject that an attack sees in place of the undefended model. Whatever it asks is
 * answered through the defence; the first candidate whose defended label is wrong ends the attack.
 */
import { isFooled, linearLoss, marginOf, rivalOf, type Subject } from '../../attacks/attack.js';
import type { TracedMap } from '../../defense/gradient/activation-map.js';
import { toPlanar } from '../../defense/order.js';
import { runRandom } from '../../defense/random.js';
import type { LogitLoss, RgbImage } from '../../types.js';
import { contentHash, type DefendedModel } from './defended-model.js';
import type { PlainModel } from './plain-model.js';
import type { WhiteBox } from './rungs.js';

/** Slack of single precision when a candidate's largest change is compared with epsilon. */
const ROUNDING = 1e-6;

/**
 * Votes, each under a seed of the attacker's own, that must all be wrong before a candidate counts as found where votes
 * are drawn: fewer, and one in some candidates is right again under the seed of the defence.
 */
export const TRIALS = 5;

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

/** One that goes through the defence by gradients (rungs 1 to 6 and 9). */
export async function whiteBoxAttacker(
  model: DefendedModel,
  access: WhiteBox,
  target: Target,
  defenceSeed: string,
): Promise<Attacker> {
  const cleanMap = await model.map(target.image);
  const mapOf = async (image: RgbImage): Promise<TracedMap | undefined> =>
    access.map === 'clean' ? cleanMap : model.map(image);
  const draws = drawsOf(target, access.freshness === 'fresh');
  const seeds = access.seed === 'known' ? [defenceSeed] : trialSeeds(target.seed, model.isRandom);
  const { label } = target;
  /** The class that the vote is to be lost to: of the runs that were last seen, the one with the highest mean score. */
  let rival: number | undefined;
  return attacker(model.classes, target, {
    scores: async image => {
      const map = await mapOf(image);
      return mean(await model.scores(image, map?.value, draws(access.draws)));
    },
    gradient: async (image, given) => {
      const map = await mapOf(image);
      const aim = (): LogitLoss => {
        if (rival === undefined) return { kind: 'margin', label };
        return linearLoss(model.classes, [
          [rival, 1],
          [label, -1],
        ]);
      };
      const loss = access.objective === 'vote' ? aim() : given;
      const sources = draws(access.draws);
      const runs = await model.gradients(image, map?.value, sources, loss, access.backward);
      const scores = mean(runs.scores);
      const weights = access.objective === 'vote' ? stillRight(runs.scores, label) : undefined;
      rival = rivalOf(scores, label);
      const gradient = mean(runs.gradients, weights);
      if (access.map === 'attacked' && map !== undefined) {
        const more = await model.featureGradient(image, map.back(runs.ofMap));
        for (let i = 0; i < gradient.length; i++) gradient[i]! += more[i]!;
      }
      return { scores, gradient };
    },
    isFound: image => losesAll(model, image, label, seeds),
  });
}

/** Margin by which a run counts as lost for good: it then has no more say in where the next step goes. */
const LOST = 2;

/** Weights of runs in a step against the vote: 1 where a run is not yet lost, or of all where all are. */
function stillRight(scores: readonly Float32Array[], label: number): number[] {
  const weights: number[] = scores.map(run => (marginOf(run, label) < LOST ? 1 : 0));
  return weights.includes(1) ? weights : weights.fill(1);
}

/** One that knows the undefended model alone (rung 0), or another model (rung 8): what the defence says is not looked at. */
export function unawareAttacker(model: PlainModel, target: Target): Attacker {
  return attacker(model.classes, target, {
    scores: image => model.scores(image),
    gradient: (image, loss) => model.gradient(image, loss),
    isFound: async () => false,
  });
}

/**
 * One that sees answers of the defended model alone (rung 7): of one run a question, which is what ten of them say nearly
 * always; where that one is fooled within reach, the mean of as many runs as the vote has.
 */
export function queryAttacker(model: DefendedModel, target: Target): Attacker {
  const draws = drawsOf(target, true);
  const seeds = trialSeeds(target.seed, model.isRandom);
  const runs = model.isRandom ? model.settings.runs : 1;
  return attacker(model.classes, target, {
    scores: async image => {
      const map = (await model.map(image))?.value;
      const [one] = await model.scores(image, map, draws(1));
      const final = runs > 1 && isFooled(one!, target.label) && isNear(image, target.image, target.reach);
      return final ? mean(await model.scores(image, map, draws(runs))) : one!;
    },
    gradient: () => Promise.reject(new TypeError('an attacker by queries has no gradients')),
    isFound: image => losesAll(model, image, target.label, seeds),
  });
}

function attacker(classes: number, target: Target, answers: Answers): Attacker {
  const { image, label, reach } = target;
  let tell: (candidate: RgbImage) => void = () => {};
  const found = new Promise<RgbImage>(resolve => {
    tell = resolve;
  });
  // Attacks may ask several questions at once; a model answers one at a time.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T extends { scores: Float32Array }>(pixels: Float32Array, ask: (asked: RgbImage) => Promise<T>) => {
    const answer = last.then(async () => {
      const asked = rounded(pixels, image, reach);
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
    classes,
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

function trialSeeds(seed: string, random: boolean): readonly string[] {
  return Array.from({ length: random ? TRIALS : 1 }, (_, trial) => `${seed} trial ${trial}`);
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

/** Pixels in 8 bits; where values are bounded, they are cut off, so that rounding does not take them over the bound. */
function rounded(pixels: Float32Array, clean: RgbImage, { norm, epsilon }: Reach): RgbImage {
  const { width, height } = clean;
  const area = width * height;
  const most = norm === 'linf' ? Math.floor(255 * (epsilon + ROUNDING)) : 255;
  const data = new Uint8Array(3 * area);
  for (let i = 0; i < data.length; i++) {
    const centre = clean.data[i]!;
    const value = Math.round(255 * pixels[(i % 3) * area + Math.floor(i / 3)]!);
    data[i] = Math.min(Math.max(value, centre - most, 0), centre + most, 255);
  }
  return { width, height, data };
}

/** Pixels in 8 bits, within reach of the clean image: a change of too large a norm is scaled down. */
export function roundedNear(pixels: Float32Array, clean: RgbImage, reach: Reach): RgbImage {
  const image = rounded(pixels, clean, reach);
  if (isNear(image, clean, reach)) return image;
  let squares = 0;
  for (let i = 0; i < image.data.length; i++) squares += (image.data[i]! - clean.data[i]!) ** 2;
  const scale = (255 * reach.epsilon) / Math.sqrt(squares / image.data.length);
  // Towards the clean value, so that rounding cannot take it out of reach.
  const data = image.data.map((value, i) => clean.data[i]! + Math.trunc(scale * (value - clean.data[i]!)));
  return { ...image, data };
}

function mean(vectors: readonly Float32Array[], weights?: readonly number[]): Float32Array {
  const sum = new Float64Array(vectors[0]!.length);
  let total = 0;
  for (const [n, vector] of vectors.entries()) {
    const weight = weights?.[n] ?? 1;
    total += weight;
    if (weight > 0) for (let i = 0; i < sum.length; i++) sum[i]! += weight * vector[i]!;
  }
  return Float32Array.from(sum, value => value / total);
}
