/** Whole networks of the families that are promised, held to PyTorch: test/goldens-gradients/make_families.py. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { createOnnxDifferentiableClassifier } from '../../../../src/models/onnx-gradient.js';
import type { LogitLoss } from '../../../../src/types.js';
import { checkLeaks } from '../../../helpers/leaks.js';
import { fromRoot } from '../../../helpers/root.js';
import { modelOf } from '../builder.js';

checkLeaks();

interface Golden {
  readonly label: number;
  readonly side: number;
  readonly at: readonly number[];
  readonly families: Readonly<
    Record<
      string,
      {
        readonly scores: readonly number[];
        readonly losses: Readonly<Record<'cross-entropy' | 'margin', { norm: number; samples: readonly number[] }>>;
      }
    >
  >;
}

const FOLDER = 'test/goldens-gradients';
const golden: Golden = JSON.parse(readFileSync(fromRoot(`${FOLDER}/families.json`), 'utf8'));
const { label, side, at } = golden;

/** The image of the script. */
const image = Float32Array.from({ length: 3 * side * side }, (_, i) => Math.sin(i * 0.37) * Math.cos(i * 0.0113));

describe('the gradient of a small network of each family', () => {
  for (const [family, { scores: expectedScores, losses }] of Object.entries(golden.families)) {
    it(`${family}: scores and gradients are those of PyTorch in double precision`, async () => {
      const model = modelOf(readFileSync(fromRoot(`${FOLDER}/families/${family}.onnx`)));
      const labels = expectedScores.map((_, index) => ({ index, id: '', name: `class ${index}` }));
      const preprocessing = { ...model.preprocessing, width: side, height: side };
      const classifier = await createOnnxDifferentiableClassifier(
        { ...model, labels, preprocessing },
        { provider: 'cpu', runtime: 'cpu' },
      );
      try {
        for (const kind of ['cross-entropy', 'margin'] as const) {
          const loss: LogitLoss = { kind, label };
          // Two of the same: the second place of a batch is as good as the first.
          const batch = new Float32Array(2 * image.length);
          batch.set(image);
          batch.set(image, image.length);
          const made = await classifier.gradient(batch, [loss, loss]);
          for (const place of [0, 1]) {
            const scores = made.scores.subarray(place * labels.length, (place + 1) * labels.length);
            for (const [c, expected] of expectedScores.entries()) {
              assert.ok(Math.abs(scores[c]! - expected) <= 1e-4 * (1 + Math.abs(expected)), `score ${c}: ${scores[c]}`);
            }
            const gradient = made.gradient.subarray(place * image.length, (place + 1) * image.length);
            const { norm, samples } = losses[kind];
            assert.ok(norm > 0);
            assert.ok(
              Math.abs(Math.hypot(...gradient) / norm - 1) < 1e-4,
              `${kind}: norm ${Math.hypot(...gradient)} for ${norm}`,
            );
            const typical = norm / Math.sqrt(image.length);
            for (const [i, expected] of samples.entries()) {
              const error = Math.abs(gradient[at[i]!]! - expected) / typical;
              assert.ok(error < 1e-3, `${kind} at ${at[i]}: ${gradient[at[i]!]} for ${expected}`);
            }
          }
        }
      } finally {
        await classifier.dispose();
      }
    });
  }
});
