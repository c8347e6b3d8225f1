import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { JsonLinesSink } from '../../src/sinks/json-lines-sink.js';
import { ObjectJournal } from '../../src/sinks/object-journal.js';
import type { S3Store } from '../../src/storage/s3-store.js';
import { journalConformance } from '../conformance/journal.js';
import { withCode } from '../conformance/object-store.js';
import { resultSinkConformance } from '../conformance/result-sink.js';
import { collect } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { type S3Server, startS3Server } from '../helpers/s3-server.js';

let server: S3Server;
before(async () => {
  server = await startS3Server();
});
after(() => server.stop());
checkLeaks();

async function bucket(): Promise<S3Store> {
  const { name } = await server.bucket();
  return server.connect().open({ bucket: name, key: 'out/' });
}

const NAME = 'lines.jsonl';

function open(store: S3Store, existing: 'refuse' | 'resume' | 'overwrite' = 'refuse'): Promise<ObjectJournal> {
  return ObjectJournal.open(store, NAME, existing, `s3://test/${NAME}`);
}

async function keys(store: S3Store): Promise<string[]> {
  return (await collect(store.list())).map(({ key }) => key);
}

async function texts(journal: ObjectJournal): Promise<(string | undefined)[]> {
  return (await collect(journal.resumed(1 << 20))).map(({ text }) => text);
}

journalConformance('ObjectJournal', async () => {
  const store = await bucket();
  return existing => open(store, existing);
});

resultSinkConformance('JsonLinesSink in an object store', async () => {
  const store = await bucket();
  const sink = async (existing: 'refuse' | 'resume') => new JsonLinesSink(NAME, await open(store, existing));
  return {
    open: fresh => sink(fresh ? 'refuse' : 'resume'),
    durable: async () => collect((await sink('resume')).resumed()),
  };
});

describe('ObjectJournal', () => {
  it('holds an acknowledged line in the store before it says so', async () => {
    const store = await bucket();
    const journal = await open(store);
    await journal.append(['a', 'b']);
    assert.equal(Buffer.from(await store.read(`${NAME}.parts/000000000000.jsonl`, 100)).toString(), 'a\nb\n');
    await journal.append(['c']);
    assert.deepEqual(await keys(store), [`${NAME}.parts/000000000000.jsonl`, `${NAME}.parts/000000000002.jsonl`]);
  });

  it('leaves nothing but the file when it is sealed', async () => {
    const store = await bucket();
    const journal = await open(store);
    for (const line of ['a', 'b', 'c']) await journal.append([line]);
    await journal.seal();
    assert.deepEqual(await keys(store), [NAME]);
    assert.equal(Buffer.from(await store.read(NAME, 100)).toString(), 'a\nb\nc\n');
  });

  it('joins parts, so that their number stays small, and resumes from what was joined', async () => {
    const store = await bucket();
    const lines = Array.from({ length: 450 }, (_, i) => `${i}`);
    const journal = await open(store);
    for (const line of lines) await journal.append([line]);
    const parts = await keys(store);
    assert.equal(parts.length, 2 + 50, parts.join(' '));
    assert.deepEqual(parts.slice(0, 2), [
      `${NAME}.parts/000000000000-000000000200.jsonl`,
      `${NAME}.parts/000000000200-000000000400.jsonl`,
    ]);
    const again = await open(store, 'resume');
    assert.deepEqual(await texts(again), lines);
    const long = 'x'.repeat(100_000);
    for (let i = 0; i < 3; i++) await again.append([long]);
    assert.ok((await keys(store)).includes(`${NAME}.parts/000000000400-000000000453.jsonl`));
    assert.deepEqual(await texts(again), lines, 'what was there at the opening');
    await again.seal();
    assert.deepEqual(
      (await collect(again.sealed(1 << 20))).map(({ text }) => text),
      [...lines, long, long, long],
    );
  });

  it('of two writers that go on behind the same line one writes on, and the other knows that it lost', async () => {
    const store = await bucket();
    const first = await open(store);
    await first.append(['0']);
    const second = await open(store, 'resume');
    const outcomes = await Promise.allSettled([first.append(['first']), second.append(['second'])]);
    assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    const [winner, loser] = outcomes[0]?.status === 'fulfilled' ? [first, second] : [second, first];
    await winner.append(['more']);
    await assert.rejects(loser.append(['lost']), withCode('OUTPUT_LOCKED'));
    const lines = await texts(await open(store, 'resume'));
    assert.deepEqual(lines, ['0', winner === first ? 'first' : 'second', 'more']);
  });

  it('of two writers that begin at once one writes the first line', async () => {
    const store = await bucket();
    const [one, other] = await Promise.all([open(store), open(store)]);
    const outcomes = await Promise.allSettled([one.append(['one']), other.append(['other'])]);
    assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  });

  it('finds every line once, whatever a crash while joining or sealing left behind', async () => {
    const lines = Array.from({ length: 12 }, (_, i) => `line ${i}`);
    const text = (from: number, to: number) =>
      Buffer.from(
        lines
          .slice(from, to)
          .map(line => `${line}\n`)
          .join(''),
      );
    const pad = (n: number) => String(n).padStart(12, '0');
    const part = (from: number) => [`${NAME}.parts/${pad(from)}.jsonl`, text(from, from + 2)] as const;
    const segment = (from: number, to: number) =>
      [`${NAME}.parts/${pad(from)}-${pad(to)}.jsonl`, text(from, to)] as const;
    const parts = [0, 2, 4, 6, 8, 10].map(part);
    const states = [
      // A segment is there, and none, one or some of its parts are gone.
      [segment(0, 6), ...parts],
      [segment(0, 6), ...parts.slice(1)],
      [segment(0, 6), parts[1]!, ...parts.slice(3)],
      [segment(0, 6), segment(6, 12), ...parts.slice(5)],
      // Two segments begin with the same line: one was cut.
      [segment(0, 4), segment(0, 6), ...parts.slice(3)],
      // The file is sealed, and none or some of its parts are gone.
      [[NAME, text(0, 12)], ...parts],
      [[NAME, text(0, 12)], segment(0, 6), parts[4]!],
      // It had been sealed before, and has grown.
      [[NAME, text(0, 8)], ...parts.slice(4)],
      [[NAME, text(0, 8)], segment(8, 12)],
    ] as const;
    for (const state of states) {
      const store = await bucket();
      for (const [key, bytes] of state) await store.write(key, bytes);
      const journal = await open(store, 'resume');
      assert.deepEqual(await texts(journal), lines, state.map(([key]) => key).join(' '));
      await journal.seal();
      assert.deepEqual(await keys(store), [NAME]);
      assert.equal(Buffer.from(await store.read(NAME, 1000)).toString(), text(0, 12).toString());
    }
  });

  it('composes the same bytes however the lines came', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(sizes, async groups => {
        const store = await bucket();
        const journal = await open(store);
        let count = 0;
        for (const size of groups) {
          await journal.append(Array.from({ length: size }, () => `${'y'.repeat(700)}${count++}`));
        }
        await journal.seal();
        const whole = Array.from({ length: count }, (_, i) => `${'y'.repeat(700)}${i}\n`).join('');
        assert.equal(Buffer.from(await store.read(NAME, 1 << 24)).toString(), whole);
      }),
      { numRuns: 6 },
    );
  });
});
