/** A model small enough that a test can run thousands of images: 8x8 pixels, one convolution, five classes. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { behindBody, CLASSES, floats, HEAD, SIDE, values } from '../models/onnx/builder.js';

/**
 * Writes the folder of a model.
 *
 * @param variant another number gives another network
 * @returns the folder
 */
export async function writeTinyModel(folder: string, variant = 1): Promise<string> {
  await mkdir(join(folder, 'onnx'), { recursive: true });
  const [weights, bias] = HEAD.tensors as [ReturnType<typeof floats>, ReturnType<typeof floats>];
  // Steep, so that labels differ from image to image.
  const steep = values(CLASSES * 6, variant).map(value => 20 * value);
  const network = behindBody(HEAD.nodes, [floats('w', weights.dims.map(Number), steep), bias]);
  await writeFile(join(folder, 'onnx/model.onnx'), network);
  const id2label = Object.fromEntries(Array.from({ length: CLASSES }, (_, i) => [i, `class ${i}`]));
  await writeFile(join(folder, 'config.json'), JSON.stringify({ id2label }));
  const processor = {
    image_processor_type: 'ViTImageProcessor',
    size: { height: SIDE, width: SIDE },
    image_mean: [0.5, 0.5, 0.5],
    image_std: [0.5, 0.5, 0.5],
  };
  await writeFile(join(folder, 'preprocessor_config.json'), JSON.stringify(processor));
  return folder;
}
