/**
 * Jacobian-based saliency map attack: the values that most raise a target class and lower all others are pushed to the
 * end of their range, a few at a time. Papernot et al., 'The Limitations of Deep Learning in Adversarial Settings', IEEE
 * EuroS&P 2016, equation 8. Their search over pairs of values grows with the square of the image and was made for 784 of
 * them; here each value counts by its own saliency, in either direction (equations 8 and 9).
 */
import { integer, number, oneOf } from '../config/value-types.js';
import { type Attack, isFooled, linearLoss, parameter, rivalOf } from './attack.js';
import { form } from './common-parameters.js';
import { clamp01 } from './pixels.js';

const parameters = {
  theta: parameter(number(0.001, 1), 1, 'change of a value that is pushed'),
  gamma: parameter(number(0, 1), 0.05, 'most values that are changed, as a share of all'),
  width: parameter(integer(1, 100_000), 100, 'values pushed in one step'),
  target: parameter(oneOf(['second', 'least']), 'second', 'class that is aimed at: the second or the least likely'),
  form,
};

export const jsma: Attack<typeof parameters> = {
  name: 'jsma',
  title: 'Jacobian-based saliency map attack',
  source: 'Papernot et al., EuroS&P 2016',
  access: 'gradients',
  parameters,
  async run({ image, label, classes, gradient, scores: query }, values) {
    const clean = await query(image);
    const target =
      values.target === 'second'
        ? rivalOf(clean, label)
        : rivalOf(
            clean.map(score => -score),
            label,
          );
    const others = new Float32Array(classes).fill(1);
    others[target] = 0;
    const pixels = image.slice();
    const used = new Uint8Array(image.length);
    const most = Math.floor(values.gamma * image.length);
    for (let changed = 0; changed < most; ) {
      const [towards, against] = await Promise.all([
        gradient(pixels.slice(), linearLoss(classes, [[target, 1]])),
        gradient(pixels.slice(), { kind: 'linear', seed: others }),
      ]);
      if (values.form === 'minimal' && isFooled(towards.scores, label)) break;
      const saliency = new Float32Array(image.length);
      for (let i = 0; i < saliency.length; i++) {
        const [a, b] = [towards.gradient[i]!, against.gradient[i]!];
        const free = used[i] === 0 && (a > 0 ? pixels[i]! < 1 : pixels[i]! > 0);
        if (free && a * b < 0) saliency[i] = Math.abs(a * b);
      }
      const chosen = largest(saliency, Math.min(values.width, most - changed));
      if (chosen.length === 0) break;
      for (const i of chosen) {
        pixels[i] = clamp01(pixels[i]! + Math.sign(towards.gradient[i]!) * values.theta);
        used[i] = 1;
      }
      changed += chosen.length;
    }
    return pixels;
  },
};

/** Places of the largest values above zero, in the order of the places. */
function largest(values: Float32Array, count: number): number[] {
  const sorted = values.slice().sort();
  const bound = sorted[sorted.length - count]!;
  const chosen: number[] = [];
  for (let i = 0; i < values.length && chosen.length < count; i++)
    if (values[i]! > 0 && values[i]! >= bound) chosen.push(i);
  return chosen;
}
