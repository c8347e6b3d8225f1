import type { Split } from './split.js';

/** Which images a figure is of: the first of a split, in the order of the data, that the undefended model gets right when clean. */
export interface Sample {
  readonly split: Split;
  readonly images: number;
  /** Which of the evaluation's models; 0 is the one that it is about. */
  readonly model: number;
}

/** @param share of the evaluation's images, in (0, 1] */
export function testSample(images: number, share = 1): Sample {
  return { split: 'test', images: Math.ceil(images * share), model: 0 };
}

/** Images that no figure of the tables is of, for whatever is chosen by its figures. */
export function searchSample(images: number, share: number): Sample {
  return { split: 'search', images: Math.ceil(images * share), model: 0 };
}
