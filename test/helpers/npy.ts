import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';

/** An array of a .npy file, in C order. */
export interface NpyArray {
  readonly dtype: 'uint8' | 'int32' | 'float32' | 'float64';
  readonly shape: readonly number[];
  readonly data: Uint8Array | Int32Array | Float32Array | Float64Array;
}

/** Reads .npy version 1.0, little endian, C order (NumPy enhancement proposal 1). */
export function readNpy(path: string): NpyArray {
  if (endianness() !== 'LE') throw new Error('the reader of .npy files assumes a little-endian machine');
  const bytes = readFileSync(path);
  if (bytes.toString('latin1', 0, 8) !== '\x93NUMPY\x01\x00') throw new Error(`${path}: not .npy version 1.0`);
  const start = 10 + bytes.readUInt16LE(8);
  const header = bytes.toString('latin1', 10, start);
  const descr = /'descr': '([^']+)'/.exec(header)?.[1];
  if (!header.includes("'fortran_order': False")) throw new Error(`${path}: not in C order`);
  const shape = (/'shape': \(([^)]*)\)/.exec(header)?.[1] ?? '').split(',').filter(s => s.trim() !== '');
  const body = bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + bytes.length);
  const array = { shape: shape.map(Number) };
  if (descr === '|u1') return { ...array, dtype: 'uint8', data: new Uint8Array(body) };
  if (descr === '<i4') return { ...array, dtype: 'int32', data: new Int32Array(body) };
  if (descr === '<f4') return { ...array, dtype: 'float32', data: new Float32Array(body) };
  if (descr === '<f8') return { ...array, dtype: 'float64', data: new Float64Array(body) };
  throw new Error(`${path}: dtype ${descr}`);
}
