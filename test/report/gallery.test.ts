import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import sharp from 'sharp';
import { galleryItem, selectGallery } from '../../src/report/gallery.js';
import type { Verdict } from '../../src/types.js';
import { SUSPICIOUS, testExplanation, testVerdict } from '../helpers/explanations.js';

async function* stream(verdicts: readonly Verdict[]): AsyncGenerator<Verdict> {
  yield* verdicts;
}

const failed: Verdict = {
  schema: 'deflector/verdict@1',
  key: 'failed',
  status: 'error',
  error: { code: 'IMAGE_EMPTY', message: 'The file has no bytes', retryable: false },
  ms: {},
};

describe('the choice of a gallery', () => {
  it('is that of sorting all: suspicious, then least agreement, then first', async () => {
    const verdict = fc.oneof(
      { weight: 1, arbitrary: fc.constant(failed) },
      {
        weight: 6,
        arbitrary: fc
          .record({ suspicious: fc.boolean(), tenths: fc.integer({ min: 1, max: 10 }) })
          .map(({ suspicious, tenths }) => testVerdict('a', { suspicious, agreement: tenths / 10 })),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(verdict, { maxLength: 60 }), fc.integer({ min: 0, max: 12 }), async (all, limit) => {
        const sorted = all
          .map((candidate, position) => ({ position, verdict: candidate }))
          .filter(({ verdict: { status } }) => status === 'ok')
          .sort((a, b) => {
            if (a.verdict.status !== 'ok' || b.verdict.status !== 'ok') return 0;
            if (a.verdict.suspicious !== b.verdict.suspicious) return a.verdict.suspicious ? -1 : 1;
            return a.verdict.agreement - b.verdict.agreement || a.position - b.position;
          });
        assert.deepEqual(await selectGallery(stream(all), limit), sorted.slice(0, limit));
      }),
    );
  });
});

describe('pictures of a gallery', () => {
  it('are WebP files of at most 224 pixels a side, with the proportions of the image', async () => {
    const item = await galleryItem(testExplanation('wide.png', { width: 800, height: 300, verdict: SUSPICIOUS }));
    assert.deepEqual([item.width, item.height], [224, 84]);
    for (const bytes of [item.input, item.map, item.defended]) {
      const { format, width, height } = await sharp(bytes).metadata();
      assert.deepEqual({ format, width, height }, { format: 'webp', width: 224, height: 84 });
      assert.ok(bytes.length < 40_000);
    }
  });

  it('keep an image that is small, and one pixel of one that is thin', async () => {
    const small = await galleryItem(testExplanation('small.png', { width: 20, height: 30 }));
    assert.deepEqual([small.width, small.height], [20, 30]);
    const thin = await galleryItem(testExplanation('thin.png', { width: 5000, height: 1 }));
    assert.deepEqual([thin.width, thin.height], [224, 1]);
  });
});
