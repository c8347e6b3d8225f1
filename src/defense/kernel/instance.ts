/** The compiled kernel, made live. Sources: assembly/; compiled by scripts/build-kernel.mjs. */
import { KERNEL_BINARY } from './kernel-binary.js';

/** The part of the WebAssembly interface that is used; Node.js has it, its type package does not. */
interface WebAssemblyHost {
  compile(bytes: Uint8Array): Promise<object>;
  Instance: new (module: object) => { readonly exports: unknown };
}

/** Linear memory. Growing it replaces `buffer`; views of the old one are then empty. */
export interface LinearMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** What the kernel exports: see assembly/index.ts. Addresses are bytes in `memory`; flags are 0 or 1. */
export interface KernelExports {
  readonly memory: LinearMemory;
  heapBase(): number;
  listLength(): number;
  philox(to: number, blocks: number, c0: number, c1: number, c2: number, c3: number, k0: number, k1: number): void;
  slotBytes(width: number, height: number, levels: number): number;
  prepareSlot(at: number, width: number, height: number, levels: number): number;
  configureSlot(
    slot: number,
    rule: number,
    hard: number,
    legacy: number,
    needsExtremes: number,
    sigmaY: number,
    sigmaCb: number,
    sigmaCr: number,
    universal: number,
  ): void;
  setStrength(slot: number, strength: number): void;
  useShares(slot: number, at: number): void;
  shiftPixels(from: number, to: number, x: number, y: number): void;
  addShifted(from: number, sum: number, rowLength: number, rows: number, shift: number, y: number): void;
  multiply(at: number, count: number, factor: number): void;
  equipSlot(slot: number, filters: number, magnitudes: number, select: number): void;
  selectBytes(count: number): number;
  sparseLimit(slot: number): number;
  beginSparse(slot: number): void;
  deflectPixels(
    slot: number,
    targets: number,
    sources: number,
    channels: number,
    count: number,
    replace: number,
    window: number,
    sparse: number,
  ): void;
  boundColours(slot: number, targets: number, count: number, sparse: number): void;
  transform(slot: number, format: number, targets: number, count: number, sparse: number): void;
  writePixels(
    slot: number,
    format: number,
    first: number,
    end: number,
    out: number,
    planeBytes: number,
    layout: number,
  ): void;
  endRun(slot: number, targets: number, count: number, sparse: number): void;

  planesBytes(width: number, height: number, levels: number, length: number): number;
  preparePlanes(at: number, width: number, height: number, levels: number, filters: number): number;
  planesSlot(planes: number): number;
  usePlaneShares(planes: number, at: number): void;
  currentPlanes(planes: number): number;
  channelBytes(planes: number): number;
  strideBytes(planes: number): number;
  pixelsToPlanes(planes: number): void;
  keepStart(planes: number): void;
  takeStart(planes: number): void;
  keepOriginal(planes: number): void;
  deflectPlanes(
    planes: number,
    targets: number,
    sources: number,
    channels: number,
    count: number,
    replace: number,
    window: number,
  ): void;
  denoisePlanes(planes: number, isBytes: number, matrix: number): void;
  writePlanes(
    planes: number,
    format: number,
    first: number,
    end: number,
    out: number,
    planeBytes: number,
    layout: number,
  ): void;
}

const host = (globalThis as unknown as { WebAssembly: WebAssemblyHost }).WebAssembly;

let compiled: Promise<object> | undefined;

/** A new instance with a memory of its own; the code is compiled once a thread. */
export async function instantiateKernel(): Promise<KernelExports> {
  compiled ??= host.compile(Buffer.from(KERNEL_BINARY, 'base64'));
  return new host.Instance(await compiled).exports as KernelExports;
}
