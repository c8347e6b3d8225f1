/**
 * The defence as nodes in front of a network: one call of a session takes 8-bit pixels and the deflections of many runs and
 * gives the scores of each run. On a GPU nothing but pixels, indices and scores then crosses the bus.
 *
 *     images, image_of_run ─▶ Gather ─▶ deflect: Gather + ScatterElements ─▶ YCbCr ─▶ Haar ─▶ shrink ─▶ inverse ─▶ network
 *
 * Only element-wise operators, reductions and moves: convolutions and matrix products, which a GPU may compute with ten bits
 * of fraction (TF32), would not reach the 1e-5 that the defence is specified to. Indices are drawn on the CPU, by the same
 * generator as everywhere: the graph itself draws nothing.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { RGB_FROM_YCBCR, type Row3, YCBCR_FROM_RGB, YCBCR_OFFSETS } from '../../defense/colour.js';
import type { TensorFormat } from '../../defense/defender.js';
import { type DefenceSettings, deflects } from '../../defense/settings.js';
import { defaultLevels } from '../../defense/wavelet-filters.js';
import { DeflectorError } from '../../errors.js';
import { type IndexedGraph, readGraph } from './graph.js';
import { GraphWriter } from './graph-writer.js';
import { opsetOf, withModernOperators } from './modern-operators.js';
import type { OnnxNetwork } from './network.js';
import {
  DimensionSchema,
  GraphSchema,
  ModelSchema,
  type Node,
  NodeSchema,
  OperatorSetSchema,
  ShapeSchema,
  TensorTypeSchema,
  TypeSchema,
  type ValueInfo,
  ValueInfoSchema,
} from './onnx_pb.js';

/** Inputs of a session with the defence in it. */
export const GRAPH_INPUTS = Object.freeze({
  /** uint8 [images, height, width, 3], RGB. */
  images: 'deflector_images',
  /** int32 [runs]: which of the images a run is of. */
  imageOfRun: 'deflector_image_of_run',
  /** int32 [writes]: places in the planes of all runs, float [runs, 3, height, width], no place twice; at least one. */
  targets: 'deflector_targets',
  /** int32 [writes]: where the value of each comes from, in the same planes before any of them is written. */
  sources: 'deflector_sources',
});

/** Output of a session that has the defence and no network: float32 [runs, 3, height, width] or as the format says. */
export const GRAPH_TENSOR = 'deflector_defended';

/** Version written where there is no network to follow. */
const OWN_OPSET = 17;
/** Of ONNX's file format; 8 goes with operators of version 17. */
const OWN_IR = 8n;

const FLOAT = 1;
const UINT8 = 2;
const INT32 = 6;
const FLOAT16 = 10;

/**
 * A plane of Y, Cb or Cr (0 to 255) with less range than this is constant but for single precision, and stays as it is: the
 * plain defender draws that line at 1e-9, and between the two denoising moves no value by more than 4e-6 of 255.
 */
const CONSTANT_RANGE = 1e-3;

/** What the graph needs to know beside the settings. */
export interface DefenceGraphOptions {
  /** Size of the images, the network's input size. */
  readonly width: number;
  readonly height: number;
  readonly settings: DefenceSettings;
  /** What the network reads. */
  readonly format: TensorFormat;
  /** Of the wavelet coefficients; energies and colours are single in any case. */
  readonly precision: 'float32' | 'float16';
}

/**
 * Whether the graph can compute what settings ask for.
 *
 * @returns `undefined` where it can; else what it cannot, as a clause for a message
 */
export function beyondDefenceGraph(settings: DefenceSettings): string | undefined {
  const foreign = settings.order.find(step => step !== 'deflect' && step !== 'denoise');
  if (foreign !== undefined) return `the step ${foreign} of --order is no part of it`;
  if (settings.order.filter(step => step === 'deflect').length > 1) return '--order deflects more than once';
  if (settings.at === 'original') return '--at original gives images of many sizes';
  if (deflects(settings) && settings.replace !== 'random')
    return `--replace ${settings.replace} takes no pixel as it is`;
  if (!settings.order.includes('denoise') || settings.shrink === 'none') return undefined;
  if (settings.wavelet !== 'db1' && settings.wavelet !== 'haar') return `its wavelet is db1, not ${settings.wavelet}`;
  if (settings.sigma === null) return 'it takes --sigma as given and estimates none';
  if (settings.strength.some(bound => bound !== 1)) return 'it draws no --strength';
  if (settings.spin > 0) return '--spin shifts grids';
  if (settings.spare > 0) return '--spare reads the activation map';
  if (settings.shrink === 'sure') return '--shrink sure sorts coefficients';
  return undefined;
}

