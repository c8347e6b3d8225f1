import { fileURLToPath } from 'node:url';

/** @returns absolute path of a file of the repository (tests run from dist/) */
export function fromRoot(path: string): string {
  return fileURLToPath(new URL(`../../../${path}`, import.meta.url));
}
