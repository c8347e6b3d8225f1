/** Options that commands share, made from the table of settings. */
import { type Command, Option } from 'commander';
import type { Recommendation } from '../config/recipes.js';
import type { ResolvedOptions, UserOptions } from '../config/settings.js';
import { readSettingsFile } from '../config/settings-file.js';
import { defaultText, flagOf, SETTING_NAMES, SETTINGS, type SettingGroup, type SettingName } from '../config/table.js';

const HEADINGS: Readonly<Record<SettingGroup, string>> = {
  defence: 'Defence settings:',
  model: 'Model and runtime:',
  limits: 'Limits on images:',
  job: 'Job:',
  storage: 'S3 storage:',
  output: 'Output:',
  queue: 'Redis:',
  producer: 'Chunks and queue:',
  worker: 'Worker:',
  telemetry: 'Telemetry:',
  sink: 'Where verdicts go:',
  ingest: 'Gateway:',
};

/** Adds the settings of the defence, the model, the limits and the output but for some, with `--config` and `--json`. */
export function addDefenceOptions(command: Command, except: readonly SettingName[] = []): Command {
  for (const group of ['defence', 'model', 'limits', 'output'] as const) addGroup(command, group, except);
  return addConfigOption(command);
}

/** Adds `--config`, and `--json` where the command has a result. */
export function addConfigOption(command: Command, { json } = { json: true }): Command {
  command.addOption(
    new Option('--config <file>', 'settings file (default: deflector.yaml, if there is one)')
      .env('DEFLECTOR_CONFIG')
      .helpGroup(HEADINGS.output),
  );
  return json ? addJsonOption(command) : command;
}

/** Adds the settings of a bulk job and of the stores that it reads and writes. */
export function addJobOptions(command: Command): Command {
  return addGroup(addGroup(command, 'job'), 'storage');
}

/** Adds the settings of what a process tells of itself. @param except what does not concern the command */
export function addTelemetryOptions(command: Command, except: readonly SettingName[] = []): Command {
  return addGroup(command, 'telemetry', except);
}

/** Adds the settings by which S3 and Redis are reached, and with `more` those of a producer, a worker or the gateway. */
export function addQueueOptions(command: Command, ...more: ('producer' | 'worker' | 'sink' | 'ingest')[]): Command {
  for (const group of ['storage', 'queue', ...more] as const) addGroup(command, group);
  return command;
}

/** Adds `--json`: the command's result on standard output as one JSON value, everything else on standard error. */
export function addJsonOption(command: Command): Command {
  return command.addOption(new Option('--json', 'print the result as JSON').helpGroup(HEADINGS.output));
}

/**
 * Resolves the settings of a command from its flags, the environment and deflector.yaml.
 *
 * @param recommendedRecipe what a model's folder recommends, if anything; asked with the name of the model
 * @throws DeflectorError SETTINGS_INVALID, and what `recommendedRecipe` throws
 */
export async function settingsFromCommand(
  command: Command,
  recommendedRecipe?: (model: string) => Promise<Recommendation | undefined>,
): Promise<ResolvedOptions> {
  const options: UserOptions & { config?: string } = command.optsWithGlobals();
  const { resolveSettings } = await import('../config/settings.js');
  const sources = { flags: options, env: process.env, file: await readSettingsFile(options.config) };
  const settings = resolveSettings(sources);
  const recipe = await recommendedRecipe?.(settings.model);
  return recipe === undefined ? settings : resolveSettings({ ...sources, recipe });
}

function addGroup(command: Command, group: SettingGroup, except: readonly SettingName[] = []): Command {
  return addSettings(
    command,
    SETTING_NAMES.filter(name => SETTINGS[name].group === group && !except.includes(name)),
  );
}

/** Adds some of the settings. */
export function addSettings(command: Command, names: readonly SettingName[]): Command {
  for (const name of names) {
    const { type, help, group } = SETTINGS[name];
    const value = type.placeholder === undefined ? '' : ` <${type.placeholder}>`;
    const otherwise = type.placeholder === undefined ? '' : ` (default: ${defaultText(name)})`;
    command.addOption(new Option(`${flagOf(name)}${value}`, `${help}${otherwise}`).helpGroup(HEADINGS[group]));
  }
  return command;
}
