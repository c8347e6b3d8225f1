/** What a rule of differentiation sees of its node, and what rules share. */
import { DeflectorError } from '../../../errors.js';
import { type Constant, constantValue } from '../constants.js';
import { attribute, type IndexedGraph, intAttribute, intsAttribute, operator, quote } from '../graph.js';
import type { GraphWriter } from '../graph-writer.js';
import type { Node } from '../onnx_pb.js';
import { type Gradient, type PhasedGradient, woven } from './phases.js';

/**
 * The vector-Jacobian product of one operator: writes nodes that make the gradient of each input from the gradients of
 * the outputs.
 *
 * @returns names of the gradients by position of the input; `undefined` where `op.wants` is false
 */
export type Rule = (op: Operation) => readonly (Gradient | undefined)[];

/** The shape of a tensor, as two batches showed it. */
export interface MeasuredShape {
  readonly dims: readonly number[];
  /** Which dimensions grow with the batch. */
  readonly varies: readonly boolean[];
}

/** A node of the graph that is differentiated. */
export class Operation {
  readonly node: Node;
  readonly write: GraphWriter;
  /** Gradients of the outputs by position; `undefined` where the scores do not depend on an output. */
  readonly gradients: readonly (Gradient | undefined)[];
  readonly #graph: IndexedGraph;
  readonly #shapes: ReadonlyMap<string, MeasuredShape>;
  readonly #differentiable: ReadonlySet<string>;

  constructor(
    node: Node,
    gradients: readonly (Gradient | undefined)[],
    write: GraphWriter,
    graph: IndexedGraph,
    shapes: ReadonlyMap<string, MeasuredShape>,
    differentiable: ReadonlySet<string>,
  ) {
    this.node = node;
    this.gradients = gradients;
    this.write = write;
    this.#graph = graph;
    this.#shapes = shapes;
    this.#differentiable = differentiable;
  }

  /** Name of the first input, output, and gradient of that output. */
  get x(): string {
    return this.input(0);
  }

  get y(): string {
    return this.node.output[0] ?? '';
  }

  get dy(): string {
    return this.gradient(0);
  }

  /** The gradient of an output as one tensor. */
  gradient(output: number): string {
    const found = this.gradients[output];
    if (found === undefined) return this.write.zerosLike(this.node.output[output] ?? '');
    return typeof found === 'string' ? found : woven(this.write, found);
  }

  /** The gradient of the first output where it comes in phases. */
  get phased(): PhasedGradient | undefined {
    const found = this.gradients[0];
    return typeof found === 'string' ? undefined : found;
  }

  /** Name of the second output, which the node is made to give where it did not. */
  secondOutput(what: string): string {
    const found = this.node.output[1] || this.write.name(what);
    this.node.output[1] = found;
    return found;
  }

  /** Name of an input; empty where it is left out. */
  input(index: number): string {
    return this.node.input[index] ?? '';
  }

  /** Whether an input depends on the image. */
  wants(index: number): boolean {
    return this.#differentiable.has(this.input(index));
  }

  /** The shape of a tensor for a batch of two images, or of the network's fixed number. */
  shape(name: string): readonly number[] {
    return this.#measured(name).dims;
  }

  #measured(name: string): MeasuredShape {
    const shape = this.#shapes.get(name);
    if (shape === undefined) throw this.unsupported(`the shape of ${quote(name)} is not known`);
    return shape;
  }

  /**
   * `x`, which has the shape of `from`, in the shape of `like`. Where that can be said beforehand it is, so that the
   * runtime knows the shapes of all gradients and keeps them in its own layout.
   */
  reshapeLike(x: string, from: string, like: string): string {
    const { dims, varies } = this.#measured(like);
    const growing = varies.filter(varying => varying).length;
    if (growing > 1) return this.write.reshapeLike(x, like);
    // 0 keeps the dimension in that place, -1 stands for what is left.
    const kept = varies[0] === true && this.#measured(from).varies[0] === true;
    return this.write.reshape(
      x,
      dims.map((dim, axis) => (varies[axis] ? (kept ? 0 : -1) : dim)),
    );
  }

  /** `x`, of the rank of `like`, repeated along its dimensions of one to the shape of `like`. */
  expandLike(x: string, like: string): string {
    const { dims, varies } = this.#measured(like);
    if (varies.some((varying, axis) => varying && axis > 0)) return this.write.expandLike(x, like);
    return this.write.op('Expand', [x, this.write.integers(dims.map((dim, axis) => (varies[axis] ? 1 : dim)))]);
  }

  int(name: string, otherwise: number): number {
    return intAttribute(this.node, name, otherwise);
  }

  ints(name: string): number[] | undefined {
    return intsAttribute(this.node, name);
  }

  float(name: string, otherwise: number): number {
    return attribute(this.node, name)?.f ?? otherwise;
  }

  text(name: string, otherwise: string): string {
    const found = attribute(this.node, name);
    return found === undefined ? otherwise : Buffer.from(found.s).toString('latin1');
  }

  has(name: string): boolean {
    return attribute(this.node, name) !== undefined;
  }

  /** The value of an input that is a constant; `undefined` where the input is left out. */
  constant(index: number): Constant | undefined {
    const name = this.input(index);
    if (name === '') return undefined;
    const value = constantValue(this.#graph, name);
    if (value === undefined) throw this.unsupported(`its input ${quote(name)} is no constant`);
    return value;
  }

  /** Whole numbers that older versions of an operator take as an attribute and newer ones as an input. */
  listed(name: string, index: number): number[] | undefined {
    const value = this.ints(name) ?? this.constant(index)?.data;
    return value === undefined ? undefined : Array.from(value);
  }

  /** An axis from 0, of one that may count from the end. */
  axis(axis: number, rank: number): number {
    return axis < 0 ? axis + rank : axis;
  }

  /** A gradient in the shape of a result, summed to the shape of the operand that was broadcast to it. */
  unbroadcast(gradient: string, operand: string, result: string = this.y): string {
    const from = this.shape(result);
    const to = this.shape(operand);
    const leading = from.length - to.length;
    const axes = from.flatMap((dim, axis) => (axis < leading || (to[axis - leading] === 1 && dim !== 1) ? [axis] : []));
    if (axes.length === 0) return gradient;
    const summed = this.write.sum(gradient, axes);
    return leading === 0 ? summed : this.write.reshapeLike(summed, operand);
  }

  unsupported(why: string): DeflectorError {
    const name = this.node.name || this.y;
    return new DeflectorError(
      'MODEL_UNSUPPORTED',
      `There is no gradient of ${quote(operator(this.node))} at the node ${quote(name)}: ${why}`,
    );
  }
}