/**
 * A network with the defence in front of it: inputs {@link GRAPH_INPUTS}, outputs those of the network. Where its batch is of a
 * fixed size, so is the number of runs.
 *
 * @throws DeflectorError MODEL_UNSUPPORTED where its operators are too old; SETTINGS_INVALID where {@link beyondDefenceGraph} says why
 */
export function withDefence(network: OnnxNetwork, options: DefenceGraphOptions): Uint8Array {
  const indexed = withModernOperators(readGraph(network.session));
  const write = new GraphWriter(freshPrefix(indexed), opsetOf(indexed));
  const planes = defend(write, options);
  const tensor = network.input.type === 'float16' ? write.op('Cast', [planes], { to: FLOAT16 }) : planes;
  const { graph, model } = indexed;
  const whole = create(GraphSchema, {
    ...graph,
    node: [...write.nodes, renamed(tensor, network.input.name), ...graph.node],
    initializer: [...graph.initializer, ...write.initializers],
    input: [...graph.input.filter(input => input.name !== network.input.name), ...inputs(options)],
  });
  return toBinary(ModelSchema, create(ModelSchema, { ...model, graph: whole }));
}

/** The defence alone: inputs {@link GRAPH_INPUTS}, output {@link GRAPH_TENSOR}. @throws DeflectorError SETTINGS_INVALID */
export function defenceAlone(options: DefenceGraphOptions): Uint8Array {
  const write = new GraphWriter('deflector_', OWN_OPSET);
  const last = renamed(defend(write, options), GRAPH_TENSOR);
  const graph = create(GraphSchema, {
    name: 'defence',
    node: [...write.nodes, last],
    initializer: write.initializers,
    input: inputs(options),
    output: [create(ValueInfoSchema, { name: GRAPH_TENSOR })],
  });
  const opsetImport = [create(OperatorSetSchema, { domain: '', version: BigInt(OWN_OPSET) })];
  return toBinary(ModelSchema, create(ModelSchema, { irVersion: OWN_IR, opsetImport, graph }));
}

/** From the inputs to the tensor that the network reads. @returns its name */
function defend(write: GraphWriter, options: DefenceGraphOptions): string {
  const { settings, width, height } = options;
  const why = beyondDefenceGraph(settings);
  if (why !== undefined) throw new DeflectorError('SETTINGS_INVALID', `The defence does not go into a graph: ${why}`);
  const pixels = write.op('Gather', [GRAPH_INPUTS.images, GRAPH_INPUTS.imageOfRun], { axis: 0 });
  const planar = write.op('Transpose', [write.op('Cast', [pixels], { to: FLOAT })], { perm: [0, 3, 1, 2] });
  let planes = write.multiply(planar, write.scalar(1 / 255));
  for (const step of settings.order) {
    if (step === 'deflect') planes = deflected(write, planes, width, height);
    else if (settings.shrink !== 'none') planes = denoised(write, planes, options);
  }
  return formatted(write, planes, options.format);
}

function deflected(write: GraphWriter, planes: string, width: number, height: number): string {
  const flat = write.reshape(planes, [-1]);
  const values = write.op('Gather', [flat, GRAPH_INPUTS.sources], { axis: 0 });
  const written = write.op('ScatterElements', [flat, GRAPH_INPUTS.targets, values], { axis: 0 });
  return write.reshape(written, [-1, 3, height, width]);
}

/** Denoising in YCbCr, as `denoise` of src/defense/plain specifies it. @param rgb float32 [runs, 3, height, width] */
function denoised(write: GraphWriter, rgb: string, options: DefenceGraphOptions): string {
  const { settings, precision } = options;
  const legacy = settings.variant === 'legacy';
  const ycbcr = write.add(mixed(write, rgb, YCBCR_FROM_RGB), perChannel(write, YCBCR_OFFSETS));
  const least = reduced(write, 'ReduceMin', ycbcr);
  const range = write.subtract(reduced(write, 'ReduceMax', ycbcr), least);
  const isConstant = write.op('Less', [range, write.scalar(CONSTANT_RANGE)]);
  const scale = write.op('Max', [range, write.scalar(CONSTANT_RANGE)]);
  const stretched = write.divide(write.subtract(ycbcr, least), scale);
  const halves = precision === 'float16';
  const coefficients = halves ? write.op('Cast', [stretched], { to: FLOAT16 }) : stretched;
  const shrunk = shrink(write, coefficients, sigmas(write, options, scale), options);
  const single = halves ? write.op('Cast', [shrunk], { to: FLOAT }) : shrunk;
  const bounded = legacy ? clipped(write, single) : single;
  const restored = write.add(write.multiply(bounded, scale), least);
  const kept = write.op('Where', [isConstant, ycbcr, restored]);
  const back = mixed(write, write.subtract(kept, perChannel(write, YCBCR_OFFSETS)), RGB_FROM_YCBCR);
  return legacy ? clipped(write, back) : back;
}

