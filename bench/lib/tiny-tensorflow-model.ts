/** A TensorFlow.js network that costs next to nothing, with all that the runtime has to hold: feature maps, pooling, scores. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const SIDE = 32;
const CHANNELS = 8;
const CLASSES = 10;

const WEIGHTS = [
  { name: 'conv/kernel', shape: [3, 3, 3, CHANNELS] },
  { name: 'conv/bias', shape: [CHANNELS] },
  { name: 'scores/kernel', shape: [CHANNELS, CLASSES] },
  { name: 'scores/bias', shape: [CLASSES] },
];

const LAYERS = [
  ['InputLayer', 'image', { batch_input_shape: [null, SIDE, SIDE, 3], dtype: 'float32' }],
  [
    'Conv2D',
    'conv',
    {
      ...{ filters: CHANNELS, kernel_size: [3, 3], strides: [2, 2], padding: 'same', data_format: 'channels_last' },
      ...{ dilation_rate: [1, 1], activation: 'relu', use_bias: true },
    },
  ],
  ['GlobalAveragePooling2D', 'pool', { data_format: 'channels_last' }],
  ['Dense', 'scores', { units: CLASSES, activation: 'linear', use_bias: true }],
] as const;

/**
 * Writes the folder of a layers model: one convolution, global pooling, a linear layer.
 *
 * @returns the folder
 */
export async function writeTinyTensorflowModel(folder: string): Promise<string> {
  await mkdir(join(folder, 'tfjs'), { recursive: true });
  const layers = LAYERS.map(([class_name, name, config], i) => ({
    ...{ class_name, name, config: { name, ...config } },
    inbound_nodes: i === 0 ? [] : [[[LAYERS[i - 1]![1], 0, 0, {}]]],
  }));
  const ends = { input_layers: [['image', 0, 0]], output_layers: [['scores', 0, 0]] };
  const topology = {
    keras_version: '2.2.4',
    backend: 'tensorflow',
    model_config: { class_name: 'Model', config: { name: 'tiny', layers, ...ends } },
  };
  const count = WEIGHTS.reduce((sum, { shape }) => sum + shape.reduce((product, dim) => product * dim, 1), 0);
  const weights = WEIGHTS.map(spec => ({ ...spec, dtype: 'float32' }));
  const model = {
    ...{ format: 'layers-model', modelTopology: topology },
    weightsManifest: [{ paths: ['weights.bin'], weights }],
  };
  const values = Float32Array.from({ length: count }, (_, i) => Math.sin(i + 1));
  await writeFile(join(folder, 'tfjs/model.json'), JSON.stringify(model));
  await writeFile(join(folder, 'tfjs/weights.bin'), new Uint8Array(values.buffer));
  const id2label = Object.fromEntries(Array.from({ length: CLASSES }, (_, i) => [i, `class ${i}`]));
  await writeFile(join(folder, 'config.json'), JSON.stringify({ id2label }));
  const size = { height: SIDE, width: SIDE };
  const processor = { do_resize: true, size, resample: 2, do_normalize: true, image_mean: 0.5, image_std: 0.5 };
  await writeFile(join(folder, 'preprocessor_config.json'), JSON.stringify(processor));
  return folder;
}
