/**
 * User options become resolved options here, once, at the edge: a flag before an environment variable before
 * deflector.yaml before the recipe. The result is checked and frozen, and its printed form starts the same run again.
 */
import { parseOrder } from '../comparators/order.js';
import { type DefenceSettings, type DefenceStep, PAPER_SETTINGS } from '../defense/settings.js';
import { type DeflectorError, invalid } from '../errors.js';
import { suggest } from '../suggest.js';
import { DEFAULT_RECIPE, findRecipe, MODEL_RECIPE, RECIPE_NAMES, type Recipe, type Recommendation } from './recipes.js';
import {
  flagOf,
  JOB_SETTING_NAMES,
  SETTING_NAMES,
  SETTINGS,
  type Setting,
  type SettingName,
  type SettingValues,
  variableOf,
} from './table.js';
import { EARLY_STOP, type Printed } from './value-types.js';

/** What a user may say: any of the settings, unchecked, as text or typed. */
export type UserOptions = { readonly [K in SettingName]?: unknown };

/** Everything a command needs to know of its settings: all fields present, checked and frozen. */
export interface ResolvedOptions extends Omit<SettingValues, keyof DefenceSettings | 'recipe'> {
  readonly defence: DefenceSettings;
  /** The recipe that the defence settings began from. */
  readonly recipe: string;
}

/** Where settings come from, first one first. */
export interface SettingSources {
  /** Values of flags, by setting name. */
  readonly flags?: UserOptions | undefined;
  /** The environment; an empty variable counts as absent. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** The content of deflector.yaml, as parsed, and its name for messages. */
  readonly file?: { readonly name: string; readonly content: unknown } | undefined;
  /** What the model's folder recommends. */
  readonly recipe?: Recommendation | undefined;
}

interface Given {
  readonly value: unknown;
  /** The flag, variable or key by which the value came. */
  readonly by: string;
}

/**
 * Resolves all settings of a command.
 *
 * @throws DeflectorError SETTINGS_INVALID for a value out of its range and for an unknown key of the file
 */
export function resolveSettings(sources: SettingSources): ResolvedOptions {
  const file = checkFile(sources.file);
  return resolve(name => {
    const flag = sources.flags?.[name];
    if (flag !== undefined) return { value: flag, by: flagOf(name) };
    const variable = sources.env?.[variableOf(name)];
    if (variable !== undefined && variable !== '') return { value: variable, by: variableOf(name) };
    const key = file?.content[name];
    return key === undefined ? undefined : { value: key, by: `${name} in ${file?.name}` };
  }, sources.recipe);
}

/**
 * Resolves the settings that a program gives, which may come from JavaScript: names are checked as well as values.
 *
 * @param recipe what the model's folder recommends
 * @throws DeflectorError SETTINGS_INVALID for a value out of its range and for an unknown name
 */
export function resolveOptions(options: UserOptions, recipe?: Recommendation): ResolvedOptions {
  for (const name of Object.keys(options)) {
    if (!isSettingName(name)) throw unknownKey(name, 'the options', SETTING_NAMES);
  }
  return resolve(name => {
    const value = options[name];
    return value === undefined ? undefined : { value, by: name };
  }, recipe);
}

/** The settings of a job as JSON: the keys and values that deflector.yaml takes, in the order of the table. */
export function printSettings(options: ResolvedOptions): Record<string, Printed> {
  return print({ ...options, ...options.defence }, JOB_SETTING_NAMES);
}

/** The settings of a defence as JSON, in the order of the table. */
export function printDefence(settings: DefenceSettings): Record<string, Printed> {
  return print(
    settings,
    SETTING_NAMES.filter(name => name in settings),
  );
}

/** What verdicts say of the settings they were made under: all of the defence but the seed, which has a field of its own. */
export function defenceRecord({ recipe, defence }: ResolvedOptions): Readonly<Record<string, unknown>> {
  const { seed: _, ...printed } = printDefence(defence);
  return Object.freeze({ recipe, ...printed });
}

/** The settings of a job as command line arguments, one `--flag=value` each. */
export function printFlags(options: ResolvedOptions, except: readonly SettingName[] = []): string[] {
  return Object.entries(printSettings(options)).flatMap(([name, value]) => {
    if (except.some(left => left === name)) return [];
    if (typeof value === 'boolean') return value ? [flagOf(name)] : [];
    return [`${flagOf(name)}=${Array.isArray(value) ? value.join(',') : value}`];
  });
}