/** Sigma on the stretched planes: a constant, or [runs, 3, 1, 1]. */
function sigmas(write: GraphWriter, { settings }: DefenceGraphOptions, range: string): string {
  const sigma = settings.sigma ?? 0;
  if (settings.variant === 'legacy') return write.floats([1, 3, 1, 1], [sigma, sigma, sigma]);
  const carried = YCBCR_FROM_RGB.map(row => sigma * Math.hypot(...row)) as unknown as Row3;
  return write.divide(perChannel(write, carried), range);
}

/**
 * Haar transform, shrinkage and inverse, one level and inside it the next.
 *
 * @param planes [runs, 3, height, width] in the precision of the options
 * @param sigma float32 [1 or runs, 3, 1, 1]
 */
function shrink(write: GraphWriter, planes: string, sigma: string, options: DefenceGraphOptions): string {
  const { settings } = options;
  const halves = options.precision === 'float16';
  const half = halves ? write.op('Cast', [write.scalar(0.5)], { to: FLOAT16 }) : write.scalar(0.5);
  const halved = (x: string): string => write.multiply(x, half);
  const three = write.op('Concat', [sigma, sigma, sigma], { axis: 1 });

  const level = (approximation: string, width: number, height: number, levels: number): string => {
    if (levels === 0) return approximation;
    const even = evened(write, approximation, width, height);
    // The four pixels of each 2 x 2 square: rows of a, b over rows of c, d; each group holds the planes Y, Cb, Cr.
    const squares = write.op('SpaceToDepth', [even], { blocksize: 2 });
    const [a, b, c, d] = [0, 1, 2, 3].map(i => group(write, squares, 3, i)) as [string, string, string, string];
    const [above, below] = [write.add(a, b), write.add(c, d)];
    const [aboveAcross, belowAcross] = [write.subtract(a, b), write.subtract(c, d)];
    const details = write.op(
      'Concat',
      [write.subtract(above, below), write.add(aboveAcross, belowAcross), write.subtract(aboveAcross, belowAcross)],
      { axis: 1 },
    );
    const shrunk = halved(shrunkDetails(write, halved(details), three, options));
    const [horizontal, vertical, diagonal] = [0, 1, 2].map(i => group(write, shrunk, 3, i)) as [string, string, string];
    const [halfWidth, halfHeight] = [Math.ceil(width / 2), Math.ceil(height / 2)];
    const low = halved(level(halved(write.add(above, below)), halfWidth, halfHeight, levels - 1));
    const [first, second] = [write.add(low, horizontal), write.subtract(low, horizontal)];
    const [firstAcross, secondAcross] = [write.add(vertical, diagonal), write.subtract(vertical, diagonal)];
    const restored = write.op(
      'Concat',
      [
        write.add(first, firstAcross),
        write.subtract(first, firstAcross),
        write.add(second, secondAcross),
        write.subtract(second, secondAcross),
      ],
      { axis: 1 },
    );
    const whole = write.op('DepthToSpace', [restored], { blocksize: 2 });
    return even === approximation ? whole : write.slice(whole, [2, 3], [0, 0], [height, width]);
  };
  const { width, height } = options;
  return level(planes, width, height, settings.levels ?? defaultLevels(width, height, 2));
}

/** Lines of an odd number of samples repeat the last one. */
function evened(write: GraphWriter, planes: string, width: number, height: number): string {
  const wide = width % 2 === 0 ? planes : repeated(write, planes, 3, width);
  return height % 2 === 0 ? wide : repeated(write, wide, 2, height);
}

function repeated(write: GraphWriter, planes: string, axis: number, length: number): string {
  return write.op('Concat', [planes, write.slice(planes, [axis], [length - 1], [length])], { axis });
}

/** Channels `size` i to `size` (i + 1). */
function group(write: GraphWriter, channels: string, size: number, i: number): string {
  return write.slice(channels, [1], [size * i], [size * (i + 1)]);
}

/**
 * @param details [runs, 9, height, width]: three sub-bands of three planes
 * @param sigma float32 [1 or runs, 9, 1, 1]
 */
