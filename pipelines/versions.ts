/** Versions of what makes the results, as recorded in `run.json`. */
import { createRequire } from 'node:module';
import sharp from 'sharp';
import type { RunSummary } from '../src/report/run-summary.js';
import { VERSION } from '../src/version.js';

export function runtimeVersions(): RunSummary['versions'] {
  const runtime = createRequire(import.meta.url)('onnxruntime-node/package.json') as { readonly version: string };
  return {
    deflector: VERSION,
    node: process.versions.node,
    onnxruntime: runtime.version,
    sharp: sharp.versions.sharp ?? '',
  };
}
