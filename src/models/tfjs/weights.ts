/** The weights of a TensorFlow.js model, as its manifest lays them out in the bytes of its shards. */
import { z } from 'zod';
import { DeflectorError } from '../../errors.js';
import { halvesToFloats } from '../onnx/half.js';

/** Bytes of one element. Strings have no fixed size; no network that sees images holds any. */
const ELEMENT_BYTES: Readonly<Record<string, number>> = {
  ...{ float32: 4, int32: 4, bool: 1, complex64: 8 },
  ...{ uint8: 1, uint16: 2, float16: 2 },
};

export const weightSchema = z.object({
  name: z.string(),
  shape: z.array(z.number().int().min(0)),
  dtype: z.string(),
  quantization: z
    .object({ dtype: z.string(), scale: z.number().optional(), min: z.number().optional() })
    .loose()
    .optional(),
});

/** One weight of the manifest. */
export type WeightSpec = z.infer<typeof weightSchema>;

/** A weight as float32. */
export interface Weight {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** All weights of a model, read one by one when they are asked for. */
export class Weights {
  readonly specs: readonly WeightSpec[];
  readonly bytes: Uint8Array;
  readonly #places = new Map<string, { readonly spec: WeightSpec; readonly start: number }>();

  /** @throws DeflectorError MODEL_INVALID where the bytes are not those that the manifest describes */
  constructor(specs: readonly WeightSpec[], bytes: Uint8Array) {
    this.specs = specs;
    // Not a Buffer: its `slice` is no copy.
    this.bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let start = 0;
    for (const spec of specs) {
      this.#places.set(spec.name, { spec, start });
      start += sizeOf(spec);
    }
    if (start !== bytes.length) {
      throw new DeflectorError(
        'MODEL_INVALID',
        `model.json describes ${start} bytes of weights; there are ${bytes.length}`,
      );
    }
  }

  has(name: string): boolean {
    return this.#places.has(name);
  }

  /** The names that a test accepts. */
  namesWhere(test: (name: string) => boolean): string[] {
    return [...this.#places.keys()].filter(test);
  }

  /** A weight of numbers as float32, with its quantisation undone; `undefined` where there is none of that name. */
  read(name: string): Weight | undefined {
    const place = this.#places.get(name);
    if (place === undefined) return undefined;
    const { spec, start } = place;
    // Copied: a typed array must begin at a multiple of its element size.
    const buffer = this.bytes.slice(start, start + sizeOf(spec)).buffer;
    return { dims: spec.shape, data: decode(buffer, spec) };
  }
}

function sizeOf({ name, shape, dtype, quantization }: WeightSpec): number {
  const bytes = ELEMENT_BYTES[quantization?.dtype ?? dtype];
  if (bytes === undefined) {
    throw new DeflectorError('MODEL_UNSUPPORTED', `The weight ${JSON.stringify(name)} holds ${dtype} values`);
  }
  return shape.reduce((product, dim) => product * dim, bytes);
}

function decode(buffer: ArrayBuffer, { dtype, quantization }: WeightSpec): Float32Array {
  if (quantization === undefined) {
    if (dtype === 'int32') return Float32Array.from(new Int32Array(buffer));
    return dtype === 'float32' ? new Float32Array(buffer) : Float32Array.from(new Uint8Array(buffer));
  }
  if (quantization.dtype === 'float16') return halvesToFloats(new Uint16Array(buffer));
  const { scale = 1, min = 0 } = quantization;
  const codes = quantization.dtype === 'uint16' ? new Uint16Array(buffer) : new Uint8Array(buffer);
  return Float32Array.from(codes, code => code * scale + min);
}
