/** What every Journal does; the tests of each adapter call this. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import type { Existing, Journal } from '../../src/sinks/journal.js';
import type { Line } from '../../src/storage/lines.js';
import { collect } from '../helpers/files.js';
import { withCode } from './object-store.js';

const LONGEST = 1 << 20;

const textsOf = async (lines: AsyncIterable<Line>) => (await collect(lines)).map(({ text }) => text);

/** @param place gives a place for one journal, with nothing in it */
export function journalConformance(
  name: string,
  place: (t: TestContext) => Promise<(existing: Existing) => Promise<Journal>>,
): void {
  describe(`${name} is a journal`, () => {
    const lines = Array.from({ length: 40 }, (_, i) => `line ${i} ä\u{1F600}`);

    it('gives back what it acknowledged, in the order of the calls, also those that did not wait', async t => {
      const open = await place(t);
      const first = await open('refuse');
      await first.append(lines.slice(0, 3));
      await first.append([]);
      await Promise.all(lines.slice(3).map(line => first.append([line])));
      await first.close();
      const second = await open('resume');
      assert.deepEqual(await textsOf(second.resumed(LONGEST)), lines);
      await second.seal();
      assert.deepEqual(await textsOf(second.sealed(LONGEST)), lines);
      await second.close();
    });

    it('goes on any number of times, sealed in between or not, and ends as without a break', async t => {
      const cuts = fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.boolean()), { maxLength: 5 });
      await fc.assert(
        fc.asyncProperty(cuts, async breaks => {
          const open = await place(t);
          let done = 0;
          let existing: Existing = 'refuse';
          for (const [count, sealed] of breaks) {
            const journal = await open(existing);
            existing = 'resume';
            assert.deepEqual(await textsOf(journal.resumed(LONGEST)), lines.slice(0, done));
            for (const line of lines.slice(done, done + count)) await journal.append([line]);
            done = Math.min(done + count, lines.length);
            assert.equal((await collect(journal.resumed(LONGEST))).length <= done, true);
            if (sealed) await journal.seal();
            await journal.close();
          }
          const last = await open(existing);
          await last.append(lines.slice(done));
          await last.seal();
          assert.deepEqual(await textsOf(last.sealed(LONGEST)), lines);
          await last.close();
        }),
        { numRuns: 8 },
      );
    });

    it('is cut behind as many lines as wanted, and goes on there', async t => {
      for (const sealed of [false, true]) {
        for (const keep of [0, 1, 17, 39, 40]) {
          const open = await place(t);
          const first = await open('refuse');
          for (const line of lines) await first.append([line]);
          if (sealed) await first.seal();
          await first.close();
          const second = await open('resume');
          assert.equal(await second.cutBehind(41), false);
          assert.equal(await second.cutBehind(keep), true);
          assert.deepEqual(await textsOf(second.resumed(LONGEST)), lines.slice(0, keep));
          await second.append(['more']);
          await second.close();
          const third = await open('resume');
          assert.deepEqual(await textsOf(third.resumed(LONGEST)), [...lines.slice(0, keep), 'more']);
          await third.seal();
          assert.deepEqual(await textsOf(third.sealed(LONGEST)), [...lines.slice(0, keep), 'more']);
          await third.close();
        }
      }
    });

    it('may be empty, and is there from its first line on', async t => {
      const open = await place(t);
      for (const existing of ['refuse', 'resume', 'refuse'] as const) {
        const journal = await open(existing);
        assert.deepEqual(await textsOf(journal.resumed(LONGEST)), []);
        await journal.seal();
        assert.deepEqual(await textsOf(journal.sealed(LONGEST)), []);
        await journal.close();
      }
      for (const sealed of [false, true]) {
        const journal = await open(sealed ? 'resume' : 'refuse');
        if (sealed) await journal.seal();
        else await journal.append(['line']);
        await journal.close();
        await assert.rejects(open('refuse'), withCode('OUTPUT_EXISTS'));
      }
    });

    it('starts over when told to', async t => {
      for (const sealed of [false, true]) {
        const open = await place(t);
        const first = await open('refuse');
        await first.append(lines);
        if (sealed) await first.seal();
        await first.close();
        const second = await open('overwrite');
        assert.deepEqual(await textsOf(second.resumed(LONGEST)), []);
        await second.append(['new']);
        await second.seal();
        assert.deepEqual(await textsOf(second.sealed(LONGEST)), ['new']);
        await second.close();
      }
    });
  });
}
