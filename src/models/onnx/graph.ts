/** An ONNX model file in memory, indexed by the names of its tensors. */
import { fromBinary } from '@bufbuild/protobuf';
import { DeflectorError } from '../../errors.js';
import { type Attribute, type Graph, type Model, ModelSchema, type Node, type Tensor } from './onnx_pb.js';

/** Limits on what is read before anything of it is believed. */
export const ONNX_LIMITS = Object.freeze({
  /** Bytes of a network with its weights: protobuf itself ends at 2 GiB. */
  maxBytes: 2 ** 31 - 1,
  maxNodes: 100_000,
  /** Nesting of messages; a subgraph in a subgraph takes three. */
  maxDepth: 50,
});

/** A graph with its producers and constants by name. */
export interface IndexedGraph {
  readonly model: Model;
  readonly graph: Graph;
  readonly producers: ReadonlyMap<string, Node>;
  readonly initializers: ReadonlyMap<string, Tensor>;
}

/**
 * Reads an ONNX model; tensors are views of `bytes`.
 *
 * @throws DeflectorError MODEL_INVALID where the bytes are no ONNX model or break a limit
 */
export function readGraph(bytes: Uint8Array): IndexedGraph {
  if (bytes.length > ONNX_LIMITS.maxBytes) {
    throw new DeflectorError('MODEL_INVALID', `The network has ${bytes.length} bytes, over ${ONNX_LIMITS.maxBytes}`);
  }
  let model: Model;
  try {
    model = fromBinary(ModelSchema, bytes, { recursionLimit: ONNX_LIMITS.maxDepth });
  } catch (cause) {
    throw new DeflectorError('MODEL_INVALID', 'The network file is not an ONNX model, or is cut short', { cause });
  }
  return indexModel(model);
}

/**
 * A model by the names of its tensors.
 *
 * @throws DeflectorError MODEL_INVALID where it is empty, too large, or makes a tensor twice
 */
export function indexModel(model: Model): IndexedGraph {
  const graph = model.graph;
  if (graph === undefined || graph.node.length === 0 || model.opsetImport.length === 0) {
    throw new DeflectorError('MODEL_INVALID', 'The network file holds no ONNX graph');
  }
  if (graph.node.length > ONNX_LIMITS.maxNodes) {
    throw new DeflectorError(
      'MODEL_INVALID',
      `The network has ${graph.node.length} nodes, over ${ONNX_LIMITS.maxNodes}`,
    );
  }
  const producers = new Map<string, Node>();
  for (const node of graph.node) {
    for (const output of node.output) {
      if (output === '') continue;
      if (producers.has(output)) {
        throw new DeflectorError('MODEL_INVALID', `Two nodes of the network make the tensor ${quote(output)}`);
      }
      producers.set(output, node);
    }
  }
  const initializers = new Map(graph.initializer.map(tensor => [tensor.name, tensor]));
  return { model, graph, producers, initializers };
}

/** An attribute of a node by name. */
export function attribute(node: Node, name: string): Attribute | undefined {
  return node.attribute.find(candidate => candidate.name === name);
}

/** An integer attribute, or its default in the operator's specification. */
export function intAttribute(node: Node, name: string, otherwise: number): number {
  const found = attribute(node, name);
  return found === undefined ? otherwise : Number(found.i);
}

/** A list of integers, or `undefined` where the attribute is absent. */
export function intsAttribute(node: Node, name: string): number[] | undefined {
  return attribute(node, name)?.ints.map(Number);
}

/** The operator of a node; with its domain where that is not ONNX's own. */
export function operator(node: Node): string {
  return node.domain === '' || node.domain === 'ai.onnx' ? node.opType : `${node.domain}.${node.opType}`;
}

/** A name from a file as it may stand in a message: quoted, escaped, short. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 60 ? `${name.slice(0, 57)}...` : name);
}
