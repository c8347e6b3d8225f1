/** `deflector models`: the models of the registry, and those of the catalogue. */
import { createInterface } from 'node:readline/promises';
import { type Command, Option } from 'commander';
import type { Recommendation } from '../config/recipes.js';
import { DeflectorError, invalid } from '../errors.js';
import type { AddOptions, AskedField, ModelDescription } from '../models/add-model.js';
import type { CatalogueOptions } from '../models/catalogue.js';
import type { ModelCheck } from '../models/check-model.js';
import { EXIT } from './exit-codes.js';
import { addJsonOption } from './options.js';
import { stoppable } from './stoppable.js';

interface JsonFlag {
  readonly json?: boolean;
}

/** Flags of `models add` as they are typed. */
interface AddFlags extends JsonFlag {
  readonly name?: string;
  readonly labels?: string;
  readonly mean?: string;
  readonly std?: string;
  readonly size?: string;
  readonly fit: NonNullable<ModelDescription['fit']>;
  readonly crop: string;
  readonly interpolation: NonNullable<ModelDescription['interpolation']>;
  readonly channels: NonNullable<ModelDescription['channels']>;
  readonly recipe?: string;
  readonly overwrite?: boolean;
}

/** Flags of `models pull`. */
interface PullFlags extends JsonFlag {
  readonly list?: boolean;
  readonly mirror?: string;
  readonly offline?: boolean;
  readonly overwrite?: boolean;
  readonly quiet?: boolean;
  readonly catalogue?: string;
  readonly catalogueKey?: string;
}

/** Adds `models list`, `show`, `check`, `add` and `pull`. */
export function registerModels(program: Command): void {
  const models = program.command('models').description('list, show, check, add and pull models');

  addJsonOption(models.command('list'))
    .description('list the bundled models and those that were added')
    .addHelpText('after', '\nAdded models lie in $DEFLECTOR_MODELS, or in deflector/models below $XDG_DATA_HOME.')
    .action(list);

  addJsonOption(models.command('show'))
    .argument('<model>', 'name of a model, or a folder (with a slash)')
    .description('show what a model takes, gives and records')
    .addHelpText(
      'after',
      '\nExamples:\n  $ deflector models show efficientnet-lite0\n  $ deflector models show ./my-model',
    )
    .action(show);

  addJsonOption(models.command('check'))
    .argument('<model>', 'name of a model, or a folder (with a slash)')
    .addOption(new Option('--runtime <name>', 'what executes the model').default('auto'))
    .description('check digest, labels, shapes and scores of a model by running it; exit code 1 if a check fails')
    .addHelpText('after', '\nExample:\n  $ deflector models check efficientnet-lite0')
    .action(check);

  const adding = models
    .command('add')
    .argument(
      '<source>',
      'folder with config.json, preprocessor_config.json and onnx/model.onnx or tfjs/model.json; or a bare network: an .onnx file, a model.json',
    )
    .description('copy a model to the folder of added models, record its digest and check it')
    .option('--name <name>', 'what it will be called (default: the name of the folder or file)')
    .option('--overwrite', 'replace a model of the same name')
    .option('--recipe <name>', 'recipe that is recommended for it')
    .optionsGroup('What a bare network does not say (asked for where there is a terminal):')
    .option('--labels <file>', 'names of the classes: one a line, or JSON')
    .option('--mean <r,g,b>', 'mean of each channel on the [0,1] scale')
    .option('--std <r,g,b>', 'standard deviation of each channel on the [0,1] scale')
    .option('--size <pixels>', 'input size, N or WIDTHxHEIGHT (default: what the network fixes)')
    .addOption(
      new Option('--fit <how>', 'how an image is brought to the input size')
        .choices(['crop-then-resize', 'resize-then-crop', 'stretch'])
        .default('crop-then-resize'),
    )
    .addOption(new Option('--crop <share>', 'share of the shorter side that a centre crop keeps').default('0.875'))
    .addOption(
      new Option('--interpolation <kernel>', 'how pixels are resampled')
        .choices(['nearest', 'bilinear', 'bicubic', 'lanczos'])
        .default('bicubic'),
    )
    .addOption(
      new Option('--channels <order>', 'order of the channels that the network reads')
        .choices(['rgb', 'bgr'])
        .default('rgb'),
    )
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ optimum-cli export onnx --model microsoft/resnet-50 resnet-50 && deflector models add resnet-50\n' +
        '  $ deflector models add net.onnx --labels labels.txt --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225',
    )
    .action(add);
  addJsonOption(adding);

  const pulling = models
    .command('pull')
    .argument('[name]', 'a model of the catalogue')
    .description('download a model of the signed catalogue, verify its digest and add it')
    .option('--list', 'list the catalogue')
    .option('--offline', 'use no network: take the file from the cache of earlier downloads')
    .option('--overwrite', 'replace a model of the same name')
    .option('--quiet', 'print no progress')
    .addOption(new Option('--mirror <url>', 'folder that holds the files under their names').env('DEFLECTOR_MIRROR'))
    .addOption(
      new Option(
        '--catalogue <place>',
        'another catalogue: a file or an https address, its signature beside it as .sig',
      ).env('DEFLECTOR_CATALOGUE'),
    )
    .addOption(
      new Option('--catalogue-key <file>', 'public key (PEM, Ed25519) of who signed it').env('DEFLECTOR_CATALOGUE_KEY'),
    )
    .addHelpText(
      'after',
      '\nA download that was cut goes on where it ended. Downloads are kept in deflector/models below $XDG_CACHE_HOME.\n\n' +
        'Examples:\n  $ deflector models pull --list\n  $ deflector models pull resnet-50\n' +
        '  $ deflector models pull resnet-50 --mirror https://files.example.org/models',
    )
    .action(pull);
  addJsonOption(pulling);
}

