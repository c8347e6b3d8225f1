/** The smallest network: y = relu(x) on four numbers. What cannot run it can run nothing. */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  DimensionSchema,
  GraphSchema,
  ModelSchema,
  NodeSchema,
  OperatorSetSchema,
  ShapeSchema,
  TensorTypeSchema,
  TypeSchema,
  type ValueInfo,
  ValueInfoSchema,
} from './onnx_pb.js';

/** An ONNX model from `x` float32 [4] to `y` float32 [4]. */
export function probeNetwork(): Uint8Array {
  const graph = create(GraphSchema, {
    name: 'probe',
    node: [create(NodeSchema, { opType: 'Relu', input: ['x'], output: ['y'] })],
    input: [vector('x')],
    output: [vector('y')],
  });
  const opsetImport = [create(OperatorSetSchema, { version: 13n })];
  return toBinary(ModelSchema, create(ModelSchema, { irVersion: 8n, opsetImport, graph }));
}

function vector(name: string): ValueInfo {
  const dim = [create(DimensionSchema, { value: { case: 'dimValue', value: 4n } })];
  const tensorType = create(TensorTypeSchema, { elemType: 1, shape: create(ShapeSchema, { dim }) });
  return create(ValueInfoSchema, { name, type: create(TypeSchema, { tensorType }) });
}
