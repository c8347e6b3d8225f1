/**
 * The attack that adversarial images were found with: box-constrained L-BFGS on c |x' - x|^2 + cross-entropy of a target
 * class, and a search for the largest c that succeeds. Szegedy et al., 'Intriguing Properties of Neural Networks', ICLR 2014,
 * section 4.1; L-BFGS: Nocedal, Mathematics of Computation 35, 1980; the box by projection.
 */
import { integer, number, oneOf } from '../config/value-types.js';
import { type Attack, crossEntropy, marginOf, parameter, rivalOf, type Subject } from './attack.js';
import { confidence, judge, steps } from './common-parameters.js';
import { clamp01, distance, dot, judged, norm } from './pixels.js';

const parameters = {
  confidence,
  judge,
  steps: steps(20),
  searches: parameter(integer(1, 30), 8, 'values of the constant c that are tried'),
  constant: parameter(number(1e-9, 1e6), 0.1, 'first value of c, the weight of the distance against the loss'),
  target: parameter(oneOf(['second', 'least']), 'second', 'class that is aimed at: the second or the least likely'),
};

export const lBfgs: Attack<typeof parameters> = {
  name: 'lbfgs',
  title: 'Box-constrained L-BFGS',
  source: 'Szegedy et al., ICLR 2014',
  access: 'gradients',
  parameters,
  async run(subject, values) {
    const { image, label } = subject;
    const clean = await subject.scores(image);
    const target =
      values.target === 'second'
        ? rivalOf(clean, label)
        : rivalOf(
            clean.map(score => -score),
            label,
          );
    let best = image;
    let bestDistance = Number.POSITIVE_INFINITY;
    const keep = async (pixels: Float32Array, scores: Float32Array): Promise<boolean> => {
      const margin = marginOf(scores, label);
      if (margin <= 0 || margin < values.confidence) return false;
      const seen = judged(pixels, values.judge);
      if (seen !== pixels && marginOf(await subject.scores(seen), label) <= 0) return false;
      const far = distance(pixels, image);
      if (far < bestDistance) [best, bestDistance] = [pixels, far];
      return true;
    };
    // c falls until the attack succeeds, then the interval between failure and success is halved.
    let [low, high, constant] = [0, Number.POSITIVE_INFINITY, values.constant];
    for (let search = 0; search < values.searches; search++) {
      if (await minimise(subject, target, constant, values.steps, keep)) low = constant;
      else high = constant;
      constant = low === 0 ? constant / 10 : high === Number.POSITIVE_INFINITY ? constant * 10 : (low + high) / 2;
    }
    return best;
  },
};

/** Differences of positions and slopes that the curvature is kept by. */
const MEMORY = 10;

/** Halvings of a step before it is given up. */
const BACKTRACKS = 12;

/** @returns whether the end of the descent was kept */
async function minimise(
  { image, gradient }: Subject,
  target: number,
  constant: number,
  steps: number,
  keep: (pixels: Float32Array, scores: Float32Array) => Promise<boolean>,
): Promise<boolean> {
  const evaluate = async (pixels: Float32Array) => {
    const { scores, gradient: slope } = await gradient(pixels, { kind: 'cross-entropy', label: target });
    const value = constant * distance(pixels, image) ** 2 + crossEntropy(scores, target);
    for (let i = 0; i < slope.length; i++) slope[i]! += 2 * constant * (pixels[i]! - image[i]!);
    return { pixels, scores, slope, value };
  };
  let here = await evaluate(image);
  let kept = await keep(here.pixels, here.scores);
  const pairs: { s: Float32Array; y: Float32Array; curvature: number }[] = [];
  for (let step = 0; step < steps; step++) {
    const direction = descent(here.slope, pairs);
    // The first direction has no scale yet: a step of one part in a hundred of the image.
    let length = pairs.length === 0 ? (0.01 * norm(image)) / Math.max(norm(direction), 1e-12) : 1;
    let next = here;
    for (let tries = 0; tries < BACKTRACKS; tries++, length /= 2) {
      const pixels = here.pixels.map((value, i) => clamp01(value + length * direction[i]!));
      const there = await evaluate(pixels);
      const gain = dot(
        here.slope,
        pixels.map((value, i) => value - here.pixels[i]!),
      );
      if (there.value <= here.value + 1e-4 * gain) {
        next = there;
        break;
      }
    }
    if (next === here) break;
    const s = next.pixels.map((value, i) => value - here.pixels[i]!);
    const y = next.slope.map((value, i) => value - here.slope[i]!);
    const curvature = dot(s, y);
    if (curvature > 1e-10 * dot(y, y)) pairs.push({ s, y, curvature });
    if (pairs.length > MEMORY) pairs.shift();
    const flat = here.value - next.value < 1e-6 * Math.abs(here.value);
    here = next;
    kept = await keep(here.pixels, here.scores);
    if (flat) break;
  }
  return kept;
}

/** The two-loop recursion: minus the inverse curvature times the slope. */
function descent(
  slope: Float32Array,
  pairs: readonly { s: Float32Array; y: Float32Array; curvature: number }[],
): Float32Array {
  const q = slope.map(value => -value);
  const alphas: number[] = [];
  const subtract = (from: Float32Array, factor: number, what: Float32Array) => {
    for (let i = 0; i < from.length; i++) from[i]! -= factor * what[i]!;
  };
  for (const { s, y, curvature } of [...pairs].reverse()) {
    const alpha = dot(s, q) / curvature;
    alphas.unshift(alpha);
    subtract(q, alpha, y);
  }
  const last = pairs.at(-1);
  if (last !== undefined) {
    const scale = last.curvature / dot(last.y, last.y);
    for (let i = 0; i < q.length; i++) q[i]! *= scale;
  }
  for (const [i, { s, y, curvature }] of pairs.entries()) subtract(q, dot(y, q) / curvature - alphas[i]!, s);
  return q;
}
