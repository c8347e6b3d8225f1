import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ERROR_CATALOGUE, type ErrorCode } from '../../src/errors.js';
import { formatParquet } from '../../src/sinks/parquet-writer.js';
import { formatVerdict, parseVerdict } from '../../src/sinks/verdict-json.js';
import type { Verdict } from '../../src/types.js';
import { collect } from '../helpers/files.js';
import { describeParquet, readParquet } from '../helpers/parquet.js';
import { errorVerdict, okVerdict } from '../helpers/verdicts.js';

async function parquet(verdicts: AsyncIterable<Verdict> | Iterable<Verdict>): Promise<Buffer> {
  return Buffer.concat(await collect(formatParquet(verdicts)));
}

const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const share = fc.double({ min: 0, max: 1, noNaN: true });
const count = fc.integer({ min: 1, max: 1000 });
const label = fc.record({ index: fc.integer({ min: 0, max: 2 ** 31 - 1 }), id: text, name: text });
const sha256 = fc.stringMatching(/^[0-9a-f]{64}$/);
const ms = fc.dictionary(text, fc.double({ min: 0, max: 1e6, noNaN: true }), { maxKeys: 4, noNullPrototype: true });

const anyVerdict: fc.Arbitrary<Verdict> = fc.oneof(
  fc
    .record({
      key: text,
      sha256,
      label,
      votes: fc.array(fc.record({ index: fc.integer({ min: 0, max: 999 }), count }), { minLength: 1, maxLength: 5 }),
      runs: count,
      runsExecuted: count,
      agreement: share,
      probability: share,
      undefended: fc.record({ index: fc.integer({ min: 0, max: 999 }), id: text, name: text, probability: share }),
      suspicious: fc.boolean(),
      seed: text,
      model: fc.record({ name: text, sha256 }),
      defence: fc.dictionary(text, fc.oneof(text, fc.integer(), fc.constant(null)), { noNullPrototype: true }),
      ms,
    })
    .map(fields => okVerdict(fields.key, fields)),
  fc
    .record({
      key: text,
      sha256,
      error: fc.record({
        code: fc.constantFrom(...(Object.keys(ERROR_CATALOGUE) as ErrorCode[])),
        message: text,
        retryable: fc.boolean(),
      }),
      ms,
    })
    .map(fields => errorVerdict(fields.key, fields)),
);

describe('formatParquet', () => {
  it('keeps all that JSON keeps of any verdicts', () =>
    fc.assert(
      fc.asyncProperty(fc.array(anyVerdict, { maxLength: 20 }), async verdicts => {
        const asJson = verdicts.map(verdict => parseVerdict(formatVerdict(verdict), 'it'));
        assert.deepEqual(await readParquet(await parquet(verdicts)), asJson);
      }),
      { numRuns: 40 },
    ));

  it('gives equal bytes for equal verdicts', async () => {
    const verdicts = [okVerdict('a'), errorVerdict('b')];
    assert.deepEqual(await parquet(verdicts), await parquet(structuredClone(verdicts)));
  });

  it('makes a valid file of no verdicts', async () => {
    const file = await parquet([]);
    assert.deepEqual(await readParquet(file), []);
    assert.deepEqual(describeParquet(file).metadata, { schema: 'deflector/verdict-rows@1' });
  });

  it('leaves out the digest of bytes that could not be read', async () => {
    const { sha256: _, ...unread } = errorVerdict('gone.jpg');
    assert.deepEqual(await readParquet(await parquet([unread])), [unread]);
  });

  it('holds one group of rows at a time, whatever their number', async () => {
    let given = 0;
    async function* many(): AsyncGenerator<Verdict> {
      for (; given < 25_000; given++) yield okVerdict(`${given}.jpg`);
    }
    const pieces: Uint8Array[] = [];
    const seen: number[] = [];
    for await (const piece of formatParquet(many())) {
      pieces.push(piece);
      seen.push(given);
    }
    const file = Buffer.concat(pieces);
    assert.deepEqual(describeParquet(file).groups, [10_000, 10_000, 5000]);
    assert.deepEqual(seen, [9999, 19_999, 25_000]);
    const keys = (await readParquet(file)).map(({ key }) => key);
    assert.deepEqual([keys.length, keys[0], keys[24_999]], [25_000, '0.jpg', '24999.jpg']);
  });
});
