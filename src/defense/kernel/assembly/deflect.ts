/**
 * Deflections on 8-bit pixels: which pixel replaces which was drawn by the host, in lists.
 */
import { loadPixel } from './colour';
import { Slot, VECTOR } from './slot';
import { touchPixel } from './haar-sparse';

/** What replaces a pixel: one other pixel, or the least or greatest value of each channel in a window. */
@inline const RANDOM: i32 = 0;
@inline const LEAST: i32 = 1;

/** Least or greatest value of one channel over the window around (x, y) that lies in the image from `lowest` on. */
function windowValue(
  slot: Slot, image: usize, x: i32, y: i32, channel: i32, window: i32, lowest: i32, least: bool,
): u32 {
  const firstRow = max(lowest, y - window);
  const lastRow = min(slot.height - 1, y + window);
  const firstColumn = max(lowest, x - window);
  const columns = min(slot.width - 1, x + window) - firstColumn + 1;
  let found: u32 = least ? 255 : 0;
  if (columns < 16) {
    for (let row = firstRow; row <= lastRow; row++) {
      const at = image + <usize>row * slot.imageStride + <usize>firstColumn * 3 + channel;
      for (let column = 0; column < columns; column++) {
        const value = <u32>load<u8>(at + <usize>column * 3);
        found = least ? min(found, value) : max(found, value);
      }
    }
    return found;
  }
  // Three vectors are sixteen whole pixels, so a channel keeps its lanes; the last sixteen overlap those before.
  let a0 = i8x16.splat(<i8>found);
  let a1 = a0;
  let a2 = a0;
  const last = columns - 16;
  for (let row = firstRow; row <= lastRow; row++) {
    const start = image + <usize>row * slot.imageStride + <usize>firstColumn * 3;
    let column = 0;
    while (true) {
      const at = start + <usize>column * 3;
      const v0 = v128.load(at);
      const v1 = v128.load(at, 16);
      const v2 = v128.load(at, 32);
      a0 = least ? i8x16.min_u(a0, v0) : i8x16.max_u(a0, v0);
      a1 = least ? i8x16.min_u(a1, v1) : i8x16.max_u(a1, v1);
      a2 = least ? i8x16.min_u(a2, v2) : i8x16.max_u(a2, v2);
      if (column == last) break;
      column = min(column + 16, last);
    }
  }
  v128.store(slot.pixelRows, a0);
  v128.store(slot.pixelRows, a1, 16);
  v128.store(slot.pixelRows, a2, 32);
  for (let i = channel; i < 48; i += 3) {
    const value = <u32>load<u8>(slot.pixelRows + i);
    found = least ? min(found, value) : max(found, value);
  }
  return found;
}

/**
 * Applies deflections to the run's image.
 *
 * @param targets pixels, row * width + column, 32-bit
 * @param sources the same, read where `replace` is 0
 * @param channels the one channel that is written, 8-bit, or 0 where whole pixels are: then reads come from the original
 *   image, else from the image being changed
 * @param replace 0 one pixel, 1 least value, 2 greatest value of a window
 * @param touches whether the transform is updated from what is touched
 */
export function deflect(
  slot: Slot, targets: usize, sources: usize, channels: usize, count: i32, replace: i32, window: i32, touches: bool,
): void {
  const width = <u32>slot.width;
  const from = channels ? slot.deflected : slot.image;
  const lowest = channels ? 1 : 0;
  const repeatsRight = (slot.width & 1) != 0;
  for (let i = 0; i < count; i++) {
    const target = load<u32>(targets + (<usize>i << 2));
    const y = <i32>(target / width);
    const x = <i32>(target - <u32>y * width);
    const at = slot.deflected + <usize>y * slot.imageStride + <usize>x * 3;
    const before = loadPixel(at);
    const firstChannel = channels ? <i32>load<u8>(channels + i) : 0;
    const lastChannel = channels ? firstChannel : 2;
    if (replace == RANDOM) {
      const source = load<u32>(sources + (<usize>i << 2));
      const sourceY = source / width;
      const sourceAt = from + <usize>sourceY * slot.imageStride + <usize>(source - sourceY * width) * 3;
      for (let c = firstChannel; c <= lastChannel; c++) store<u8>(at + c, load<u8>(sourceAt + c));
    } else {
      for (let c = firstChannel; c <= lastChannel; c++) {
        store<u8>(at + c, windowValue(slot, from, x, y, c, window, lowest, replace == LEAST));
      }
    }
    if (repeatsRight && x == slot.width - 1) copyPixel(at + 3, at);
    if (touches) touchPixel(slot, x, y, i32x4.sub(loadPixel(at), before));
  }
}

@inline export function copyPixel(to: usize, from: usize): void {
  store<u16>(to, load<u16>(from));
  store<u8>(to, load<u8>(from, 2), 2);
}

/** Takes the deflected pixels back. */
export function restorePixels(slot: Slot, targets: usize, count: i32): void {
  const width = <u32>slot.width;
  const repeatsRight = (slot.width & 1) != 0;
  for (let i = 0; i < count; i++) {
    const target = load<u32>(targets + (<usize>i << 2));
    const y = target / width;
    const x = target - y * width;
    const offset = <usize>y * slot.imageStride + <usize>x * 3;
    copyPixel(slot.deflected + offset, slot.image + offset);
    if (repeatsRight && x == width - 1) copyPixel(slot.deflected + offset + 3, slot.image + offset + 3);
  }
}

/** Moves the pixels from where they arrived to the two images, with the rows filled up. */
export function takePixels(slot: Slot): void {
  const rowBytes = <usize>slot.width * 3;
  const imageBytes = slot.imageStride * <usize>slot.height;
  if (slot.arrival != slot.image) {
    for (let y = 0; y < slot.height; y++) {
      const row = slot.image + <usize>y * slot.imageStride;
      memory.copy(row, slot.arrival + <usize>y * rowBytes, rowBytes);
      memory.fill(row + rowBytes, 0, slot.imageStride - rowBytes);
      if (slot.width & 1) copyPixel(row + rowBytes, row + rowBytes - 3);
    }
  }
  v128.store(slot.image + imageBytes, i32x4.splat(0));
  memory.copy(slot.deflected, slot.image, imageBytes + VECTOR);
}
