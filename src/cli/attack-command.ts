/** What `deflector attack` does once it is called. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import {
  ATTACK_FILES,
  ATTACK_RUN_SCHEMA,
  type AttackObserver,
  type AttackRun,
  runAttackJob,
} from '../../pipelines/attack-job.js';
import type { Attack, Parameter } from '../attacks/attack.js';
import { ATTACKS } from '../attacks/catalogue.js';
import { printParameters, resolveParameters } from '../attacks/resolve-parameters.js';
import { flagOf } from '../config/table.js';
import { DeflectorError, invalid } from '../errors.js';
import { createProgress } from '../report/progress.js';
import { visibleText } from '../report/visible-text.js';
import { suggest } from '../suggest.js';
import { EXIT } from './exit-codes.js';
import { addJsonOption, addSettings, settingsFromCommand } from './options.js';

interface AttackFlags extends Readonly<Record<string, unknown>> {
  readonly out: string;
  readonly labels?: string;
  readonly npy?: boolean;
  readonly resume?: boolean;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

/** Prints all attacks. */
export function listAttacks(): void {
  const width = Math.max(...ATTACKS.map(({ name }) => name.length));
  const line = ({ name, title, source, access }: Attack) =>
    `  ${name.padEnd(width)}  ${title} (${source}; by ${access})`;
  process.stdout.write(
    `Usage: deflector attack NAME INPUT... --out DIR\n\n` +
      `Makes adversarial images, to measure defences with. The attacks do not know of any defence.\n\n` +
      `Attacks:\n${ATTACKS.map(line).join('\n')}\n\n` +
      `Parameters: deflector attack NAME --help\n`,
  );
}

/** @returns the exit code */
export async function attackCommand(name: string, args: readonly string[]): Promise<number> {
  const attack = ATTACKS.find(known => known.name === name);
  if (attack === undefined) {
    const meant = suggest(
      name,
      ATTACKS.map(known => known.name),
    );
    const names = ATTACKS.map(known => known.name).join(', ');
    throw invalid('NAME', `one of ${names}${meant === undefined ? '' : ` (did you mean ${meant}?)`}`, name);
  }
  const command = commandOf(attack);
  command.parse(args, { from: 'user' });
  return run(attack, command);
}

function commandOf(attack: Attack): Command {
  const command = new Command(`deflector attack ${attack.name}`)
    .description(`${attack.title}: ${attack.source}`)
    .argument('<input...>', 'folder, file, glob (quoted) or manifest (.jsonl, .csv, .txt)')
    .requiredOption('--out <dir>', 'folder for images/, attacks.jsonl and run.json')
    .option('--labels <source>', 'true classes: own (the label of the model), folder, or a CSV file (default: own)')
    .option('--npy', 'write the pixels beside each image, float32 [height, width, 3]')
    .option('--resume', 'go on with an interrupted job, with the parameters it began with')
    .option('--overwrite', 'start over where results are there already')
    .exitOverride()
    .configureOutput({ outputError: () => undefined });
  for (const [name, { type, fallback, help }] of Object.entries<Parameter<unknown>>(attack.parameters)) {
    const described = `${help} (default: ${shown(type.print(fallback))})`;
    command.addOption(new Option(`${flagOf(name)} <${type.placeholder}>`, described).helpGroup('Attack:'));
  }
  addSettings(command, ['model', 'runtime', 'threads', 'seed']);
  addSettings(command, ['maxBytes', 'maxPixels', 'imageTimeout', 'maxErrors', 'quiet']);
  return addJsonOption(command).addHelpText(
    'after',
    `\nExamples:\n  $ deflector attack ${attack.name} photos --out attacked\n` +
      `  $ deflector attack ${attack.name} photos --out attacked --labels folder\n  $ deflector run attacked --out results`,
  );
}

function shown(value: unknown): string {
  const steps = typeof value === 'number' && value > 0 ? value * 255 : Number.NaN;
  // Strengths are thought of in steps of 1/255.
  return !Number.isInteger(value) && Number.isInteger(Number(steps.toFixed(9)))
    ? `${Math.round(steps)}/255`
    : `${value}`;
}

