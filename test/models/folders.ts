/** Folders of models for tests. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { processorConfig } from '../../src/models/preprocessing.js';
import { behindBody, CLASSES, HEAD, SIDE } from './onnx/builder.js';

export const SMALL_NETWORK = behindBody(HEAD.nodes, HEAD.tensors);

export const SMALL_CONFIG = {
  model_type: 'resnet',
  id2label: Object.fromEntries(Array.from({ length: CLASSES }, (_, c) => [c, `class ${c}`])),
};

export const SMALL_PROCESSOR = processorConfig({
  ...{ width: SIDE, height: SIDE, fit: 'stretch', crop: 1, interpolation: 'bicubic', channels: 'rgb' },
  ...{ mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
});

/** Writes a model in the Hugging Face layout; `undefined` leaves a file out, text is written as it is. */
export async function writeModel(folder: string, files: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const all: Record<string, unknown> = {
    'config.json': SMALL_CONFIG,
    'preprocessor_config.json': SMALL_PROCESSOR,
    'onnx/model.onnx': SMALL_NETWORK,
    ...files,
  };
  await mkdir(join(folder, 'onnx'), { recursive: true });
  for (const [name, content] of Object.entries(all)) {
    if (content === undefined) continue;
    const raw = typeof content === 'string' || content instanceof Uint8Array;
    await writeFile(join(folder, name), raw ? content : JSON.stringify(content));
  }
  return folder;
}
