/** An ONNX classifier, read and judged: what it takes, what it gives, and the bytes for its session. */
import { create, toBinary } from '@bufbuild/protobuf';
import { DeflectorError } from '../../errors.js';
import type { ElementType, NetworkInput, NetworkSignature } from '../network.js';
import { findHead } from './classifier-head.js';
import { type IndexedGraph, quote, readGraph } from './graph.js';
import { GraphSchema, ModelSchema, type ValueInfo, ValueInfoSchema } from './onnx_pb.js';

/** An ONNX network. */
export interface OnnxNetwork extends NetworkSignature {
  readonly format: 'onnx';
  /** An ONNX model that gives the feature maps beside the scores, where there is a head. */
  readonly session: Uint8Array;
}

/** ONNX element types that a session may take and give here. */
const ELEMENT_TYPES: Readonly<Record<number, ElementType>> = { 1: 'float32', 10: 'float16' };

/**
 * Reads a network.
 *
 * @param bytes an ONNX model with all its weights inside
 * @throws DeflectorError MODEL_INVALID for what is no ONNX model, MODEL_UNSUPPORTED for one that classifies no images
 */
export function readNetwork(bytes: Uint8Array): OnnxNetwork {
  const indexed = readGraph(bytes);
  const input = imageInput(indexed);
  const scores = scoreOutput(indexed);
  const search = findHead(indexed, scores.name);
  if (search.independent) {
    throw unsupported('The scores leave a sigmoid each: the network says which labels apply, not which one of them');
  }
  const shape = dimensions(scores);
  const classes = search.head?.linear?.classes ?? shape?.slice(1).find(dim => dim !== undefined && dim !== 1);
  return {
    format: 'onnx',
    input,
    output: { name: scores.name, type: elementType(scores), kind: search.outputs, classes },
    head: search.head,
    headless: search.reason,
    session: search.head === undefined ? bytes : withOutput(indexed, bytes, search.head.features),
  };
}

function imageInput({ graph, initializers }: IndexedGraph): NetworkInput {
  const inputs = graph.input.filter(input => !initializers.has(input.name));
  const [image] = inputs;
  if (image === undefined || inputs.length > 1) {
    const names = inputs.map(input => quote(input.name)).join(', ');
    throw unsupported(`The network takes ${inputs.length} inputs (${names || 'none'}) where one image is expected`);
  }
  const shape = dimensions(image);
  if (shape === undefined || shape.length !== 4) {
    throw unsupported(`The input ${quote(image.name)} is no batch of images: ${describeShape(shape)}`);
  }
  const layout = shape[1] !== 3 && shape[3] === 3 ? 'nhwc' : 'nchw';
  const [batch, channels, height, width] = layout === 'nchw' ? shape : [shape[0], shape[3], shape[1], shape[2]];
  if (channels !== undefined && channels !== 3) {
    throw unsupported(`The input ${quote(image.name)} takes ${channels} channels; RGB images have 3`);
  }
  return { name: image.name, type: elementType(image), layout, batch, height, width };
}

function scoreOutput({ graph }: IndexedGraph): ValueInfo {
  const candidates = graph.output.filter(output => {
    const shape = dimensions(output);
    return shape === undefined || shape.length === 2 || shape.slice(2).every(dim => dim === 1);
  });
  const named = candidates.find(output => /^(logits|scores|prob(abilitie)?s?)$/i.test(output.name));
  const chosen = named ?? (candidates.length === 1 ? candidates[0] : undefined);
  if (chosen === undefined) {
    const names = graph.output.map(output => quote(output.name)).join(', ');
    throw unsupported(`None of the outputs ${names || '(none)'} is a list of scores [N, classes], or several are`);
  }
  return chosen;
}

/** Dimensions of a tensor, `undefined` for those left open; `undefined` where the file gives no shape. */
function dimensions(value: ValueInfo): (number | undefined)[] | undefined {
  return value.type?.tensorType?.shape?.dim.map(({ value: dim }) =>
    dim.case === 'dimValue' && dim.value > 0n ? Number(dim.value) : undefined,
  );
}

function describeShape(shape: (number | undefined)[] | undefined): string {
  return shape === undefined ? 'it has no shape' : `its shape is [${shape.map(dim => dim ?? '?').join(', ')}]`;
}

function elementType(value: ValueInfo): ElementType {
  const code = value.type?.tensorType?.elemType ?? 0;
  const type = ELEMENT_TYPES[code];
  if (type === undefined) {
    throw unsupported(
      `The tensor ${quote(value.name)} has the ONNX element type ${code}; float32 and float16 are read`,
    );
  }
  return type;
}

function unsupported(message: string): DeflectorError {
  return new DeflectorError('MODEL_UNSUPPORTED', message);
}

/**
 * The same model with one output more. Protocol Buffers define the concatenation of two encoded messages as
 * their merge, so the output is appended to the file and every byte that was there stays as it is.
 */
function withOutput({ graph }: IndexedGraph, bytes: Uint8Array, name: string): Uint8Array {
  if (graph.output.some(output => output.name === name)) return bytes;
  const output = create(ValueInfoSchema, { name });
  const suffix = toBinary(ModelSchema, create(ModelSchema, { graph: create(GraphSchema, { output: [output] }) }));
  const merged = new Uint8Array(bytes.length + suffix.length);
  merged.set(bytes);
  merged.set(suffix, bytes.length);
  return merged;
}
