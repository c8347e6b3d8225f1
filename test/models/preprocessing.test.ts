import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { preprocess } from '../../src/images/preprocess.js';
import { tensorFormat, writeTensor } from '../../src/images/tensor.js';
import { type ProcessorDescription, parsePreprocessing, processorConfig } from '../../src/models/preprocessing.js';
import type { RgbImage } from '../../src/types.js';
import { fromRoot } from '../helpers/root.js';

interface Golden {
  readonly config: Record<string, unknown>;
  readonly width: number;
  readonly height: number;
  readonly values: readonly number[];
}

/** Made by test/models/processors/make.py with the Transformers library. */
const goldens = JSON.parse(readFileSync(fromRoot('test/models/processors/cases.json'), 'utf8')) as {
  readonly width: number;
  readonly height: number;
  readonly cases: readonly Golden[];
};

/** The image of make.py. */
function image({ width, height }: { width: number; height: number }): RgbImage {
  const data = new Uint8Array(width * height * 3);
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) data[at++] = (x * 4 + y * 3 + c * 31 + ((x * y) % 29) * 2) % 256;
    }
  }
  return { width, height, data };
}

describe('preprocessor_config.json', () => {
  goldens.cases.forEach(({ config, width, height, values }, i) => {
    it(`makes of an image what ${config.image_processor_type} of Transformers makes of it (${i})`, () => {
      const p = parsePreprocessing(config, 'nchw');
      assert.deepEqual([p.width, p.height], [width, height]);
      const tensor = new Float32Array(3 * width * height);
      writeTensor(preprocess(image(goldens), p), tensorFormat(p), tensor, 0);
      values.forEach((value, k) => {
        assert.ok(Math.abs(value - tensor[k]!) < 1e-4, `element ${k}: ${tensor[k]} is not ${value}`);
      });
    });
  });

  const ONE = { image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5], resample: 3 };

  it('stretches from 384 pixels on where ConvNeXT does', () => {
    const config = { image_processor_type: 'ConvNextImageProcessor', size: { shortest_edge: 384 }, ...ONE };
    const { fit, width, height } = parsePreprocessing(config, 'nchw');
    assert.deepEqual([fit, width, height], ['stretch', 384, 384]);
  });

  it('reads a single number as the shorter side where the processor crops, as a square where it does not', () => {
    const crops = parsePreprocessing({ size: 256, do_center_crop: true, crop_size: 224, ...ONE }, 'nchw');
    assert.deepEqual([crops.fit, crops.resizeShortest, crops.width], ['resize-then-crop', 256, 224]);
    const whole = parsePreprocessing({ size: 224, ...ONE }, 'nchw');
    assert.deepEqual([whole.fit, whole.width, whole.height], ['stretch', 224, 224]);
  });

  it('comes back as it was described', () => {
    for (const fit of ['stretch', 'resize-then-crop', 'crop-then-resize'] as const) {
      const described: ProcessorDescription = {
        ...{ width: 60, height: 48, fit, crop: 0.75, interpolation: 'lanczos', channels: 'bgr' },
        ...{ mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6] },
      };
      const p = parsePreprocessing(JSON.parse(JSON.stringify(processorConfig(described))), 'nhwc');
      const { crop, mean, std, ...same } = described;
      assert.deepEqual(p, { ...p, ...same, layout: 'nhwc' });
      [...mean, ...std].forEach((value, i) => {
        assert.ok(Math.abs(value - [...p.mean, ...p.std][i]!) < 1e-12);
      });
      assert.equal(p.cropFraction, fit === 'crop-then-resize' ? crop : 1);
      assert.equal(p.resizeShortest, fit === 'resize-then-crop' ? 64 : 0);
    }
  });

  const refused: readonly [Record<string, unknown>, string, RegExp][] = [
    [{ ...ONE }, 'MODEL_INVALID', /size is missing/],
    [{ ...ONE, size: 224, image_mean: undefined }, 'MODEL_INVALID', /image_mean and image_std are missing/],
    [{ ...ONE, size: 224, image_std: [1, 0, 1] }, 'MODEL_INVALID', /image_std holds a zero/],
    [{ ...ONE, size: 0 }, 'MODEL_INVALID', /size/],
    [{ ...ONE, size: { shortest_edge: 1e9 } }, 'MODEL_INVALID', /size/],
    [{ ...ONE, size: 224, resample: 4 }, 'MODEL_UNSUPPORTED', /resample 4/],
    [{ ...ONE, size: 224, do_resize: false }, 'MODEL_UNSUPPORTED', /do_resize false/],
    [{ ...ONE, size: { shortest_edge: 224 } }, 'MODEL_UNSUPPORTED', /leaves the input size open/],
    [
      { ...ONE, size: { height: 256, width: 256 }, do_center_crop: true, crop_size: 224 },
      'MODEL_UNSUPPORTED',
      /centre crop behind a resize/,
    ],
  ];
  for (const [config, code, message] of refused) {
    it(`is refused: ${JSON.stringify(config)}`, () => {
      assert.throws(() => parsePreprocessing(config, 'nchw'), { code, message });
    });
  }
});