async function list(flags: JsonFlag): Promise<void> {
  const { listModels } = await import('../models/registry.js');
  const models = await listModels();
  if (flags.json) return printJson('deflector/models@1', { models });
  const width = Math.max(...models.map(model => model.name.length));
  for (const model of models) print(`${model.name.padEnd(width)}  ${model.origin.padEnd(7)}  ${model.folder}`);
}

async function show(name: string, flags: JsonFlag): Promise<void> {
  const { openModel } = await import('../models/registry.js');
  const { identity, folder, recorded, recommendation, preprocessing, labels, network } = await openModel(name);
  const { input, output, head, headless } = network;
  if (flags.json) {
    return printJson('deflector/model-description@1', {
      ...{ ...identity, folder, recorded, recipe: recommendation?.recipe ?? null },
      ...(recommendation?.settings === undefined ? {} : { settings: recommendation.settings }),
      ...{ preprocessing, input, output },
      activationMaps: head === undefined ? { possible: false, reason: headless } : { possible: true },
      labels,
    });
  }
  const p = preprocessing;
  const fits = {
    'crop-then-resize': `centre square of ${p.cropFraction} of the shorter side, resized`,
    'resize-then-crop': `shorter side resized to ${p.resizeShortest}, centre cropped`,
    stretch: 'the whole image, resized',
  };
  const rows: readonly [string, string][] = [
    ['name', identity.name],
    ['folder', folder],
    ['sha256', `${identity.sha256}${recorded ? '' : ' (recorded nowhere)'}`],
    [
      'classes',
      `${labels.length}: ${labels
        .slice(0, 3)
        .map(label => label.name)
        .join(', ')} ...`,
    ],
    [
      'input',
      `${input.name}: ${input.type}, ${p.width}x${p.height}, ${p.channels}, ${input.layout}, batch ${input.batch ?? 'any'}`,
    ],
    ['image', `${fits[p.fit]} (${p.interpolation})`],
    ['pixels', `(x / 255 - mean) / std, mean ${p.mean.map(round).join(' ')}, std ${p.std.map(round).join(' ')}`],
    ['output', `${output.name}: ${output.kind}, ${output.type}`],
    ['activation maps', head === undefined ? `none: ${headless}` : 'yes'],
    ['recipe', recommended(recommendation)],
  ];
  for (const [key, value] of rows) print(`${key.padEnd(16)}${value}`);
}

