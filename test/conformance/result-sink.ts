/** What every ResultSink does; the tests of each adapter call this. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { ResultSink, Verdict } from '../../src/types.js';
import { errorVerdict, okVerdict } from '../helpers/verdicts.js';

/** A sink that can be opened again and looked into. */
export interface SinkUnderTest {
  /** Opens the sink: `fresh` for the first time, otherwise to go on where it was left. */
  open(fresh: boolean): Promise<ResultSink>;
  /** The verdicts that are durable now. */
  durable(): Promise<Verdict[]>;
}

/** @param make a place for one sink, with nothing in it */
export function resultSinkConformance(name: string, make: (t: TestContext) => Promise<SinkUnderTest>): void {
  describe(`${name} is a result sink`, () => {
    const verdicts = Array.from({ length: 30 }, (_, i) =>
      i % 7 === 3 ? errorVerdict(`${i}.jpg`) : okVerdict(`${i}.jpg`),
    );

    it('holds what it acknowledged, before it is closed', async t => {
      const place = await make(t);
      const sink = await place.open(true);
      await sink.write(verdicts.slice(0, 4));
      assert.deepEqual(await place.durable(), verdicts.slice(0, 4));
      await sink.close();
      assert.deepEqual(await place.durable(), verdicts.slice(0, 4));
    });

    it('keeps the order of the calls, also when they do not wait for each other', async t => {
      const place = await make(t);
      const sink = await place.open(true);
      await Promise.all(verdicts.map(verdict => sink.write([verdict])));
      assert.deepEqual(await place.durable(), verdicts);
      await sink.close();
    });

    it('finishes on close what was handed over', async t => {
      const place = await make(t);
      const sink = await place.open(true);
      const writing = sink.write(verdicts);
      await sink.close();
      await writing;
      assert.deepEqual(await place.durable(), verdicts);
    });

    it('takes no verdicts, too', async t => {
      const place = await make(t);
      const sink = await place.open(true);
      await sink.write([]);
      await sink.close();
      assert.deepEqual(await place.durable(), []);
    });

    it('goes on behind what it held', async t => {
      const place = await make(t);
      const first = await place.open(true);
      await first.write(verdicts.slice(0, 10));
      await first.close();
      const second = await place.open(false);
      await second.write(verdicts.slice(10));
      await second.close();
      assert.deepEqual(await place.durable(), verdicts);
    });
  });
}
