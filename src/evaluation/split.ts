/**
 * Which images parameters are chosen on, and which figures are reported on. The content of an image decides, and nothing
 * else: neither its name, nor its place in a folder, nor what other images there are.
 */
import { invalid } from '../errors.js';

export type Split = 'search' | 'test';

/**
 * The split of an image: half of all contents are `search`, half are `test`. An image made from another, as an adversarial
 * image is, belongs where its original does: ask with the hash of the original.
 *
 * @param sha256 of the bytes of the original file: 64 lower-case hexadecimal digits
 * @throws DeflectorError SETTINGS_INVALID
 */
export function splitOf(sha256: string): Split {
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw invalid('sha256', '64 lower-case hexadecimal digits', sha256);
  // The digits of SHA-256 are uniform: the leading one halves the contents.
  return Number.parseInt(sha256.charAt(0), 16) < 8 ? 'search' : 'test';
}