function recommended(recommendation: Recommendation | undefined): string {
  if (recommendation === undefined) return 'none recommended';
  const settings = Object.entries(recommendation.settings ?? {}).map(([name, value]) => `${name} ${value}`);
  return [recommendation.recipe, ...(settings.length === 0 ? [] : [settings.join(', ')])].join(': ');
}

async function check(name: string, flags: JsonFlag & { readonly runtime: string }): Promise<void> {
  const { resolveModel } = await import('../models/registry.js');
  const { checkModel } = await import('../models/check-model.js');
  const checks = await checkModel(await resolveModel(name), flags.runtime);
  const passed = checks.every(({ outcome }) => outcome !== 'fail');
  if (flags.json) printJson('deflector/model-check@1', { model: name, passed, checks });
  else printChecks(checks);
  if (!passed) process.exitCode = EXIT.errors;
}

async function add(source: string, flags: AddFlags): Promise<void> {
  const { addModel } = await import('../models/add-model.js');
  const { findRecipe, RECIPE_NAMES } = await import('../config/recipes.js');
  if (flags.recipe !== undefined && findRecipe(flags.recipe) === undefined) {
    throw invalid('--recipe', `one of ${RECIPE_NAMES.join(', ')}`, flags.recipe);
  }
  const terminal = process.stdin.isTTY && process.stderr.isTTY && !flags.json;
  const options: AddOptions = {
    description: describe(flags),
    ...(flags.overwrite ? { overwrite: true } : {}),
    ...(terminal ? { ask } : {}),
  };
  const added = await addModel(source, options);
  if (flags.json) return printJson('deflector/model-added@1', { ...added });
  printChecks(added.checks);
  print(`Added ${added.name} at ${added.folder}`);
}

async function pull(name: string | undefined, flags: PullFlags): Promise<void> {
  if (flags.list) return listCatalogue(flags);
  if (name === undefined) throw new DeflectorError('COMMAND_INVALID', 'Name a model of the catalogue, or say --list');
  const { pullModel } = await import('../models/pull-model.js');
  const { createDownloadProgress } = await import('../report/download-progress.js');
  const { mirror, offline, overwrite } = flags;
  const quiet = flags.quiet === true;
  const progress = createDownloadProgress(name, { quiet, tty: process.stderr.isTTY === true });
  const pulled = await stoppable(quiet, signal =>
    pullModel(name, {
      ...placeOf(flags),
      ...(mirror === undefined ? {} : { mirror }),
      ...(offline ? { offline } : {}),
      ...(overwrite ? { overwrite } : {}),
      signal,
      progress: (bytes, { bytes: total }) => progress.update(bytes, total),
    }),
  ).finally(() => progress.stop());
  if (flags.json) return printJson('deflector/model-pulled@1', { ...pulled });
  printChecks(pulled.checks);
  const what = { network: 'Added', cache: 'Added, from the cache,', present: 'There was already' }[pulled.from];
  print(`${what} ${pulled.name} at ${pulled.folder}; licence ${pulled.licence}`);
}

async function listCatalogue(flags: PullFlags): Promise<void> {
  const { readCatalogue } = await import('../models/catalogue.js');
  const { size } = await import('../report/download-progress.js');
  const entries = await readCatalogue(placeOf(flags));
  if (flags.json) return printJson('deflector/catalogue@1', { models: entries });
  const rows = entries.map(({ name, bytes, input, licence, summary }) => [
    ...[name, size(bytes), `${input.width}x${input.height}`, licence],
    summary,
  ]);
  const widths = [0, 1, 2, 3].map(c => Math.max(...rows.map(row => row[c]!.length)));
  for (const row of rows) print(row.map((cell, c) => cell.padEnd(widths[c] ?? 0)).join('  '));
}

