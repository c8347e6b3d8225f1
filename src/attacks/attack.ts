/** What an attack is: a search, by one image's own queries, for pixels close to it that the model labels otherwise. */
import type { ValueType } from '../config/value-types.js';
import type { UniformSource } from '../defense/defender.js';
import type { LogitLoss } from '../types.js';

/** One setting of an attack. */
export interface Parameter<T> {
  readonly type: ValueType<T>;
  readonly fallback: T;
  /** One line, no full stop. */
  readonly help: string;
}

export type ParameterTable = Readonly<Record<string, Parameter<never> | Parameter<unknown>>>;

/** One value for each parameter of a table. */
export type ParameterValues<T> = { readonly [K in keyof T]: T[K] extends Parameter<infer V> ? V : never };

export function parameter<T>(type: ValueType<T>, fallback: T, help: string): Parameter<T> {
  return { type, fallback, help };
}

/**
 * An attack. It sees one image at a time and only through its subject; that many images are attacked side by side, and
 * their queries answered in batches, is none of its business.
 */
export interface Attack<T = Record<string, Parameter<unknown>>> {
  /** As on the command line. */
  readonly name: string;
  readonly title: string;
  /** Where it was published. */
  readonly source: string;
  /** What it asks of the model: its gradients, its scores, or its label alone. */
  readonly access: 'gradients' | 'scores' | 'labels';
  readonly parameters: T;
  /**
   * @returns float32 [3, height, width], RGB in [0,1]: the best that was found, whether or not it fools the model
   */
  run(subject: Subject, values: ParameterValues<T>): Promise<Float32Array>;
}

/** An image under attack. Pixels are float32, planar [3, height, width], RGB in [0,1]. */
export interface Subject {
  readonly image: Float32Array;
  readonly width: number;
  readonly height: number;
  /** The class that the attack leads away from. */
  readonly label: number;
  readonly classes: number;
  /** The image's own stream of random numbers. */
  readonly random: UniformSource;
  /** Scores before any softmax; of a model that gives probabilities, as an attack by queries sees them, their logarithms. */
  scores(pixels: Float32Array): Promise<Float32Array>;
  /** Scores before any softmax, and the gradient of a loss in them with respect to the pixels. */
  gradient(pixels: Float32Array, loss: LogitLoss): Promise<{ scores: Float32Array; gradient: Float32Array }>;
}

/** The class with the highest score; of equal ones the first. */
export function topClass(scores: Float32Array): number {
  let best = 0;
  for (let j = 1; j < scores.length; j++) if (scores[j]! > scores[best]!) best = j;
  return best;
}

/** The class other than `label` with the highest score. */
export function rivalOf(scores: Float32Array, label: number): number {
  let best = label === 0 ? 1 : 0;
  for (let j = 0; j < scores.length; j++) if (j !== label && scores[j]! > scores[best]!) best = j;
  return best;
}

/** max over j other than label of z_j, less z_label: above zero where the model is fooled. */
export function marginOf(scores: Float32Array, label: number): number {
  return scores[rivalOf(scores, label)]! - scores[label]!;
}

/** Whether the model gives another label. */
export function isFooled(scores: Float32Array, label: number): boolean {
  return topClass(scores) !== label;
}

/** A seed with a few entries: the loss sum of weight * z_class. */
export function linearLoss(classes: number, weights: readonly (readonly [number, number])[]): LogitLoss {
  const seed = new Float32Array(classes);
  for (const [index, weight] of weights) seed[index]! += weight;
  return { kind: 'linear', seed };
}

/** log sum_j exp z_j - z_label */
export function crossEntropy(scores: Float32Array, label: number): number {
  const most = scores.reduce((a, b) => Math.max(a, b));
  return most + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - most), 0)) - scores[label]!;
}
