import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { DeflectorError } from '../../../src/errors.js';
import { tensorValues } from '../../../src/models/onnx/constants.js';
import { withWeightsInside } from '../../../src/models/onnx/external-data.js';
import { ONNX_LIMITS } from '../../../src/models/onnx/graph.js';
import { readNetwork } from '../../../src/models/onnx/network.js';
import {
  AttributeSchema,
  AttributeType,
  type Graph,
  GraphSchema,
  ModelSchema,
  NodeSchema,
  type Tensor,
  TensorSchema,
} from '../../../src/models/onnx/onnx_pb.js';
import { openClassifier } from '../../../src/models/runtimes.js';
import {
  BODY,
  behindBody,
  bytes,
  CHANNELS,
  CLASSES,
  floats,
  HEAD,
  halves,
  images,
  modelOf,
  node,
  onnx,
  outside,
} from './builder.js';

const WHOLE = behindBody(HEAD.nodes, HEAD.tensors);

/** `metadata_props` (field 14 of the model): a field that the schema here leaves out. */
const FOREIGN = Uint8Array.from([0x72, 0x06, 0x0a, 0x01, 0x6b, 0x12, 0x01, 0x76]);

function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

describe('a network with its feature maps as an output', () => {
  it('is the file as it was and a few bytes behind it', () => {
    const file = joined(WHOLE, FOREIGN);
    const { session } = readNetwork(file);
    assert.deepEqual(session.subarray(0, file.length), file);
    const outputs = fromBinary(ModelSchema, session).graph?.output.map(output => output.name);
    assert.deepEqual(outputs, ['scores', 'maps']);
  });

  it('is the file itself where the feature maps are an output already, or there are none', () => {
    const { session } = readNetwork(WHOLE);
    assert.equal(readNetwork(session).session, session);
    const headless = behindBody(
      [node('Flatten', ['maps'], 'flat'), node('Gemm', ['flat', 'w'], 'scores')],
      [floats('w', [96, CLASSES])],
    );
    assert.equal(readNetwork(headless).session, headless);
  });
});

