/** A network that costs next to nothing, for measuring everything around the network. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { GraphSchema, ModelSchema, type ValueInfoSchema } from '../../src/models/onnx/onnx_pb.js';

const SIDE = 224;
const CLASSES = 10;
const FLOAT = 1;

/**
 * Writes the folder of a model that labels an image by its mean colour: global average pooling and a linear layer.
 *
 * @returns the folder
 */
export async function writeTinyModel(folder: string): Promise<string> {
  await mkdir(join(folder, 'onnx'), { recursive: true });
  const labels = Object.fromEntries(Array.from({ length: CLASSES }, (_, i) => [i, `colour ${i}`]));
  const processor = {
    do_resize: true,
    size: { shortest_edge: SIDE },
    resample: 3,
    do_normalize: true,
    image_mean: [0.5, 0.5, 0.5],
    image_std: [0.5, 0.5, 0.5],
    crop_pct: 0.875,
    deflector: { fit: 'crop-then-resize' },
  };
  await writeFile(join(folder, 'onnx', 'model.onnx'), network());
  await writeFile(join(folder, 'config.json'), JSON.stringify({ id2label: labels }));
  await writeFile(join(folder, 'preprocessor_config.json'), JSON.stringify(processor));
  return folder;
}

function network(): Uint8Array {
  const weights = Float32Array.from({ length: 3 * CLASSES }, (_, i) => Math.sin(i + 1));
  const graph = create(GraphSchema, {
    name: 'mean colour',
    node: [
      { opType: 'GlobalAveragePool', input: ['image'], output: ['pooled'] },
      { opType: 'Flatten', input: ['pooled'], output: ['colour'] },
      { opType: 'MatMul', input: ['colour', 'weights'], output: ['scores'] },
    ],
    initializer: [
      {
        name: 'weights',
        dims: [3n, BigInt(CLASSES)],
        dataType: FLOAT,
        rawData: new Uint8Array(weights.buffer),
      },
    ],
    input: [value('image', [undefined, 3, SIDE, SIDE])],
    output: [value('scores', [undefined, CLASSES])],
  });
  return toBinary(ModelSchema, create(ModelSchema, { irVersion: 8n, opsetImport: [{ version: 13n }], graph }));
}

function value(name: string, shape: readonly (number | undefined)[]): MessageInitShape<typeof ValueInfoSchema> {
  const dim = shape.map(length =>
    length === undefined
      ? { value: { case: 'dimParam' as const, value: 'batch' } }
      : { value: { case: 'dimValue' as const, value: BigInt(length) } },
  );
  return { name, type: { tensorType: { elemType: FLOAT, shape: { dim } } } };
}
