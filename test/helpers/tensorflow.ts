/** TensorFlow.js for tests: scripts/lib/tensorflow.mjs makes it in a cache folder, and `npm test` names that. */
import { execFileSync } from 'node:child_process';
import { fromRoot } from './root.js';

/** The folder whose node_modules holds TensorFlow.js with its native binding, and nsfwjs. */
export function tensorflowFolder(): string {
  const folder = process.env.DEFLECTOR_TENSORFLOW;
  if (folder) return folder;
  throw new Error(
    'Run these tests by `npm test -- FILTER`, or set DEFLECTOR_TENSORFLOW as `npm run provide:tensorflow` says',
  );
}

export type NsfwVariant = 'mobilenet_v2' | 'mobilenet_v2_mid' | 'inception_v3';

/** Writes a model of nsfwjs (MIT) in the layout of Hugging Face. @returns the folder */
export function writeNsfwModel(folder: string, variant: NsfwVariant): string {
  execFileSync(process.execPath, [fromRoot('scripts/nsfwjs-model.mjs'), variant, folder], {
    env: { ...process.env, DEFLECTOR_TENSORFLOW: tensorflowFolder() },
  });
  return folder;
}
