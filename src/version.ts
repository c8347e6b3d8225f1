/** The version of this package, as recorded in results and printed by `--version`. */
import { createRequire } from 'node:module';

const manifest = createRequire(import.meta.url)('deflector/package.json') as { readonly version: string };

export const VERSION: string = manifest.version;
