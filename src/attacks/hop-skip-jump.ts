/**
 * HopSkipJump: from an image that fools the model, along the boundary and back to the original, by labels alone. Chen,
 * Jordan, Wainwright, 'HopSkipJumpAttack: A Query-Efficient Decision-Based Attack', IEEE S&P 2020, algorithm 2, for the
 * Euclidean norm.
 */
import { integer } from '../config/value-types.js';
import { type Attack, isFooled, parameter, type Subject } from './attack.js';
import { judge } from './common-parameters.js';
import { clamp01, distance, judged, moved, norm, normals } from './pixels.js';

const parameters = {
  judge,
  queries: parameter(integer(10, 10_000_000), 2000, 'most images that the model is asked about'),
  evaluations: parameter(integer(1, 100_000), 100, 'images that the first estimate of a gradient takes'),
};

export const hopSkipJump: Attack<typeof parameters> = {
  name: 'hopskipjump',
  title: 'HopSkipJump',
  source: 'Chen et al., IEEE S&P 2020',
  access: 'labels',
  parameters,
  async run(subject, values) {
    const { image, label, random, scores: query } = subject;
    let left = values.queries;
    const asked = async (pixels: Float32Array): Promise<boolean> => {
      left--;
      return isFooled(await query(pixels), label);
    };
    const fools = (pixels: Float32Array) => asked(judged(pixels, values.judge));
    const start = await firstFooling(subject, fools, () => left > 0);
    if (start === undefined) return image;
    // How finely the boundary is searched, and the length of a probe over the distance: for the Euclidean norm the
    // authors' values vanish in single precision at this many values, so they grow with the root of it, not with it.
    const theta = 0.01 / Math.sqrt(image.length);
    let pixels = await toBoundary(image, start, theta, fools, () => left > 0);
    for (let round = 1; left > 0; round++) {
      const far = distance(pixels, image);
      const delta = round === 1 ? 0.1 : 0.01 * far;
      const count = Math.min(Math.round(values.evaluations * Math.sqrt(round)), left);
      const direction = await estimate(pixels, delta, count, random, asked);
      let step = far / Math.sqrt(round);
      let next = moved(pixels, direction, step);
      while (left > 0 && !(await fools(next))) {
        step /= 2;
        if (step < far * 1e-4) break;
        next = moved(pixels, direction, step);
      }
      if (left <= 0 || step < far * 1e-4) continue;
      const found = await toBoundary(image, next, theta, fools, () => left > 0);
      if (distance(found, image) < far) pixels = found;
    }
    return pixels;
  },
};

/** Uniform noise that fools the model, or a mixture with it that does; `undefined` where none was found. */
async function firstFooling(
  { image, random }: Subject,
  fools: (pixels: Float32Array) => Promise<boolean>,
  more: () => boolean,
): Promise<Float32Array | undefined> {
  for (let tries = 0; tries < 100 && more(); tries++) {
    const noise = image.map(() => random.uniform());
    if (await fools(noise)) return noise;
  }
  return undefined;
}

/** The point between an image and one that fools the model where it just does. */
async function toBoundary(
  image: Float32Array,
  fooling: Float32Array,
  theta: number,
  fools: (pixels: Float32Array) => Promise<boolean>,
  more: () => boolean,
): Promise<Float32Array> {
  let [low, high] = [0, 1];
  let best = fooling;
  while (high - low > theta && more()) {
    const middle = (low + high) / 2;
    const pixels = image.map((value, i) => clamp01(value + middle * (fooling[i]! - value)));
    if (await fools(pixels)) [high, best] = [middle, pixels];
    else low = middle;
  }
  return best;
}

/** Questions that are asked side by side. */
const AT_ONCE = 8;

/** The direction in which the model is fooled more, as a unit vector (equation 16, with the mean taken off). */
async function estimate(
  pixels: Float32Array,
  delta: number,
  count: number,
  random: Subject['random'],
  fools: (pixels: Float32Array) => Promise<boolean>,
): Promise<Float32Array> {
  // Sum of the directions, and their sum with the sign of the answer: so the mean can be taken off at the end.
  const all = new Float32Array(pixels.length);
  const signed = new Float32Array(pixels.length);
  let answers = 0;
  for (let done = 0; done < count; done += AT_ONCE) {
    const asked = Array.from({ length: Math.min(AT_ONCE, count - done) }, () => {
      const noise = normals(pixels.length, random);
      return moved(pixels, noise, delta / norm(noise));
    });
    for (const [n, fooled] of (await Promise.all(asked.map(fools))).entries()) {
      const sign = fooled ? 1 : -1;
      answers += sign;
      // What was really asked, behind the cut to [0,1].
      for (let i = 0; i < all.length; i++) {
        const change = (asked[n]![i]! - pixels[i]!) / delta;
        all[i]! += change;
        signed[i]! += sign * change;
      }
    }
  }
  const mean = Math.abs(answers) === count ? 0 : answers / count;
  const total = signed.map((value, i) => value - mean * all[i]!);
  const length = Math.max(norm(total), 1e-12);
  return total.map(value => value / length);
}
