/**
 * SPSA: the gradient of the margin is estimated from scores at random pairs of points, and followed by Adam. Uesato,
 * O'Donoghue, van den Oord, Kohli, 'Adversarial Risk and the Dangers of Evaluating Against Weak Attacks', ICML 2018; Spall,
 * IEEE Transactions on Automatic Control 37, 1992.
 */
import { fraction, integer, number } from '../config/value-types.js';
import { Adam } from './adam.js';
import { type Attack, marginOf, parameter } from './attack.js';
import { epsilon, form, steps } from './common-parameters.js';
import { clamp01, withinBox } from './pixels.js';

const parameters = {
  epsilon: epsilon(),
  steps: steps(20),
  samples: parameter(integer(1, 100_000), 32, 'pairs of points a step'),
  delta: parameter(fraction(0, 1), 0.01, 'how far the points of a pair are from the image, on the [0,1] scale'),
  rate: parameter(number(1e-6, 1), 0.01, 'learning rate of Adam'),
  form,
};

export const spsa: Attack<typeof parameters> = {
  name: 'spsa',
  title: 'Simultaneous perturbation stochastic approximation',
  source: 'Uesato et al., ICML 2018',
  access: 'scores',
  parameters,
  async run({ image, label, random, scores: query }, values) {
    const pixels = image.slice();
    const adam = new Adam(pixels.length, values.rate);
    for (let step = 0; step < values.steps; step++) {
      const estimate = new Float32Array(pixels.length);
      for (let sample = 0; sample < values.samples; sample++) {
        const signs = pixels.map(() => (random.uniform() < 0.5 ? -1 : 1));
        const at = (side: number) => query(pixels.map((value, i) => clamp01(value + side * values.delta * signs[i]!)));
        const [ahead, behind] = await Promise.all([at(1), at(-1)]);
        const slope = (marginOf(ahead, label) - marginOf(behind, label)) / (2 * values.delta * values.samples);
        for (let i = 0; i < estimate.length; i++) estimate[i]! += slope * signs[i]!;
      }
      adam.step(pixels, i => -estimate[i]!);
      for (let i = 0; i < pixels.length; i++) pixels[i] = withinBox(pixels[i]!, image[i]!, values.epsilon);
      if (values.form === 'minimal' && marginOf(await query(pixels.slice()), label) > 0) break;
    }
    return pixels;
  },
};
