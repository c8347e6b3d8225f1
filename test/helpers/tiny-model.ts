/** A model small enough that a test can run thousands of images: 8x8 pixels, one convolution, five classes. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Tensor } from '../../src/models/onnx/onnx_pb.js';
import { behindBody, CHANNELS, CLASSES, floats, HEAD, node, SIDE, signature, values } from '../models/onnx/builder.js';

/**
 * Writes the folder of a model.
 *
 * @param variant another number gives another network
 * @param side of its input in pixels
 * @returns the folder
 */
export function writeTinyModel(folder: string, variant = 1, side = SIDE): Promise<string> {
  const [, bias] = HEAD.tensors as [Tensor, Tensor];
  const weights = floats('w', [CLASSES, CHANNELS], steep(CLASSES * CHANNELS, variant));
  const inputs = [signature('input', ['N', 3, side, side])];
  return writeModel(folder, behindBody(HEAD.nodes, [weights, bias], { inputs }), side);
}

/** Writes a model that classifies its feature maps without pooling them, so that it can make no activation map. */
export function writeHeadlessModel(folder: string): Promise<string> {
  const values = CHANNELS * (SIDE / 2) ** 2;
  const nodes = [node('Flatten', ['maps'], 'flat'), node('Gemm', ['flat', 'w', 'b'], 'scores', { transB: 1 })];
  const tensors = [floats('w', [CLASSES, values], steep(CLASSES * values, 1)), floats('b', [CLASSES])];
  return writeModel(folder, behindBody(nodes, tensors));
}

/** Weights so large that labels differ from image to image. */
function steep(count: number, variant: number): number[] {
  return values(count, variant).map(value => 20 * value);
}

async function writeModel(folder: string, network: Uint8Array, side = SIDE): Promise<string> {
  await mkdir(join(folder, 'onnx'), { recursive: true });
  await writeFile(join(folder, 'onnx/model.onnx'), network);
  const id2label = Object.fromEntries(Array.from({ length: CLASSES }, (_, i) => [i, `class ${i}`]));
  await writeFile(join(folder, 'config.json'), JSON.stringify({ id2label }));
  const processor = {
    image_processor_type: 'ViTImageProcessor',
    size: { height: side, width: side },
    image_mean: [0.5, 0.5, 0.5],
    image_std: [0.5, 0.5, 0.5],
  };
  await writeFile(join(folder, 'preprocessor_config.json'), JSON.stringify(processor));
  return folder;
}