async function run(attack: Attack, command: Command): Promise<number> {
  const flags = command.opts<AttackFlags>();
  if (flags.resume && flags.overwrite) throw invalid('--resume and --overwrite', 'one of the two', 'both');
  const before = flags.resume ? await readRun(flags.out) : undefined;
  const given = before === undefined ? flags : resumedFlags(attack, flags, before);
  for (const [name, value] of Object.entries(given)) if (!(name in flags)) command.setOptionValue(name, value);
  const values = resolveParameters(attack, given, flagOf);
  const options = await settingsFromCommand(command);
  const quiet = options.quiet || flags.json === true;
  const progress = createProgress({ quiet, tty: process.stderr.isTTY === true, note: 'fooled' });
  const counts = { done: 0, suspicious: 0, failed: 0 };
  const observer: AttackObserver = {
    started: (model, runtime) => {
      const seed = visibleText(options.defence.seed);
      if (!quiet) process.stderr.write(`${attack.title} on ${model.name}, ${runtime}, seed ${seed}\n`);
    },
    total: images => progress.setTotal(images),
    record: (record, resumed) => {
      counts.done++;
      if (record.status === 'error') counts.failed++;
      else if (record.status === 'attacked' && record.fooled) counts.suspicious++;
      if (!resumed) progress.update({ ...counts });
    },
  };
  const stop = new AbortController();
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(EXIT.interrupted);
    stop.abort();
    if (!quiet) process.stderr.write('\nStopping: finishing what is in flight. Ctrl-C again stops at once.\n');
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    const request = {
      ...{ attack, values, inputs: command.args, out: flags.out, options },
      ...{ labels: String(given.labels ?? 'own'), npy: given.npy === true, model: before?.model },
      existing: flags.resume ? 'resume' : flags.overwrite ? 'overwrite' : 'refuse',
    } as const;
    const result = await runAttackJob(request, observer, stop.signal);
    progress.stop();
    if (flags.json) process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
    else if (!options.quiet) process.stdout.write(summary(result, flags.out));
    if (result.status === 'interrupted') return EXIT.interrupted;
    return result.figures.errors > options.maxErrors ? EXIT.errors : EXIT.done;
  } finally {
    progress.stop();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

function summary({ figures, attack }: AttackRun, out: string): string {
  const { attacked, fooled, wrong, errors, interval, median, meanCalls } = figures;
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const between = interval === null ? '' : ` (95 %: ${percent(interval.low)} to ${percent(interval.high)})`;
  const figure = (value: number | null, digits: number) => (value === null ? '-' : value.toFixed(digits));
  return (
    `${attack}: fooled ${fooled} of ${attacked}${between}` +
    `${wrong > 0 ? `, ${wrong} wrong when clean` : ''}${errors > 0 ? `, ${errors} failed` : ''}\n` +
    `  median  L2 ${figure(median.l2, 4)}  L-infinity ${figure(median.linf, 4)}  SSIM ${figure(median.ssim, 4)}` +
    `  margin ${figure(median.margin, 2)}\n` +
    `  mean    ${figure(meanCalls.gradients, 1)} gradients  ${figure(meanCalls.scores, 1)} forward passes an image\n` +
    `  images  ${visibleText(join(out, ATTACK_FILES.images))}\n`
  );
}

/** The `run.json` of the job to resume. @throws DeflectorError RESUME_MISMATCH */
async function readRun(out: string): Promise<AttackRun> {
  const path = join(out, ATTACK_FILES.run);
  try {
    const before = JSON.parse(await readFile(path, 'utf8')) as Partial<AttackRun>;
    if (before.schema === ATTACK_RUN_SCHEMA) return before as AttackRun;
  } catch (cause) {
    throw new DeflectorError('RESUME_MISMATCH', `There is no job to go on with: ${path} cannot be read`, { cause });
  }
  throw new DeflectorError('RESUME_MISMATCH', `There is no job to go on with: ${path} is of another command`);
}

/**
 * What the job began with; flags may repeat it but not change it.
 *
 * @throws DeflectorError RESUME_MISMATCH
 */
function resumedFlags(attack: Attack, flags: AttackFlags, before: AttackRun): Readonly<Record<string, unknown>> {
  const { parameters, labels, npy, seed, settings } = before;
  const began: Readonly<Record<string, unknown>> = {
    ...parameters,
    labels,
    npy,
    seed,
    ...settings,
  };
  if (before.attack !== attack.name) {
    throw new DeflectorError('RESUME_MISMATCH', `The job began with the attack ${before.attack}, not ${attack.name}`);
  }
  const asked = printParameters(attack, resolveParameters(attack, { ...parameters, ...flags }, flagOf));
  for (const [name, value] of Object.entries(began)) {
    const now = name in parameters ? asked[name] : (flags[name] ?? value);
    if (now !== value) {
      throw new DeflectorError('RESUME_MISMATCH', `The job began with ${flagOf(name)} ${value}, not ${now}`);
    }
  }
  return began;
}
