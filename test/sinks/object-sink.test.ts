import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { ObjectSink } from '../../src/sinks/object-sink.js';
import { parseVerdict } from '../../src/sinks/verdict-json.js';
import { FileSystemStore } from '../../src/storage/filesystem-store.js';
import type { Verdict } from '../../src/types.js';
import { resultSinkConformance, type SinkUnderTest } from '../conformance/result-sink.js';
import { collect, temporaryFolder } from '../helpers/files.js';
import { readParquet } from '../helpers/parquet.js';
import { okVerdict } from '../helpers/verdicts.js';

const READERS = {
  jsonl: async (bytes: Uint8Array): Promise<Verdict[]> =>
    Buffer.from(bytes)
      .toString()
      .split('\n')
      .slice(0, -1)
      .map(line => parseVerdict(line, 'line')),
  parquet: readParquet,
} as const;

for (const format of ['jsonl', 'parquet'] as const) {
  const make = async (t: TestContext): Promise<SinkUnderTest> => {
    const store = new FileSystemStore(await temporaryFolder(t));
    const objects = async () => {
      const all: { key: string; verdicts: Verdict[] }[] = [];
      for (const { key } of await collect(store.list())) {
        all.push({ key, verdicts: await READERS[format](await store.read(key, 2 ** 20)) });
      }
      return all;
    };
    return {
      open: async () => new ObjectSink(store, format),
      durable: async () => (await objects()).flatMap(({ verdicts }) => verdicts),
      // A verdict is named by its object and its place there.
      delivered: async () => (await objects()).flatMap(({ key, verdicts }) => verdicts.map((_, i) => `${key}:${i}`)),
    };
  };
  resultSinkConformance(`ObjectSink (${format})`, make);
}

describe('ObjectSink', () => {
  it('names objects by job and chunk, and replaces what it wrote before', async t => {
    const store = new FileSystemStore(await temporaryFolder(t));
    const sink = new ObjectSink(store, 'jsonl');
    const origin = { job: 'photos', id: '00c0ffee', chunk: 12 };
    await sink.write([okVerdict('a.jpg')], origin);
    await sink.write([okVerdict('a.jpg')], origin);
    await sink.close();
    const keys = (await collect(store.list())).map(({ key }) => key);
    assert.deepEqual(keys, ['photos.00c0ffee/00000012.jsonl']);
  });
});
