/** The kernel's memory: bounded by the images that are prepared at the same time, and given out without overlap. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PLAIN_RGB } from '../../../src/defense/defender.js';
import { prepareHaar } from '../../../src/defense/kernel/haar-path.js';
import { Kernel } from '../../../src/defense/kernel/kernel.js';
import { KernelMemory } from '../../../src/defense/kernel/memory.js';
import { preparePlanes } from '../../../src/defense/kernel/planes-path.js';
import { runRandom } from '../../../src/defense/random.js';
import { PAPER_SETTINGS } from '../../../src/defense/settings.js';
import { DeflectorError } from '../../../src/errors.js';
import { texturedImage } from '../../helpers/kernel-settings.js';

/** Linear memory that only counts, with a bound. */
function countingMemory(mostPages = 65_536) {
  let bytes = 65_536;
  return {
    get buffer() {
      return { byteLength: bytes } as ArrayBuffer;
    },
    grow(pages: number) {
      if (bytes / 65_536 + pages > mostPages) throw new RangeError('no more');
      bytes += pages * 65_536;
      return 0;
    },
  };
}

test('blocks in use never overlap, and all that came back is one block again', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -8, max: 100_000 }), { maxLength: 60 }), steps => {
      const memory = new KernelMemory(countingMemory(), 1024);
      const used: { at: number; bytes: number }[] = [];
      for (const step of steps) {
        if (step < 0) {
          const [block] = used.splice(-step % Math.max(1, used.length), 1);
          if (block !== undefined) memory.free(block.at);
          continue;
        }
        const block = { at: memory.allocate(step), bytes: step };
        assert.ok(block.at % 64 === 0 && block.at + step <= memory.buffer.byteLength);
        for (const other of used) {
          assert.ok(block.at + block.bytes <= other.at || other.at + other.bytes <= block.at);
        }
        if (step > 0) used.push(block);
        else memory.free(block.at);
      }
      for (const { at } of used) memory.free(at);
      const before = memory.buffer.byteLength;
      memory.allocate(before - 1024 - 65_536);
      assert.equal(memory.buffer.byteLength, before);
    }),
    // An empty block that was given back once shared its address with the next block.
    { examples: [[[0, 1, 0]]] },
  );
});

test('memory that cannot be had is an error of the image, and later images still find theirs', () => {
  const memory = new KernelMemory(countingMemory(10), 1024);
  const first = memory.allocate(300_000);
  assert.throws(
    () => memory.allocate(500_000),
    (error: unknown) => error instanceof DeflectorError && error.code === 'IMAGE_TOO_MANY_PIXELS',
  );
  const second = memory.allocate(300_000);
  assert.ok(second >= first + 300_000);
});

test('an image beyond 32-bit addresses is an error of the image', async () => {
  const kernel = await Kernel.create();
  const image = { width: 20_000, height: 20_000, data: new Uint8Array(0) };
  for (const prepare of [prepareHaar, preparePlanes]) {
    assert.throws(
      () => prepare(kernel, image, undefined, { ...PAPER_SETTINGS, seed: 'test' }),
      (error: unknown) => error instanceof DeflectorError && error.code === 'IMAGE_TOO_MANY_PIXELS',
    );
  }
});

test('ten thousand images take no more memory than the largest of them twice', async () => {
  const kernel = await Kernel.create();
  const settings = { ...PAPER_SETTINGS, seed: 'test', deflections: 5 };
  const images = [24, 31, 8, 47, 1].map((side, seed) => texturedImage(side, side + 3, 'smooth', seed));
  const out = new Float32Array(47 * 50 * 3);
  let afterHundred = 0;
  for (let i = 0; i < 5000; i++) {
    // Two at a time, of sizes and paths that change.
    const two = [images[i % 5]!, images[(i * 3 + 1) % 5]!].map((image, j) =>
      (i + j) % 7 === 0
        ? preparePlanes(kernel, image, undefined, { ...settings, wavelet: 'db2' })
        : prepareHaar(kernel, image, undefined, { ...settings, sigma: i % 11 === 0 ? null : 0.04 }),
    );
    for (const prepared of two) prepared.run(runRandom('test', '0'.repeat(64), i), out, 0, PLAIN_RGB);
    for (const prepared of i % 2 === 0 ? two : two.toReversed()) prepared.release();
    if (i === 100) afterHundred = kernel.memory.buffer.byteLength;
  }
  assert.equal(kernel.memory.buffer.byteLength, afterHundred);
});
