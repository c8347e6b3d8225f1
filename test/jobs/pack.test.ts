import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DeflectorError } from '../../src/errors.js';
import { formatPack, readPack } from '../../src/jobs/pack.js';
import type { FailedImage, FetchedImage, JobItem } from '../../src/types.js';
import { checkLeaks } from '../helpers/leaks.js';

checkLeaks();

type Image = FetchedImage | FailedImage;

const LIMITS = { maxPixels: 1_000_000 };
const DIGEST = 'ab'.repeat(32);
const MS = { fetch: 1.5, decode: 2 };

/** Pixels of noise do not compress, those of one colour do. */
function image(index: number, key: string, side: number, flat: boolean): FetchedImage {
  const data = Uint8Array.from({ length: 3 * side * side }, (_, i) => (flat ? 7 : (i * i * 2_654_435_761) >>> 11));
  return { index, key, sha256: DIGEST, pixels: { width: side, height: side, data }, ms: MS };
}

const images: fc.Arbitrary<Image[]> = fc
  .array(
    fc.record({
      key: fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }),
      side: fc.integer({ min: 1, max: 90 }),
      kind: fc.constantFrom('noise', 'flat', 'unread', 'broken'),
    }),
    { minLength: 1, maxLength: 6 },
  )
  .map(all =>
    all.map(({ key, side, kind }, index) => {
      const error = { code: 'IMAGE_CORRUPT', message: key, retryable: false } as const;
      if (kind === 'unread') return { index, key, error, ms: MS };
      if (kind === 'broken') return { index, key, sha256: DIGEST, error, ms: MS };
      return image(index, key, side, kind === 'flat');
    }),
  );

const itemsOf = (all: readonly Image[]): JobItem[] => all.map(({ index, key }) => ({ index, key, store: 0 }));

async function* each<T>(values: Iterable<T>): AsyncGenerator<T> {
  yield* values;
}

async function packed(all: readonly Image[]): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of formatPack(each(all))) pieces.push(piece);
  return Buffer.concat(pieces);
}

function* cut(bytes: Buffer, length: number): Generator<Buffer> {
  for (let start = 0; start < bytes.length; start += length) yield bytes.subarray(start, start + length);
}

async function unpacked(bytes: Buffer, items: readonly JobItem[], length = 1000, limits = LIMITS): Promise<Image[]> {
  const all: Image[] = [];
  for await (const one of readPack(each(cut(bytes, length)), items, limits)) all.push(one);
  return all;
}

function plain(all: readonly Image[]): unknown {
  return all.map(one => ('pixels' in one ? { ...one, pixels: { ...one.pixels, data: [...one.pixels.data] } } : one));
}

const isInvalid = (error: unknown) => error instanceof DeflectorError && error.code === 'PACK_INVALID';

describe('a pack', () => {
  it('gives back the images and the errors that went into it, however it is cut into pieces', async () => {
    await fc.assert(
      fc.asyncProperty(images, fc.integer({ min: 1, max: 70_000 }), async (all, length) => {
        const back = await unpacked(await packed(all), itemsOf(all), length);
        assert.deepEqual(plain(back), plain(all));
        // A view of more than itself would travel to a thread with all that it is a view of.
        for (const one of back)
          if ('pixels' in one) assert.equal(one.pixels.data.buffer.byteLength, one.pixels.data.length);
      }),
      { numRuns: 60 },
    );
  });

  it('is refused when any of its bytes is another one, is missing or is too many', async () => {
    await fc.assert(
      fc.asyncProperty(images, fc.nat(), fc.integer({ min: 1, max: 255 }), fc.nat(2), async (all, at, change, how) => {
        const bytes = await packed(all);
        const place = at % bytes.length;
        const damaged =
          how === 0
            ? Buffer.from(bytes.map((byte, n) => (n === place ? byte ^ change : byte)))
            : how === 1
              ? bytes.subarray(0, place)
              : Buffer.concat([bytes.subarray(0, place), Buffer.of(change), bytes.subarray(place)]);
        if (damaged.equals(bytes)) return;
        await assert.rejects(unpacked(damaged, itemsOf(all)), isInvalid);
      }),
      { numRuns: 200 },
    );
  });

  it('is refused where it holds other images than the chunk, fewer or more', async () => {
    const all = [image(4, 'a.png', 3, false), image(5, 'b.png', 3, true)];
    const bytes = await packed(all);
    const [a, b] = itemsOf(all) as [JobItem, JobItem];
    for (const items of [
      [b, a],
      [a],
      [a, b, { ...b, index: 6 }],
      [a, { ...b, key: 'c.png' }],
      [a, { ...b, index: 6 }],
    ]) {
      await assert.rejects(unpacked(bytes, items), isInvalid);
    }
  });

  it('holds no image beyond the limit on pixels, compressed or not', async () => {
    for (const flat of [false, true]) {
      const all = [image(0, 'a.png', 100, flat)];
      const bytes = await packed(all);
      await unpacked(bytes, itemsOf(all), 1000, { maxPixels: 10_000 });
      await assert.rejects(unpacked(bytes, itemsOf(all), 1000, { maxPixels: 9999 }), isInvalid);
    }
  });

  it('is small where pixels repeat, and hardly larger than the pixels where they do not', async () => {
    assert.ok((await packed([image(0, 'a', 224, true)])).length < 2000);
    assert.ok((await packed([image(0, 'a', 224, false)])).length < 224 * 224 * 3 + 400);
  });
});
