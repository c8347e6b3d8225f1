/**
 * Projected gradient descent: the iterative sign method from random starts within epsilon of the image.
 * Madry, Makelov, Schmidt, Tsipras, Vladu, 'Towards Deep Learning Models Resistant to Adversarial Attacks', ICLR 2018.
 */
import { fraction, integer } from '../config/value-types.js';
import { type Attack, isFooled, marginOf, parameter } from './attack.js';
import { epsilon, form, steps } from './common-parameters.js';
import { signStep, withinBox } from './pixels.js';

const parameters = {
  epsilon: epsilon(),
  step: parameter(fraction(0, 1), 2 / 255, 'size of one step, on the [0,1] scale'),
  steps: steps(10),
  restarts: parameter(integer(1, 1000), 1, 'random starts; the one with the largest margin counts'),
  form,
};

export const pgd: Attack<typeof parameters> = {
  name: 'pgd',
  title: 'Projected gradient descent',
  source: 'Madry et al., ICLR 2018',
  access: 'gradients',
  parameters,
  async run({ image, label, gradient, scores: query, random }, values) {
    let best = image;
    let bestMargin = Number.NEGATIVE_INFINITY;
    for (let start = 0; start < values.restarts; start++) {
      let pixels: Float32Array = image.map(value =>
        withinBox(value + (2 * random.uniform() - 1) * values.epsilon, value, values.epsilon),
      );
      for (let step = 0; step < values.steps; step++) {
        const { scores, gradient: direction } = await gradient(pixels, { kind: 'cross-entropy', label });
        if (values.form === 'minimal' && isFooled(scores, label)) return pixels;
        pixels = signStep(pixels, direction, values.step, image, values.epsilon);
      }
      const margin = marginOf(await query(pixels), label);
      if (margin > bestMargin) [best, bestMargin] = [pixels, margin];
      if (values.form === 'minimal' && margin > 0) break;
    }
    return best;
  },
};
