/**
 * The attack of Carlini and Wagner for the Euclidean norm: Adam on |x' - x|^2 + c max(z_label - max z_other, -confidence)
 * with x' = (tanh w + 1) / 2, and a search for the smallest c that succeeds. Carlini, Wagner, 'Towards Evaluating the
 * Robustness of Neural Networks', IEEE S&P 2017, section VI.A.
 */
import { integer, number } from '../config/value-types.js';
import { Adam } from './adam.js';
import { type Attack, marginOf, parameter } from './attack.js';
import { confidence, judge, steps } from './common-parameters.js';
import { distance, judged } from './pixels.js';

const parameters = {
  confidence,
  judge,
  steps: steps(200),
  searches: parameter(integer(1, 30), 5, 'values of the constant c that are tried'),
  constant: parameter(number(1e-6, 1e6), 1, 'first value of c, the weight of the loss against the distance'),
  rate: parameter(number(1e-6, 1), 0.01, 'learning rate of Adam'),
};

export const carliniWagner: Attack<typeof parameters> = {
  name: 'cw',
  title: 'Carlini and Wagner, L2',
  source: 'Carlini and Wagner, IEEE S&P 2017',
  access: 'gradients',
  parameters,
  async run({ image, label, gradient, scores: query }, values) {
    const start = image.map(value => Math.atanh((2 * value - 1) * NEARLY_ONE));
    let best = image;
    let bestDistance = Number.POSITIVE_INFINITY;
    let [low, high, constant] = [0, Number.POSITIVE_INFINITY, values.constant];
    for (let search = 0; search < values.searches; search++) {
      const w = start.slice();
      const adam = new Adam(w.length, values.rate);
      let succeeded = false;
      let lastLoss = Number.POSITIVE_INFINITY;
      for (let step = 0; step < values.steps; step++) {
        const pixels = w.map(value => (Math.tanh(value) + 1) / 2);
        const { scores, gradient: slope } = await gradient(pixels, { kind: 'margin', label });
        const margin = marginOf(scores, label);
        const far = distance(pixels, image);
        if (margin > 0 && margin >= values.confidence && (!succeeded || far < bestDistance)) {
          const seen = judged(pixels, values.judge);
          if (seen === pixels || marginOf(await query(seen), label) > 0) {
            succeeded = true;
            if (far < bestDistance) [best, bestDistance] = [pixels, far];
          }
        }
        const loss = far ** 2 + constant * Math.max(-margin, -values.confidence);
        // Abort early: a tenth of the steps without gain (section VIII.A of the authors' code).
        if (step % Math.ceil(values.steps / 10) === 0) {
          if (loss > lastLoss * 0.9999) break;
          lastLoss = loss;
        }
        // d margin / d pixels points to fooling; the loss falls along it, until the margin is past the confidence.
        const pull = margin < values.confidence || margin <= 0 ? constant : 0;
        adam.step(w, i => (2 * (pixels[i]! - image[i]!) - pull * slope[i]!) * 2 * pixels[i]! * (1 - pixels[i]!));
      }
      if (succeeded) high = constant;
      else low = constant;
      constant = high === Number.POSITIVE_INFINITY ? constant * 10 : (low + high) / 2;
    }
    return best;
  },
};

/** tanh reaches 0 and 1 at infinity only. */
const NEARLY_ONE = 0.999999;
