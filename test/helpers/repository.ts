/** Finds the repository, from wherever the compiled tests lie. */
import { fileURLToPath } from 'node:url';

/** The root of the repository, without a slash at its end. */
export const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url)).replace(/[\\/]$/, '');

/** The compiled command line. */
export const CLI = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
