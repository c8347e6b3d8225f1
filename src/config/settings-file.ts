/** Reads deflector.yaml. */
import { readFile } from 'node:fs/promises';
import { invalid } from '../errors.js';

const SETTINGS_FILE = 'deflector.yaml';

/**
 * Reads a settings file. All scalars stay text as written, so that `seed: 007` means what `--seed 007` means.
 *
 * @param path the file the user named; `undefined`: deflector.yaml of the working directory, if there is one
 * @throws DeflectorError SETTINGS_INVALID where a named file cannot be read, and for text that is not YAML
 */
export async function readSettingsFile(
  path: string | undefined,
): Promise<{ name: string; content: unknown } | undefined> {
  const name = path ?? SETTINGS_FILE;
  let source: string;
  try {
    source = await readFile(name, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (path === undefined && code === 'ENOENT') return undefined;
    throw invalid('the settings file', 'a file that can be read', `${name} (${code})`);
  }
  const { parse, YAMLParseError } = await import('yaml');
  try {
    return { name, content: parse(source, { schema: 'failsafe' }) };
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    throw invalid(name, `YAML (${error.message.split('\n', 1)[0]})`, 'something else');
  }
}