describe('a broken network file', () => {
  const refused: readonly [string, () => Uint8Array][] = [
    ['nothing', () => new Uint8Array(0)],
    ['text', () => new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n')],
    ['a model without a graph', () => toBinary(ModelSchema, create(ModelSchema, { irVersion: 8n }))],
    ['a graph without nodes', () => onnx({ nodes: [] })],
    ['two nodes with the same output', () => onnx({ nodes: [...BODY.nodes, node('Relu', ['body'], 'maps')] })],
    ['subgraphs in subgraphs without end', () => nested(ONNX_LIMITS.maxDepth)],
    [
      'weights that do not fill their shape',
      () => {
        const short = floats('w', [CLASSES, CHANNELS]);
        short.rawData = short.rawData.subarray(4);
        return behindBody(HEAD.nodes, [short, floats('b', [CLASSES])]);
      },
    ],
    [
      'weights of a negative size',
      () => behindBody(HEAD.nodes, [floats('w', [-1, CHANNELS], []), floats('b', [CLASSES])]),
    ],
    [
      'weights in a file that is not there',
      () => behindBody(HEAD.nodes, [outside('w', 'w.bin'), floats('b', [CLASSES])]),
    ],
  ];
  for (const [name, file] of refused) {
    it(`is refused: ${name}`, () => {
      assert.throws(() => readNetwork(file()), { code: 'MODEL_INVALID' });
    });
  }

  it('is refused or read, wherever it is cut and whichever bytes are changed, and never crashes', () => {
    const judge = (file: Uint8Array) => {
      try {
        readNetwork(file);
      } catch (error) {
        assert.ok(error instanceof DeflectorError, String(error));
        assert.match(error.code, /^MODEL_(INVALID|UNSUPPORTED)$/);
      }
    };
    for (let length = 0; length < WHOLE.length; length += 7) judge(WHOLE.subarray(0, length));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(WHOLE.length - 1), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 8 }),
        changes => {
          const file = WHOLE.slice();
          for (const [at, byte] of changes) file[at] = byte;
          judge(file);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

/** A model whose graph holds a graph that holds a graph ... */
function nested(depth: number): Uint8Array {
  let graph: Graph = create(GraphSchema, { node: [node('Relu', ['input'], 'scores')] });
  for (let i = 0; i < depth; i++) {
    const attribute = [create(AttributeSchema, { name: 'body', type: AttributeType.GRAPH, g: graph })];
    graph = create(GraphSchema, { node: [create(NodeSchema, { opType: 'Loop', output: ['scores'], attribute })] });
  }
  return toBinary(ModelSchema, create(ModelSchema, { irVersion: 8n, graph, opsetImport: [{ version: 17n }] }));
}

describe('weights in files beside the network', () => {
  const W = floats('w', [CLASSES, CHANNELS]);
  const split = (location: string, offset?: number, length?: number) =>
    joined(behindBody(HEAD.nodes, [outside('w', location, offset, length), floats('b', [CLASSES])]), FOREIGN);
  const file = joined(new Uint8Array(16), W.rawData);
  const read = async (_location: string, offset: number, length = file.length - offset) =>
    file.slice(offset, offset + length);

  it('come inside, and the network is what it is with them inside from the start', async () => {
    const whole = await withWeightsInside(split('model.onnx_data', 16, W.rawData.length), read);
    const [expected, got] = await Promise.all(
      [WHOLE, whole].map(async network => {
        const classifier = await openClassifier(modelOf(network));
        const { scores } = await classifier.classify(images(2), 2, false);
        await classifier.dispose();
        return scores;
      }),
    );
    assert.deepEqual(got, expected);
  });

  it('leave the rest of the file as it was, what is unknown here too', async () => {
    const whole = await withWeightsInside(split('weights/a.bin', 16), read);
    assert.ok(Buffer.from(whole).includes(Buffer.from(FOREIGN)));
    assert.ok(!Buffer.from(whole).includes('a.bin'));
    assert.equal(await withWeightsInside(whole, read), whole);
  });

  it('are found in subgraphs and constants', async () => {
    const constant = node('Constant', [], 'w', { value: outside('', 'w.bin', 16) });
    const network = behindBody([constant, ...HEAD.nodes], [floats('b', [CLASSES])]);
    assert.equal(readNetwork(await withWeightsInside(network, read)).headless, undefined);
  });

  for (const location of ['', '../w.bin', '/etc/passwd', 'a/../../w.bin', 'C:\\w.bin', 'a\\..\\b', 'a//b']) {
    it(`are refused at ${JSON.stringify(location)}`, async () => {
      await assert.rejects(withWeightsInside(split(location), read), { code: 'MODEL_INVALID', message: /lie at/ });
    });
  }

  it('are refused where offset or length are no sizes', async () => {
    for (const [offset, length] of [
      [-1, 4],
      [0.5, 4],
      [0, 2 ** 40],
      [Number.NaN, 4],
    ]) {
      await assert.rejects(withWeightsInside(split('w.bin', offset, length), read), { code: 'MODEL_INVALID' });
    }
  });
});

describe('values of a tensor', () => {
  const typed = (fields: Partial<Tensor>): Tensor => create(TensorSchema, { ...fields, dims: [2n] } as Tensor);

  it('are read from each field that ONNX keeps them in', () => {
    const read = (tensor: Tensor) => Array.from(tensorValues(tensor).data);
    assert.deepEqual(read(floats('', [2], [1.5, -2])), [1.5, -2]);
    assert.deepEqual(read(halves('', [2], [1.5, -2])), [1.5, -2]);
    assert.deepEqual(read(bytes('', [2], [127, -128])), [127, -128]);
    assert.deepEqual(read(typed({ dataType: 1, floatData: [1.5, -2] })), [1.5, -2]);
    assert.deepEqual(read(typed({ dataType: 7, int64Data: [3n, -4n] })), [3, -4]);
    assert.deepEqual(read(typed({ dataType: 10, int32Data: [0x3e00, 0xc000] })), [1.5, -2]);
    assert.deepEqual(read(typed({ dataType: 11, doubleData: [1.5, -2] })), [1.5, -2]);
    assert.deepEqual(read(typed({ dataType: 16, int32Data: [0x3fc0, 0xc000] })), [1.5, -2]);
  });

  it('are refused for types that hold no numbers', () => {
    assert.throws(() => tensorValues(typed({ dataType: 8, rawData: new Uint8Array(2) })), {
      code: 'MODEL_UNSUPPORTED',
    });
  });
});
