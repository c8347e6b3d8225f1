/** Weights that lie in files beside the network (ONNX external data), brought into it. */
import { toBinary } from '@bufbuild/protobuf';
import { DeflectorError } from '../../errors.js';
import { ONNX_LIMITS, quote, readGraph } from './graph.js';
import { DataLocation, type Graph, ModelSchema, type Tensor } from './onnx_pb.js';

/** Reads `length` bytes (to the end where `undefined`) of a file beside the network. */
export type ReadBeside = (location: string, offset: number, length: number | undefined) => Promise<Uint8Array>;

/**
 * The network as one file. What the schema here does not know is kept.
 *
 * @returns `bytes` itself where all weights are inside already
 * @throws DeflectorError MODEL_INVALID for a location outside the network's folder, and past the limit on bytes
 */
export async function withWeightsInside(bytes: Uint8Array, read: ReadBeside): Promise<Uint8Array> {
  const { model, graph } = readGraph(bytes);
  const outside = [...tensorsOf(graph)].filter(tensor => tensor.dataLocation === DataLocation.EXTERNAL);
  if (outside.length === 0) return bytes;
  let total = bytes.length;
  for (const tensor of outside) {
    const { location, offset, length } = place(tensor);
    tensor.rawData = await read(location, offset, length);
    total += tensor.rawData.length;
    if (total > ONNX_LIMITS.maxBytes) {
      throw new DeflectorError('MODEL_INVALID', `The network has more than ${ONNX_LIMITS.maxBytes} bytes of weights`);
    }
    tensor.dataLocation = DataLocation.DEFAULT;
    tensor.externalData = [];
  }
  return toBinary(ModelSchema, model);
}

/** Initialisers and constants, those of subgraphs too. */
function* tensorsOf(graph: Graph): Generator<Tensor> {
  yield* graph.initializer;
  for (const node of graph.node) {
    for (const attribute of node.attribute) {
      if (attribute.t !== undefined) yield attribute.t;
      if (attribute.g !== undefined) yield* tensorsOf(attribute.g);
    }
  }
}

function place(tensor: Tensor): { location: string; offset: number; length: number | undefined } {
  const entries = new Map(tensor.externalData.map(({ key, value }) => [key, value]));
  const location = entries.get('location') ?? '';
  const segments = location.split('/');
  // Names from a file: they must not reach out of the folder of the network.
  if (/[\\:\0]/.test(location) || segments.some(segment => segment === '' || segment === '..')) {
    throw new DeflectorError('MODEL_INVALID', `The weights ${quote(tensor.name)} lie at ${quote(location)}`);
  }
  const offset = Number(entries.get('offset') ?? 0);
  const length = entries.has('length') ? Number(entries.get('length')) : undefined;
  if (!isSize(offset) || (length !== undefined && !isSize(length))) {
    throw new DeflectorError(
      'MODEL_INVALID',
      `The weights ${quote(tensor.name)} have no valid place in ${quote(location)}`,
    );
  }
  return { location, offset, length };
}

function isSize(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= ONNX_LIMITS.maxBytes;
}
