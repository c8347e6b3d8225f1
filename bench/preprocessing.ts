/**
 * How preprocessing agrees with Pillow's, and what it costs.
 *
 *     python bench/peers/pillow_preprocess.py FOLDER PILLOW_OUT
 *     node dist/bench/preprocessing.js FOLDER PILLOW_OUT MODEL.onnx
 *
 * Labels every photograph of the folder through Pillow's pixels, through ours, and through libvips's own resizing in two
 * ways, all by the same network (224 x 224, bicubic, crop 0.875, (x - 127) / 128). Times are processor time, so that other work
 * on the machine counts little. Prints JSON.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { decodeImage, hardenDecoder } from '../src/images/decode.js';
import { preprocess } from '../src/images/preprocess.js';
import { tensorFormat, writeTensor } from '../src/images/tensor.js';
import { loadOnnxRuntime } from '../src/models/onnx-runtime.js';
import type { Preprocessing, RgbImage } from '../src/types.js';

const SIZE = 224;
const BYTES = SIZE * SIZE * 3;
const LITE0: Preprocessing = {
  width: SIZE,
  height: SIZE,
  fit: 'crop-then-resize',
  cropFraction: 0.875,
  resizeShortest: 256,
  interpolation: 'bicubic',
  mean: [127 / 255, 127 / 255, 127 / 255],
  std: [128 / 255, 128 / 255, 128 / 255],
  channels: 'rgb',
  layout: 'nchw',
};

/** Processor time of all threads so far. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

interface Timed {
  readonly data: Uint8Array;
  readonly ms: Readonly<Record<string, number>>;
}

const ways: Readonly<Record<string, (file: Uint8Array) => Promise<Timed>>> = {
  deflector: async file => {
    const start = cpuMs();
    const image = await decodeImage(file);
    const decoded = cpuMs();
    const { data } = preprocess(image, LITE0);
    return { data, ms: { decode: decoded - start, cropAndResize: cpuMs() - decoded } };
  },
  /** The same geometry, scaled by libvips. */
  'libvips cubic': async file => {
    const start = cpuMs();
    const { width, height } = await decodedSize(file);
    const side = Math.floor(0.875 * Math.min(width, height));
    const [left, top] = [Math.floor((width - side + 1) / 2), Math.floor((height - side + 1) / 2)];
    const data = await sharp(file, { autoOrient: true })
      .extract({ left, top, width: side, height: side })
      .resize(SIZE, SIZE, { kernel: 'cubic', fastShrinkOnLoad: false })
      .toColourspace('srgb')
      .raw()
      .toBuffer();
    return { data, ms: { all: cpuMs() - start } };
  },
  /** The fastest way that libvips has: reduction inside the JPEG decoder, then the centre of the reduced image. */
  'libvips cubic, shrink on load': async file => {
    const start = cpuMs();
    const { data, info } = await sharp(file, { autoOrient: true })
      .resize(256, 256, { kernel: 'cubic', fit: 'cover' })
      .extract({ left: 16, top: 16, width: SIZE, height: SIZE })
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== 3) throw new Error('expected RGB');
    return { data, ms: { all: cpuMs() - start } };
  },
};

async function decodedSize(file: Uint8Array): Promise<{ width: number; height: number }> {
  const { autoOrient } = await sharp(file).metadata();
  return autoOrient;
}

async function main(folder: string, pillowFile: string, model: string): Promise<void> {
  hardenDecoder();
  const names = (await readdir(folder)).filter(name => !name.startsWith('.')).sort();
  const pillow = await readFile(pillowFile);
  if (pillow.length !== names.length * BYTES) throw new Error('PILLOW_OUT was made from another folder');
  const { InferenceSession, Tensor } = await loadOnnxRuntime();
  // One thread: idle ones would spin and be counted as ours.
  const session = await InferenceSession.create(model, { intraOpNumThreads: 1 });
  const format = tensorFormat(LITE0);
  const label = async (data: Uint8Array): Promise<number> => {
    const image: RgbImage = { width: SIZE, height: SIZE, data };
    const input = new Float32Array(BYTES);
    writeTensor(image, format, input, 0);
    const { [session.outputNames[0]!]: scores } = await session.run({
      [session.inputNames[0]!]: new Tensor('float32', input, [1, 3, SIZE, SIZE]),
    });
    const values = scores!.data as Float32Array;
    return values.indexOf(Math.max(...values));
  };
  const files = await Promise.all(names.map(name => readFile(join(folder, name))));
  const expected: number[] = [];
  for (let i = 0; i < names.length; i++) expected.push(await label(pillow.subarray(i * BYTES, (i + 1) * BYTES)));
  const results: Record<string, unknown> = {};
  for (const [name, way] of Object.entries(ways)) {
    let [sameLabel, sameBytes, difference] = [0, 0, 0];
    const ms: Record<string, number> = {};
    for (const [i, file] of files.entries()) {
      const result = await way(file);
      const reference = pillow.subarray(i * BYTES, (i + 1) * BYTES);
      if ((await label(result.data)) === expected[i]) sameLabel += 1;
      if (reference.equals(result.data)) sameBytes += 1;
      difference += result.data.reduce((sum, value, k) => sum + Math.abs(value - reference[k]!), 0) / BYTES;
      for (const [part, value] of Object.entries(result.ms)) ms[part] = (ms[part] ?? 0) + value / files.length;
    }
    results[name] = {
      sameLabel: sameLabel / files.length,
      sameBytes: sameBytes / files.length,
      meanDifference: difference / files.length,
      cpuMsAnImage: ms,
    };
  }
  console.log(JSON.stringify({ photographs: files.length, againstPillow: results }, null, 2));
}

const [folder, pillowFile, model] = process.argv.slice(2);
if (folder === undefined || pillowFile === undefined || model === undefined) {
  console.error('Usage: node dist/bench/preprocessing.js FOLDER PILLOW_OUT MODEL.onnx');
  process.exitCode = 2;
} else {
  await main(folder, pillowFile, model);
}
