/** The settings that commands find here: in the environment and in deflector.yaml. */
import { printSettings, type ResolvedOptions, resolveSettings } from '../config/settings.js';
import { readSettingsFile } from '../config/settings-file.js';
import { SETTING_NAMES, variableOf } from '../config/table.js';
import { suggest } from '../suggest.js';
import type { Examination } from './finding.js';

/** Variables that are no settings. */
const OTHER_VARIABLES = [
  ...['DEFLECTOR_CATALOGUE', 'DEFLECTOR_CATALOGUE_KEY', 'DEFLECTOR_CONFIG', 'DEFLECTOR_MIRROR', 'DEFLECTOR_MODELS'],
  ...['DEFLECTOR_REDIS_URL', 'DEFLECTOR_TENSORFLOW'],
];

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws DeflectorError SETTINGS_INVALID */
export async function settingsHere(env: Environment = process.env): Promise<ResolvedOptions> {
  return resolveSettings({ env, file: await readSettingsFile(env.DEFLECTOR_CONFIG || undefined) });
}

export function examineSettings(env: Environment = process.env): Examination {
  return {
    id: 'settings',
    name: 'Settings',
    needed: true,
    remedy:
      'Correct the variable or the key of deflector.yaml that the message names; docs/settings.md lists them all.',
    async examine() {
      const known = [...SETTING_NAMES.map(variableOf), ...OTHER_VARIABLES];
      for (const name of Object.keys(env)) {
        if (!name.startsWith('DEFLECTOR_') || known.includes(name)) continue;
        const meant = suggest(name, known);
        throw new Error(`${name} is no setting${meant === undefined ? '' : `; ${meant} is`}`);
      }
      const set = known.filter(name => env[name]);
      const { model, threads } = printSettings(await settingsHere(env));
      return `model ${model}, ${threads} threads; ${set.length > 0 ? `set: ${set.join(', ')}` : 'no variable set'}`;
    },
  };
}
