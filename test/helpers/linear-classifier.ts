/**
 * The smallest real classifier: means of 2x2 blocks of an 8x8 image as feature maps, global average pooling, a linear
 * layer. Deterministic, and the scores of an image do not depend on its batch mates.
 */
import { DeflectorError } from '../../src/errors.js';
import type { Classifier, ClassifierOutput, Preprocessing, RgbImage } from '../../src/types.js';

export const SIDE = 8;
const MAP = SIDE / 2;
const CLASSES = 5;

const PREPROCESSING: Preprocessing = {
  ...{ width: SIDE, height: SIDE, fit: 'stretch', cropFraction: 1, resizeShortest: 0, interpolation: 'bilinear' },
  ...{ mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], channels: 'rgb', layout: 'nchw' },
};

/** Rows that are close to each other, so that small changes of an image change its label. */
const WEIGHTS = Float32Array.from({ length: CLASSES * 3 }, (_, i) => 10 * Math.sin((i + 1) * 12.9898));

/** An image all white: the one that tests let the classifier stumble over. The defence leaves it as it is. */
export const WHITE: RgbImage = { width: SIDE, height: SIDE, data: new Uint8Array(3 * SIDE * SIDE).fill(255) };

export interface LinearOptions {
  /** Told of each call; what it throws fails the call. */
  readonly onCall?: (count: number, withFeatures: boolean) => void;
  /** What becomes of a batch that has a white image in it. */
  readonly white?: 'fails' | 'nan';
  /** Without it the classifier keeps its feature maps to itself. */
  readonly head?: boolean;
  readonly name?: string;
}

export function linearClassifier({ onCall, white, head = true, name = 'linear' }: LinearOptions = {}): Classifier {
  const size = 3 * SIDE * SIDE;
  const isWhite = (image: Float32Array) => image.every(value => value > 0.99);
  return {
    model: { name, sha256: '0'.repeat(64) },
    runtime: 'test',
    preprocessing: PREPROCESSING,
    labels: Array.from({ length: CLASSES }, (_, index) => ({ index, id: `n${index}`, name: `class ${index}` })),
    head: head ? { classes: CLASSES, channels: 3, weights: WEIGHTS } : undefined,
    headless: head ? undefined : 'it has none',
    outputs: 'logits',
    async classify(input, count, withFeatures): Promise<ClassifierOutput> {
      onCall?.(count, withFeatures);
      const images = Array.from({ length: count }, (_, i) => input.subarray(i * size, (i + 1) * size));
      if (white === 'fails' && images.some(isWhite)) throw new DeflectorError('INFERENCE_FAILED', 'too white');
      const maps = images.map(featuresOf);
      const scores = Float32Array.from(
        images.flatMap((image, i) => (white === 'nan' && isWhite(image) ? NOT_A_NUMBER : scoresOf(maps[i]!))),
      );
      const data = Float32Array.from(maps.flatMap(map => [...map]));
      return { scores, features: withFeatures ? { channels: 3, width: MAP, height: MAP, data } : undefined };
    },
    async dispose() {},
  };
}

const NOT_A_NUMBER = Array<number>(CLASSES).fill(Number.NaN);

function featuresOf(image: Float32Array): Float32Array {
  const maps = new Float32Array(3 * MAP * MAP);
  for (let i = 0; i < image.length; i++) {
    const [channel, row, column] = [Math.floor(i / (SIDE * SIDE)), Math.floor(i / SIDE) % SIDE, i % SIDE];
    maps[(channel * MAP + (row >> 1)) * MAP + (column >> 1)]! += image[i]! / 4;
  }
  return maps;
}

function scoresOf(maps: Float32Array): number[] {
  const area = MAP * MAP;
  const means = [0, 1, 2].map(
    c => maps.subarray(c * area, (c + 1) * area).reduce((sum, value) => sum + value, 0) / area,
  );
  return Array.from({ length: CLASSES }, (_, k) => means.reduce((sum, mean, c) => sum + mean * WEIGHTS[3 * k + c]!, 0));
}
