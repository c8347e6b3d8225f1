/**
 * The interface of an image step: a rival defence, or a part of one, that can stand in `--order`.
 *
 * A step is a pure function of pixels, parameters and draws. Its text is `name` or `name:value-value-...`, the values in
 * the order of its parameters; what is left out takes its default. The canonical text names at least the first parameter
 * (of `nlm` three, as the paper writes it) and ends with the last one that differs from its default: `jpeg:75`,
 * `jpeg:75-444`, `nlm:11-3-2`.
 */
import type { UniformSource } from '../defense/defender.js';
import type { ForeignStep } from '../defense/order.js';
import { invalid } from '../errors.js';
import type { PatchBank } from './quilting.js';

/** What some steps need beside the image; made once, read only. */
export interface StepResources {
  /** Patches of clean images; `quilt` needs them. */
  readonly patches?: PatchBank;
}

/** One parameter of a step: how it is written and read. */
export interface StepParameter<T extends number | string> {
  readonly default: T;
  /** What is accepted, in words: `an integer from 1 to 8`. */
  readonly expected: string;
  /** @returns the value, or `undefined` where the text does not give one */
  parse(text: string): T | undefined;
}

/** A step with its parameters' values, ready to be applied. */
export interface BoundStep {
  readonly name: string;
  /** Canonical text; parsing it gives the same step. */
  readonly text: string;
  /** Whether it draws: two runs differ only where some step of the order does. */
  readonly random: boolean;
  /** What it needs beside the image, where it needs something. */
  readonly needs: keyof StepResources | undefined;
  /**
   * Applies the step in place.
   *
   * @param planes float32, planar [3, height, width], RGB in [0, 1]; values stay in [0, 1]
   * @param source the run's draws; left alone unless `random`
   * @throws DeflectorError SETTINGS_INVALID where a resource that the step needs is absent
   */
  apply(
    planes: Float32Array,
    width: number,
    height: number,
    source: UniformSource,
    resources?: Readonly<StepResources>,
  ): void;
  /** The transposed Jacobian, where the step has one that is of use: see `ForeignStep.back`. */
  readonly back: ForeignStep['back'];
}

/** A kind of step: its name in `--order` and how its text becomes a bound step. */
export interface ImageStep {
  readonly name: string;
  readonly random: boolean;
  readonly needs: keyof StepResources | undefined;
  /** The parameters in the order of the text, for `--help` and the documents. */
  readonly parameters: readonly {
    readonly name: string;
    readonly default: number | string;
    readonly expected: string;
  }[];
  /**
   * @param text what follows `name:`, or '' for all defaults
   * @param by the flag, variable or key by which it came; default `--order`
   * @throws DeflectorError SETTINGS_INVALID `Expected X for --order jpeg quality but received Z`
   */
  parse(text: string, by?: string): BoundStep;
}

type Values = Record<string, number | string>;

/** Makes a kind of step from its parameters (in the order of the text) and its function. */
export function defineStep<P extends Values>(definition: {
  readonly name: string;
  readonly random?: boolean;
  readonly needs?: keyof StepResources;
  /** How many parameters the canonical text always names. */
  readonly shown?: number;
  readonly parameters: { readonly [K in keyof P]: StepParameter<P[K]> };
  apply(
    planes: Float32Array,
    width: number,
    height: number,
    parameters: Readonly<P>,
    source: UniformSource,
    resources: Readonly<StepResources>,
  ): void;
  /** See `ForeignStep.back`. Left out where the derivative is zero almost everywhere or costs more than it tells. */
  back?(
    gradient: Float32Array,
    planes: Float32Array,
    width: number,
    height: number,
    parameters: Readonly<P>,
    source: UniformSource,
  ): void;
}): ImageStep {
  const { name, random = false, needs, shown: least = 1 } = definition;
  const entries = Object.entries(definition.parameters) as [string, StepParameter<number | string>][];
  return Object.freeze({
    name,
    random,
    needs,
    parameters: entries.map(([key, parameter]) => ({
      name: key,
      default: parameter.default,
      expected: parameter.expected,
    })),
    parse(text: string, by = '--order'): BoundStep {
      const words = text === '' ? [] : text.split('-');
      if (words.length > entries.length) {
        const most =
          ['no parameters', 'at most one parameter'][entries.length] ?? `at most ${entries.length} parameters`;
        throw invalid(by, `${most} after ${JSON.stringify(name)}`, `${name}:${text}`);
      }
      const values: Values = {};
      let printed = Math.min(least, entries.length);
      for (const [index, [key, parameter]] of entries.entries()) {
        const word = words[index];
        const value = word === undefined ? parameter.default : parameter.parse(word);
        if (value === undefined) throw invalid(`${by} ${name} ${key}`, parameter.expected, word);
        values[key] = value;
        if (value !== parameter.default) printed = Math.max(printed, index + 1);
      }
      const shown = entries.slice(0, printed).map(([key]) => String(values[key]));
      const parameters = Object.freeze(values) as Readonly<P>;
      return Object.freeze({
        name,
        random,
        needs,
        text: [name, ...(shown.length > 0 ? [shown.join('-')] : [])].join(':'),
        apply: (planes, width, height, source, resources = {}) =>
          definition.apply(planes, width, height, parameters, source, resources),
        back:
          definition.back &&
          ((gradient, planes, width, height, source) =>
            definition.back?.(gradient, planes, width, height, parameters, source)),
      } satisfies BoundStep);
    },
  });
}

/** An integer from `least` to `most`, both included. */
export function integer(initial: number, least: number, most: number): StepParameter<number> {
  return {
    default: initial,
    expected: `an integer from ${least} to ${most}`,
    parse: text => (/^\d+$/.test(text) ? within(Number(text), least, most) : undefined),
  };
}

/** A decimal number from `least` to `most`, both included, without exponent. */
export function decimal(initial: number, least: number, most: number): StepParameter<number> {
  return {
    default: initial,
    expected: `a number from ${least} to ${most}`,
    parse: text => (/^(\d+\.?\d*|\.\d+)$/.test(text) ? within(Number(text), least, most) : undefined),
  };
}

/** A decimal number as above, or a word that stands for one: `auto`, what is taken from the image. */
export function decimalOr<const W extends string>(word: W, least: number, most: number): StepParameter<number | W> {
  const number = decimal(least, least, most);
  return {
    default: word,
    expected: `${number.expected}, or ${word}`,
    parse: text => (text === word ? word : number.parse(text)),
  };
}

/** One of some words. */
export function choice<const W extends string>(initial: W, ...others: readonly W[]): StepParameter<W> {
  const words: readonly W[] = [initial, ...others];
  return {
    default: initial,
    expected: `one of ${words.join(', ')}`,
    parse: text => words.find(word => word === text),
  };
}

function within(value: number, least: number, most: number): number | undefined {
  return value >= least && value <= most ? value : undefined;
}
