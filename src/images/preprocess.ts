/**
 * An image of any size to the size that a model reads, by the model's own rules (`preprocessor_config.json`).
 */
import type { Preprocessing, RgbImage } from '../types.js';
import { type Rectangle, type Resampling, resample, resamplePlanar } from './resample.js';

/** A resampling, and where in the model's input its result stands; what it leaves free is black. */
interface Placement {
  readonly plan: Resampling;
  readonly left: number;
  readonly top: number;
}

function place(width: number, height: number, p: Preprocessing): Placement {
  const all: Rectangle = { left: 0, top: 0, width, height };
  const input: Rectangle = { left: 0, top: 0, width: p.width, height: p.height };
  const interpolation = p.interpolation;
  switch (p.fit) {
    case 'stretch':
      return { plan: { source: all, width: p.width, height: p.height, wanted: input, interpolation }, left: 0, top: 0 };
    case 'crop-then-resize': {
      // The offset rounds up, as in the evaluation code that TensorFlow's image models were published with.
      const side = Math.max(1, Math.floor(p.cropFraction * Math.min(width, height)));
      const source = {
        left: Math.floor((width - side + 1) / 2),
        top: Math.floor((height - side + 1) / 2),
        width: side,
        height: side,
      };
      return { plan: { source, width: p.width, height: p.height, wanted: input, interpolation }, left: 0, top: 0 };
    }
    case 'resize-then-crop': {
      // Longer side and offset round down, as in the image processors of Hugging Face.
      const shorter = Math.min(width, height);
      const scaled = (side: number) => Math.max(1, Math.trunc((p.resizeShortest * side) / shorter));
      const [scaledWidth, scaledHeight] = [scaled(width), scaled(height)];
      const [cropLeft, cropTop] = [Math.floor((scaledWidth - p.width) / 2), Math.floor((scaledHeight - p.height) / 2)];
      const wanted = {
        left: Math.max(0, cropLeft),
        top: Math.max(0, cropTop),
        width: Math.min(p.width, scaledWidth),
        height: Math.min(p.height, scaledHeight),
      };
      return {
        plan: { source: all, width: scaledWidth, height: scaledHeight, wanted, interpolation },
        left: Math.max(0, -cropLeft),
        top: Math.max(0, -cropTop),
      };
    }
  }
}

/**
 * Fits an image to a model's input. Equals the same steps done with Pillow, byte for byte.
 *
 * @returns 8-bit RGB of `p.width` times `p.height`
 */
export function preprocess(image: RgbImage, p: Preprocessing): RgbImage {
  const { plan, left, top } = place(image.width, image.height, p);
  const fitted = resample(image, plan);
  if (fitted.width === p.width && fitted.height === p.height) return fitted;
  const data = new Uint8Array(p.width * p.height * 3);
  for (let row = 0; row < fitted.height; row++) {
    const line = fitted.data.subarray(row * fitted.width * 3, (row + 1) * fitted.width * 3);
    data.set(line, ((top + row) * p.width + left) * 3);
  }
  return { width: p.width, height: p.height, data };
}

/**
 * Fits planes to a model's input, without rounding to 8 bits: for an image that was defended at its own size.
 *
 * @param planes float32 [3, height, width], any range
 * @returns float32 [3, p.height, p.width], same range (a kernel with negative lobes can overshoot it)
 */
export function preprocessPlanar(planes: Float32Array, width: number, height: number, p: Preprocessing): Float32Array {
  const { plan, left, top } = place(width, height, p);
  const fitted = resamplePlanar(planes, 3, width, height, plan);
  const { width: fittedWidth, height: fittedHeight } = plan.wanted;
  if (fittedWidth === p.width && fittedHeight === p.height) return fitted;
  const out = new Float32Array(3 * p.width * p.height);
  for (let row = 0; row < 3 * fittedHeight; row++) {
    const channel = Math.trunc(row / fittedHeight);
    const line = channel * p.height + top + (row % fittedHeight);
    out.set(fitted.subarray(row * fittedWidth, (row + 1) * fittedWidth), line * p.width + left);
  }
  return out;
}

/**
 * The part of an image that the model sees, in whole pixels of the image.
 *
 * @returns a rectangle inside the image, at least 1 by 1
 */
export function inputRegion(width: number, height: number, p: Preprocessing): Rectangle {
  const { plan } = place(width, height, p);
  const { source, wanted } = plan;
  const [left, shown] = axisRegion(source.left, source.width, plan.width, wanted.left, wanted.width);
  const [top, seen] = axisRegion(source.top, source.height, plan.height, wanted.top, wanted.height);
  return { left, top, width: shown, height: seen };
}

/** One axis: from `length` of the `scaled` samples that `size` source pixels become, beginning at `start`, to source pixels. */
function axisRegion(origin: number, size: number, scaled: number, start: number, length: number): [number, number] {
  const first = Math.min(Math.floor((start * size) / scaled), size - 1);
  const last = Math.min(Math.ceil(((start + length) * size) / scaled), size);
  return [origin + first, Math.max(last - first, 1)];
}
