/**
 * Networks of older versions of ONNX's operators in those of version 11, which what is written around a network needs:
 * many of ONNX's model zoo have version 7. Operators that changed are written anew as the changelog of ONNX's operators says
 * (https://github.com/onnx/onnx/blob/main/docs/Changelog.md); those that nobody looked at are refused.
 */
import { create } from '@bufbuild/protobuf';
import { DeflectorError } from '../../errors.js';
import { attribute, type IndexedGraph, indexModel, intAttribute, intsAttribute, operator, quote } from './graph.js';
import { GraphWriter } from './graph-writer.js';
import { GraphSchema, ModelSchema, type Node, NodeSchema, OperatorSetSchema } from './onnx_pb.js';

/** Version from which on a graph is taken as it is. */
const MODERN_OPSET = 11;
/** Before version 7 operands were broadcast in another way. */
const OLDEST_OPSET = 7;
/** Of ONNX's file format; from 4 on constants need not stand among the inputs, where they could be overridden. */
const MODERN_IR = 6n;

const LARGEST_FLOAT = 3.4028234663852886e38;

/** Operators that mean the same from version 7 to 11, whatever newer attributes they may have. */
const UNCHANGED = new Set([
  ...['Abs', 'Add', 'And', 'AveragePool', 'Cast', 'Ceil', 'Concat', 'Constant', 'ConstantOfShape', 'Conv'],
  ...['ConvTranspose', 'DepthToSpace', 'Div', 'Dropout', 'Elu', 'Equal', 'Exp', 'Expand', 'Flatten', 'Floor', 'Gather'],
  ...['Gemm', 'GlobalAveragePool', 'GlobalMaxPool', 'Greater', 'HardSigmoid', 'Identity', 'InstanceNormalization'],
  ...['LRN', 'LeakyRelu', 'Less', 'Log', 'LogSoftmax', 'MatMul', 'Max', 'MaxPool', 'Mean', 'Min', 'Mul', 'Neg', 'Not'],
  ...['Or', 'PRelu', 'Pow', 'Reciprocal', 'ReduceL2', 'ReduceMax', 'ReduceMean', 'ReduceMin', 'ReduceSum', 'Relu'],
  ...[
    'Reshape',
    'Selu',
    'Shape',
    'Sigmoid',
    'Size',
    'Softmax',
    'Softplus',
    'Softsign',
    'SpaceToDepth',
    'Split',
    'Sqrt',
  ],
  ...['Squeeze', 'Sub', 'Sum', 'Tanh', 'Transpose', 'Unsqueeze', 'Where'],
]);

/** Version of ONNX's own operators; 0 where the file names none. */
export function opsetOf({ model }: IndexedGraph): number {
  return Number(model.opsetImport.find(({ domain }) => isOnnx(domain))?.version ?? 0);
}

/**
 * The same network in operators of version 11 or later.
 *
 * @throws DeflectorError MODEL_UNSUPPORTED for versions before 7, and naming an operator that is not known to mean the same
 */
export function withModernOperators(indexed: IndexedGraph): IndexedGraph {
  const opset = opsetOf(indexed);
  if (opset >= MODERN_OPSET) return indexed;
  if (opset < OLDEST_OPSET) {
    throw unsupported(
      `it has version ${opset} of ONNX's operators, and ${OLDEST_OPSET} is the oldest that is read here`,
    );
  }
  const { model, graph, initializers } = indexed;
  const write = new GraphWriter(unusedPrefix(indexed), MODERN_OPSET);
  const node = graph.node.map(old => modern(old, opset, write));
  return indexModel(
    create(ModelSchema, {
      ...model,
      irVersion: model.irVersion > MODERN_IR ? model.irVersion : MODERN_IR,
      opsetImport: [
        ...model.opsetImport.filter(({ domain }) => !isOnnx(domain)),
        create(OperatorSetSchema, { domain: '', version: BigInt(MODERN_OPSET) }),
      ],
      graph: create(GraphSchema, {
        ...graph,
        node,
        initializer: [...graph.initializer, ...write.initializers],
        input: graph.input.filter(({ name }) => !initializers.has(name)),
      }),
    }),
  );
}

function modern(node: Node, opset: number, write: GraphWriter): Node {
  const name = operator(node);
  if (node.domain !== '' && node.domain !== 'ai.onnx') return node;
  const rewritten = (input: readonly string[], dropped: readonly string[]): Node =>
    create(NodeSchema, {
      opType: name,
      name: node.name,
      input: [...input],
      output: [...node.output],
      attribute: node.attribute.filter(one => !dropped.includes(one.name)),
    });
  const [x = ''] = node.input;
  switch (name) {
    case 'BatchNormalization':
      // Version 9 has no statistics of single pixels any more.
      if (intAttribute(node, 'spatial', 1) !== 1) break;
      return rewritten(node.input, ['spatial']);
    case 'Clip': {
      const [least, most] = [attribute(node, 'min')?.f ?? -LARGEST_FLOAT, attribute(node, 'max')?.f ?? LARGEST_FLOAT];
      return rewritten([x, write.scalar(least), write.scalar(most)], ['min', 'max']);
    }
    case 'Pad': {
      const pads = write.integers(intsAttribute(node, 'pads') ?? []);
      return rewritten([x, pads, write.scalar(attribute(node, 'value')?.f ?? 0)], ['pads', 'value']);
    }
    case 'Slice': {
      if (opset >= 10) return node;
      const starts = intsAttribute(node, 'starts') ?? [];
      const axes = intsAttribute(node, 'axes') ?? starts.map((_, axis) => axis);
      const lists = [starts, intsAttribute(node, 'ends') ?? [], axes].map(list => write.integers(list));
      return rewritten([x, ...lists], ['starts', 'ends', 'axes']);
    }
    default:
      if (UNCHANGED.has(name)) return node;
  }
  throw unsupported(
    `its operator ${quote(name)} of version ${opset} is not known in version ${MODERN_OPSET}; export it with a later one`,
  );
}

function isOnnx(domain: string): boolean {
  return domain === '' || domain === 'ai.onnx';
}

function unusedPrefix({ producers, initializers }: IndexedGraph): string {
  const names = [...producers.keys(), ...initializers.keys()];
  let prefix = 'modern_';
  while (names.some(name => name.startsWith(prefix))) prefix = `_${prefix}`;
  return prefix;
}

function unsupported(why: string): DeflectorError {
  return new DeflectorError('MODEL_UNSUPPORTED', `The network cannot be built on: ${why}`);
}
