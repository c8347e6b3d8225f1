/** IEEE 754-2008 binary16, which Node.js 20 has no typed array for: it travels as Uint16Array. */

const word = new Uint32Array(1);
const single = new Float32Array(word.buffer);

/** The value of one half-precision number, exactly. */
export function halfToFloat(half: number): number {
  // Fraction and exponent at their single-precision places, subnormals too, are the value short of 2^112.
  word[0] = (half & 0x7fff) << 13;
  const magnitude = (half & 0x7c00) === 0x7c00 ? nonFinite(half) : single[0]! * 2 ** 112;
  return half & 0x8000 ? -magnitude : magnitude;
}

function nonFinite(half: number): number {
  return (half & 0x3ff) === 0 ? Number.POSITIVE_INFINITY : Number.NaN;
}

/** The half-precision number nearest to a single-precision one, ties to even; overflow gives infinity. */
export function floatToHalf(value: number): number {
  single[0] = value;
  const bits = word[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x7f800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  // Below 2^-14 halves are subnormal: multiples of 2^-24, which adding 0.5 in single precision rounds to.
  if (magnitude < 0x38800000) {
    single[0] = Math.abs(value);
    single[0] = single[0]! + 0.5;
    return sign | (word[0]! - 0x3f000000);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | Math.min(0x7c00, (rounded - 0x38000000) >>> 13);
}

/** Element by element {@link halfToFloat}. */
export function halvesToFloats(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const floats = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) floats[i] = halfToFloat(halves[i]!);
  return floats;
}

/** Element by element {@link floatToHalf}. */
export function floatsToHalves(floats: Float32Array): Uint16Array<ArrayBuffer> {
  const halves = new Uint16Array(floats.length);
  for (let i = 0; i < floats.length; i++) halves[i] = floatToHalf(floats[i]!);
  return halves;
}