function placeOf({ catalogue, catalogueKey }: PullFlags): CatalogueOptions {
  return {
    ...(catalogue === undefined ? {} : { catalogue }),
    ...(catalogueKey === undefined ? {} : { key: catalogueKey }),
  };
}

function describe(flags: AddFlags): ModelDescription {
  const { name, labels, mean, std, size, recipe } = flags;
  const crop = Number(flags.crop);
  if (!(crop > 0 && crop <= 1)) throw invalid('--crop', 'a number above 0 and at most 1', flags.crop);
  return {
    ...(name === undefined ? {} : { name }),
    ...(labels === undefined ? {} : { labels }),
    ...(mean === undefined ? {} : { mean: triple('--mean', mean) }),
    ...(std === undefined ? {} : { std: triple('--std', std) }),
    ...(size === undefined ? {} : { size: pixels('--size', size) }),
    ...(recipe === undefined ? {} : { recipe }),
    ...{ fit: flags.fit, crop, interpolation: flags.interpolation, channels: flags.channels },
  };
}

function triple(parameter: string, text: string): readonly [number, number, number] {
  const values = text.split(',').map(part => (part.trim() === '' ? Number.NaN : Number(part)));
  const [r, g = r, b = r] = values;
  const valid = (values.length === 1 || values.length === 3) && values.every(Number.isFinite);
  if (!valid || r === undefined || g === undefined || b === undefined) {
    throw invalid(parameter, 'three numbers with commas, or one', text);
  }
  if (parameter === '--std' && values.some(value => value <= 0)) throw invalid(parameter, 'numbers above 0', text);
  return [r, g, b];
}

function pixels(parameter: string, text: string): { width: number; height: number } {
  const [, width, height = width] = /^([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?$/.exec(text) ?? [];
  if (width === undefined) throw invalid(parameter, 'N or WIDTHxHEIGHT in pixels', text);
  return { width: Number(width), height: Number(height) };
}

const QUESTIONS: Readonly<Record<AskedField, string>> = {
  labels: 'File with the names of the classes, one a line or JSON',
  mean: "Mean of each channel on the [0,1] scale (ImageNet's usual: 0.485,0.456,0.406)",
  std: "Standard deviation likewise (ImageNet's usual: 0.229,0.224,0.225)",
  size: 'Input size in pixels, N or WIDTHxHEIGHT',
};

async function ask(fields: readonly AskedField[]): Promise<ModelDescription> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // Ctrl-C and Ctrl-D close the terminal and leave its question open for ever.
  const gone = new Promise<never>((_, reject) => {
    terminal.once('close', () => reject(new DeflectorError('INTERRUPTED', 'The model was not added')));
  });
  gone.catch(() => undefined);
  try {
    let answers: ModelDescription = {};
    for (const field of fields) {
      const answer = (await Promise.race([terminal.question(`${QUESTIONS[field]}: `), gone])).trim();
      if (field === 'labels') answers = { ...answers, labels: answer };
      else if (field === 'size') answers = { ...answers, size: pixels('--size', answer) };
      else answers = { ...answers, [field]: triple(`--${field}`, answer) };
    }
    return answers;
  } finally {
    terminal.close();
  }
}

function printChecks(checks: readonly ModelCheck[]): void {
  const width = Math.max(...checks.map(({ claim }) => claim.length));
  for (const { claim, outcome, detail } of checks) print(`${outcome}  ${claim.padEnd(width)}  ${detail}`);
}

function round(value: number): string {
  return String(Number(value.toFixed(4)));
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function printJson(schema: string, fields: object): void {
  print(JSON.stringify({ schema, ...fields }, null, 2));
}