function resolve(
  given: (name: SettingName) => Given | undefined,
  recommended: Recommendation | undefined,
): ResolvedOptions {
  const recipe = read('recipe', given('recipe')) ?? recommended?.recipe ?? DEFAULT_RECIPE;
  const base = recipe === MODEL_RECIPE ? modelRecipe(given, recommended) : findRecipe(recipe);
  if (base === undefined) {
    throw invalid(IN_FOLDER, `one of ${[...RECIPE_NAMES, MODEL_RECIPE].join(', ')}`, recipe);
  }
  const defence: Record<string, unknown> = {};
  const rest: Record<string, unknown> = {};
  for (const name of SETTING_NAMES) {
    if (name === 'recipe') continue;
    const value = read(name, given(name));
    const target = SETTINGS[name].group === 'defence' ? defence : rest;
    target[name] = value === undefined ? fallbackOf(name, base) : value;
  }
  defence.order = canonicalOrder(defence.order as readonly string[], given('order')?.by ?? flagOf('order'));
  checkTogether(defence as unknown as DefenceSettings);
  // Each value was read by the type that the table gives for its name.
  return Object.freeze({ recipe, defence: Object.freeze(defence), ...rest }) as unknown as ResolvedOptions;
}

/** For messages. */
const IN_FOLDER = "the recipe in the model's folder";

/**
 * The recipe that a model's folder brings along. Where every setting is given, as a job's record gives them, it is not looked at.
 *
 * @throws DeflectorError SETTINGS_INVALID where the folder has none, or a bad one
 */
function modelRecipe(given: (name: SettingName) => Given | undefined, recommended: Recommendation | undefined): Recipe {
  const names = Object.keys(PAPER_SETTINGS) as (keyof Recipe)[];
  const settings = recommended?.recipe === MODEL_RECIPE ? (recommended.settings ?? {}) : undefined;
  if (settings === undefined) {
    if (names.every(name => given(name) !== undefined)) return PAPER_SETTINGS;
    throw invalid(flagOf('recipe'), "a recipe's name, as the model's folder has none of its own", MODEL_RECIPE);
  }
  for (const name of Object.keys(settings)) {
    if (!names.some(known => known === name)) throw unknownKey(name, IN_FOLDER, names);
  }
  const own = names.flatMap(name => {
    const value = settings[name];
    return value === undefined ? [] : [[name, read(name, { value, by: `${name} in ${IN_FOLDER}` })] as const];
  });
  return { ...PAPER_SETTINGS, ...Object.fromEntries(own) };
}

/** @returns the checked value, or `undefined` where no source names the setting */
function read<K extends SettingName>(name: K, given: Given | undefined): SettingValues[K] | undefined {
  if (given === undefined) return undefined;
  const { type } = SETTINGS[name] as unknown as Setting<SettingValues[K]>;
  const value = type.parse(given.value);
  if (value === undefined)
    throw invalid(given.by, type.expected, type.shown === undefined ? given.value : type.shown(given.value));
  return value;
}

function fallbackOf(name: SettingName, recipe: Recipe): unknown {
  const { fallback } = SETTINGS[name];
  return fallback === undefined ? recipe[name as keyof Recipe] : fallback();
}

/**
 * An order as records and reports show it.
 *
 * @throws DeflectorError SETTINGS_INVALID for a step that is unknown, badly put, or works on more than the image
 */
function canonicalOrder(texts: readonly string[], by: string): readonly DefenceStep[] {
  return Object.freeze(
    parseOrder(texts.join(','), by).map(step => {
      if (step.kind === 'comparator' && step.step.needs !== undefined) {
        const needs = `${step.name} needs ${step.step.needs} of clean images; see docs/comparators.md`;
        throw invalid(by, `steps that work on the image alone (${needs})`, step.text);
      }
      return step.text;
    }),
  );
}

/** What no value of one setting can say alone. */
function checkTogether({ vote, earlyStop }: DefenceSettings): void {
  if (vote === 'mean' && earlyStop.kind === 'risk') {
    throw invalid(flagOf('earlyStop'), 'exact or off together with --vote mean', EARLY_STOP.print(earlyStop));
  }
}

function print(values: Readonly<Partial<SettingValues>>, names: readonly SettingName[]): Record<string, Printed> {
  const printed: Record<string, Printed> = {};
  for (const name of names) {
    const value = (SETTINGS[name].type as { print(value: unknown): Printed | undefined }).print(values[name]);
    if (value !== undefined) printed[name] = value;
  }
  return printed;
}

function checkFile(file: SettingSources['file']): { name: string; content: UserOptions } | undefined {
  if (file === undefined || file.content === null || file.content === undefined) return undefined;
  const { name, content } = file;
  if (typeof content !== 'object' || Array.isArray(content)) throw invalid(name, 'a mapping of settings', content);
  for (const key of Object.keys(content)) if (!isSettingName(key)) throw unknownKey(key, name, SETTING_NAMES);
  return { name, content };
}

function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(SETTINGS, name);
}

function unknownKey(key: string, where: string, names: readonly string[]): DeflectorError {
  const meant = suggest(key, names);
  return invalid(
    where,
    meant === undefined ? 'names of settings only' : `names of settings only (did you mean ${meant}?)`,
    key,
  );
}