function shrunkDetails(write: GraphWriter, details: string, sigma: string, options: DefenceGraphOptions): string {
  const { settings, precision } = options;
  const halves = precision === 'float16';
  const single = halves ? write.op('Cast', [details], { to: FLOAT }) : details;
  const exact = thresholdOf(write, single, sigma, options);
  const threshold = halves ? write.op('Cast', [exact], { to: FLOAT16 }) : exact;
  if (settings.threshold === 'soft') {
    const bounded = write.op('Max', [write.op('Min', [details, threshold]), write.op('Neg', [threshold])]);
    return write.subtract(details, bounded);
  }
  const below = write.op('Less', [write.op('Abs', [details]), threshold]);
  return write.op('Where', [below, write.subtract(details, details), details]);
}

/** [1 or runs, 9, 1, 1] */
function thresholdOf(write: GraphWriter, details: string, sigma: string, options: DefenceGraphOptions): string {
  const { settings, width, height } = options;
  if (settings.shrink === 'visu') return write.multiply(sigma, write.scalar(Math.sqrt(2 * Math.log(width * height))));
  // BayesShrink; see src/defense/plain/bayes-shrink.ts.
  const variance = write.multiply(sigma, sigma);
  const excess = write.subtract(write.mean(write.multiply(details, details), [2, 3]), variance);
  return write.divide(variance, write.op('Sqrt', [write.op('Max', [excess, write.scalar(Number.EPSILON)])]));
}

/** [runs, 3, height, width] times a 3 x 3 matrix, element by element. */
function mixed(write: GraphWriter, planes: string, matrix: readonly Row3[]): string {
  const columns = [0, 1, 2].map(column => {
    const plane = group(write, planes, 1, column);
    return write.multiply(
      plane,
      write.floats(
        [1, 3, 1, 1],
        matrix.map(row => row[column]!),
      ),
    );
  });
  return write.add(write.add(columns[0]!, columns[1]!), columns[2]!);
}

function perChannel(write: GraphWriter, values: Row3): string {
  return write.floats([1, 3, 1, 1], values);
}

/** Least or greatest value of each plane. */
function reduced(write: GraphWriter, operator: 'ReduceMin' | 'ReduceMax', planes: string): string {
  return write.opset < 18
    ? write.op(operator, [planes], { axes: [2, 3], keepdims: 1 })
    : write.op(operator, [planes, write.integers([2, 3])], { keepdims: 1 });
}

function clipped(write: GraphWriter, planes: string): string {
  return write.op('Clip', [planes, write.scalar(0), write.scalar(1)]);
}

/** As the network reads it. */
function formatted(write: GraphWriter, planes: string, { scale, bias, channels, layout }: TensorFormat): string {
  const normalised = write.add(write.multiply(planes, perChannel(write, scale)), perChannel(write, bias));
  const ordered =
    channels === 'rgb'
      ? normalised
      : write.op(
          'Concat',
          [2, 1, 0].map(channel => group(write, normalised, 1, channel)),
          { axis: 1 },
        );
  return layout === 'nchw' ? ordered : write.op('Transpose', [ordered], { perm: [0, 2, 3, 1] });
}

function inputs({ width, height }: DefenceGraphOptions): ValueInfo[] {
  return [
    value(GRAPH_INPUTS.images, UINT8, ['deflector_image_count', height, width, 3]),
    value(GRAPH_INPUTS.imageOfRun, INT32, ['deflector_run_count']),
    value(GRAPH_INPUTS.targets, INT32, ['deflector_write_count']),
    value(GRAPH_INPUTS.sources, INT32, ['deflector_write_count']),
  ];
}

function value(name: string, elemType: number, shape: readonly (number | string)[]): ValueInfo {
  const dim = shape.map(size =>
    create(DimensionSchema, {
      value: typeof size === 'number' ? { case: 'dimValue', value: BigInt(size) } : { case: 'dimParam', value: size },
    }),
  );
  const tensorType = create(TensorTypeSchema, { elemType, shape: create(ShapeSchema, { dim }) });
  return create(ValueInfoSchema, { name, type: create(TypeSchema, { tensorType }) });
}

function renamed(tensor: string, name: string): Node {
  return create(NodeSchema, { opType: 'Identity', name: `${name}_of_defence`, input: [tensor], output: [name] });
}

function freshPrefix(graph: IndexedGraph): string {
  const names = [...graph.producers.keys(), ...graph.initializers.keys(), ...graph.graph.input.map(({ name }) => name)];
  let prefix = 'deflector_';
  while (names.some(name => name.startsWith(prefix))) prefix += '_';
  return prefix;
}
