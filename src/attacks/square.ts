/**
 * Square attack: random squares of plus or minus epsilon, kept where they raise the margin. Andriushchenko, Croce,
 * Flammarion, Hein, 'Square Attack: a Query-Efficient Black-Box Adversarial Attack via Random Search', ECCV 2020,
 * algorithms 1 and 2, for the largest change of a value.
 */
import { integer, number } from '../config/value-types.js';
import { type Attack, marginOf, parameter } from './attack.js';
import { epsilon } from './common-parameters.js';
import { withinBox } from './pixels.js';

const parameters = {
  epsilon: epsilon(),
  queries: parameter(integer(1, 1_000_000), 1000, 'most images that the model is asked about'),
  share: parameter(number(0.0001, 1), 0.05, 'share of the pixels that the first squares cover'),
};

export const square: Attack<typeof parameters> = {
  name: 'square',
  title: 'Square attack',
  source: 'Andriushchenko et al., ECCV 2020',
  access: 'scores',
  parameters,
  async run({ image, width, height, label, random, scores: query }, values) {
    const sign = () => (random.uniform() < 0.5 ? -1 : 1);
    const area = width * height;
    const put = (out: Float32Array, channel: number, y: number, x: number, change: number) => {
      const at = channel * area + y * width + x;
      out[at] = withinBox(image[at]! + change * values.epsilon, image[at]!, values.epsilon);
    };
    // It begins with vertical stripes, which networks are known to be sensitive to.
    let pixels = image.slice();
    for (let channel = 0; channel < 3; channel++) {
      for (let x = 0; x < width; x++) {
        const change = sign();
        for (let y = 0; y < height; y++) put(pixels, channel, y, x, change);
      }
    }
    let margin = marginOf(await query(pixels), label);
    for (let asked = 1; asked < values.queries && margin <= 0; asked++) {
      const share = values.share * schedule((asked * 10_000) / values.queries);
      const side = Math.max(1, Math.min(Math.round(Math.sqrt(share * area)), Math.min(width, height) - 1));
      const left = Math.floor(random.uniform() * (width - side + 1));
      const top = Math.floor(random.uniform() * (height - side + 1));
      const tried = pixels.slice();
      for (let channel = 0; channel < 3; channel++) {
        const change = sign();
        for (let y = top; y < top + side; y++)
          for (let x = left; x < left + side; x++) put(tried, channel, y, x, change);
      }
      const found = marginOf(await query(tried), label);
      if (found > margin) [pixels, margin] = [tried, found];
    }
    return pixels;
  },
};

/** How the first share shrinks over 10,000 queries (section 3 of the paper's supplement). */
function schedule(asked: number): number {
  const halvings = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000].filter(at => asked > at).length;
  return 2 ** -halvings;
}
