/**
 * Auto-PGD on the difference of logits ratio, -(z_label - max z_other) / (z_first - z_third), which no scaling of the
 * scores changes. Croce and Hein, ICML 2020, equation 6. See apgd.ts.
 */
import { apgd, apgdParameters } from './apgd.js';
import { type Attack, linearLoss, rivalOf } from './attack.js';

export const apgdDlr: Attack<typeof apgdParameters> = {
  name: 'apgd-dlr',
  title: 'Auto-PGD on the difference of logits ratio',
  source: 'Croce and Hein, ICML 2020',
  access: 'gradients',
  parameters: apgdParameters,
  run: (subject, values) =>
    apgd(subject, values, async ({ label, classes, gradient, scores: query }, pixels) => {
      const scores = await query(pixels);
      const [first, , third] = topThree(scores) as [number, number, number];
      const rival = rivalOf(scores, label);
      const range = scores[first]! - scores[third]! + TINY;
      const loss = (scores[rival]! - scores[label]!) / range;
      // The quotient rule, at these scores.
      const seed = linearLoss(classes, [
        [rival, 1 / range],
        [label, -1 / range],
        [first, -loss / range],
        [third, loss / range],
      ]);
      return { scores, gradient: (await gradient(pixels, seed)).gradient, loss };
    }),
};

const TINY = 1e-12;

/** The three classes with the highest scores. */
function topThree(scores: Float32Array): number[] {
  const top: number[] = [];
  for (let j = 0; j < scores.length; j++) {
    const place = top.findIndex(other => scores[j]! > scores[other]!);
    if (place >= 0) top.splice(place, 0, j);
    else top.push(j);
    top.length = Math.min(top.length, 3);
  }
  return top;
}
