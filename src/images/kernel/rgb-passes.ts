/**
 * The two passes of 8-bit resampling in WebAssembly (sources: assembly/; compiled by scripts/build-kernel.mjs).
 * Data goes through the kernel's memory in bands, so that the memory stays small whatever the size of the image.
 */
import type { Taps } from '../taps.js';
import { KERNEL_BINARY } from './kernel-binary.js';

/** Source bytes that one band holds, if a single row or the inputs of a single output are not more. */
const BAND_BYTES = 2 ** 20;
/** Bytes beyond an area that the kernel may touch, and what areas begin at multiples of. */
const SLACK = 16;
const PAGE_BYTES = 65_536;
/** 8 bits of pixel and 2 of headroom leave 22 of 32 for the weights. */
const FRACTION_BITS = 22;

/** See assembly/index.ts. */
interface KernelExports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  heapBase(): number;
  horizontal(
    data: number,
    stride: number,
    rows: number,
    first: number,
    count: number,
    weights: number,
    taps: number,
    length: number,
    out: number,
  ): void;
  vertical(
    data: number,
    stride: number,
    length: number,
    first: number,
    count: number,
    weights: number,
    taps: number,
    rows: number,
    out: number,
  ): void;
}

/** The part of the WebAssembly interface that is used; Node.js has it, its type package does not. */
interface WebAssemblyHost {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { readonly exports: unknown };
}

let live: KernelExports | undefined;

function kernel(): KernelExports {
  if (live === undefined) {
    const { Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyHost }).WebAssembly;
    live = new Instance(new Module(Buffer.from(KERNEL_BINARY, 'base64'))).exports as KernelExports;
  }
  return live;
}

/** Lays areas of so many bytes out in the kernel's memory, growing it where needed. */
function layOut<const T extends readonly number[]>({ memory, heapBase }: KernelExports, lengths: T): number[] {
  let end = heapBase();
  const addresses = lengths.map(length => {
    const at = end;
    end = Math.ceil((at + length + SLACK) / SLACK) * SLACK;
    return at;
  });
  const missing = end - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
  return addresses;
}

/** Taps serve many images. */
const rounded = new WeakMap<Taps, Int32Array>();

/** Weights rounded half away from zero to fixed point. */
function fixedPoint(taps: Taps): Int32Array {
  let weights = rounded.get(taps);
  if (weights === undefined) {
    weights = Int32Array.from(taps.weights, weight =>
      Math.trunc(weight * 2 ** FRACTION_BITS + (weight < 0 ? -0.5 : 0.5)),
    );
    rounded.set(taps, weights);
  }
  return weights;
}

/**
 * Scales rows.
 *
 * @param origin index of the first sample of row 0, from which the taps count in pixels
 * @param stride samples from one row to the next
 * @returns `rows` rows of as many pixels as there are taps
 */
export function horizontal(data: Uint8Array, origin: number, stride: number, rows: number, columns: Taps): Uint8Array {
  const { first, count, weights, stride: taps } = columns;
  const length = first.length;
  const begin = first[0]!;
  const used = (first[length - 1]! + count[length - 1]! - begin) * 3;
  const most = Math.min(rows, Math.max(1, Math.floor(BAND_BYTES / stride)));
  const k = kernel();
  const [firstAt, countAt, weightsAt, dataAt, outAt] = layOut(k, [
    length * 4,
    length * 4,
    weights.length * 4,
    most * stride,
    most * length * 3,
  ]) as [number, number, number, number, number];
  const { buffer } = k.memory;
  new Int32Array(buffer, firstAt, length).set(first.map(pixel => pixel - begin));
  new Int32Array(buffer, countAt, length).set(count);
  new Int32Array(buffer, weightsAt, weights.length).set(fixedPoint(columns));
  const out = new Uint8Array(rows * length * 3);
  for (let row = 0; row < rows; row += most) {
    const band = Math.min(most, rows - row);
    const from = origin + begin * 3 + row * stride;
    new Uint8Array(buffer, dataAt).set(data.subarray(from, from + (band - 1) * stride + used));
    k.horizontal(dataAt, stride, band, firstAt, countAt, weightsAt, taps, length, outAt);
    out.set(new Uint8Array(buffer, outAt, band * length * 3), row * length * 3);
  }
  return out;
}

/**
 * Scales columns.
 *
 * @param origin index of the first sample of row 0, from which the taps count in rows
 * @param stride samples from one row to the next
 * @param length samples a row
 * @returns as many rows as there are taps, of `length` samples
 */
export function vertical(data: Uint8Array, origin: number, stride: number, length: number, rows: Taps): Uint8Array {
  const { first, count, weights, stride: taps } = rows;
  const total = first.length;
  const inputs = (from: number, end: number) => first[end - 1]! + count[end - 1]! - first[from]!;
  const bands: (readonly [from: number, end: number])[] = [];
  for (let from = 0; from < total; ) {
    let end = from + 1;
    while (end < total && inputs(from, end + 1) * stride <= BAND_BYTES) end += 1;
    bands.push([from, end]);
    from = end;
  }
  const k = kernel();
  const [firstAt, countAt, weightsAt, dataAt, outAt] = layOut(k, [
    total * 4,
    total * 4,
    weights.length * 4,
    Math.max(...bands.map(([from, end]) => inputs(from, end))) * stride,
    Math.max(...bands.map(([from, end]) => end - from)) * length,
  ]) as [number, number, number, number, number];
  const { buffer } = k.memory;
  new Int32Array(buffer, countAt, total).set(count);
  new Int32Array(buffer, weightsAt, weights.length).set(fixedPoint(rows));
  const out = new Uint8Array(total * length);
  for (const [from, end] of bands) {
    const begin = first[from]!;
    const source = origin + begin * stride;
    new Int32Array(buffer, firstAt, end - from).set(first.subarray(from, end).map(row => row - begin));
    new Uint8Array(buffer, dataAt).set(data.subarray(source, source + (inputs(from, end) - 1) * stride + length));
    const [bandCountAt, bandWeightsAt] = [countAt + from * 4, weightsAt + from * taps * 4];
    k.vertical(dataAt, stride, length, firstAt, bandCountAt, bandWeightsAt, taps, end - from, outAt);
    out.set(new Uint8Array(buffer, outAt, (end - from) * length), from * length);
  }
  return out;
}
