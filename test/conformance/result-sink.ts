/** What every ResultSink does; the tests of each adapter call this. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { ResultSink, Verdict, VerdictOrigin } from '../../src/types.js';
import { errorVerdict, okVerdict } from '../helpers/verdicts.js';

/** A sink that can be opened again and looked into. */
export interface SinkUnderTest {
  /** Opens the sink: `fresh` for the first time, otherwise to go on where it was left. */
  open(fresh: boolean): Promise<ResultSink>;
  /** The verdicts that are durable now. */
  durable(): Promise<Verdict[]>;
  /** The ids of what was delivered, in order, also of what came again; left out where one writer keeps to one file. */
  delivered?(): Promise<string[]>;
}

const origin = (chunk: number): VerdictOrigin => ({ job: 'job', id: '00c0ffee', chunk });

/** @param make a place for one sink, with nothing in it */
export function resultSinkConformance(name: string, make: (t: TestContext) => Promise<SinkUnderTest>): void {
  describe(`${name} is a result sink`, () => {
    const verdicts = Array.from({ length: 30 }, (_, i) =>
      i % 7 === 3 ? errorVerdict(`${i}.jpg`) : okVerdict(`${i}.jpg`),
    );

    it('holds what it acknowledged, before it is closed', async t => {
      const place = await make(t);
      const sink = await place.open(true);
      await sink.write(verdicts.slice(0, 4), origin(0));
      assert.deepEqual(await place.durable(), verdicts.slice(0, 4));
      await sink.close();
      assert.deepEqual(await place.durable(), verdicts.slice(0, 4));
    });

    it('keeps the order of the calls, also when they do not wait for each other', async t => {
      const place = await make(t);
      const sink = await place.open(true);
      await Promise.all(verdicts.map((verdict, chunk) => sink.write([verdict], origin(chunk))));
      assert.deepEqual(await place.durable(), verdicts);
      await sink.close();
    });

    it('finishes on close what was handed over', async t => {
      const place = await make(t);
      const sink = await place.open(true);
      const writing = sink.write(verdicts, origin(0));
      await sink.close();
      await writing;
      assert.deepEqual(await place.durable(), verdicts);
    });

    it('takes no verdicts, too', async t => {
      const place = await make(t);
      const sink = await place.open(true);
      await sink.write([], origin(0));
      await sink.close();
      assert.deepEqual(await place.durable(), []);
    });

    it('holds the verdicts of all chunks of all jobs that write to it', async t => {
      const place = await make(t);
      if (place.delivered === undefined) return;
      const sink = await place.open(true);
      await sink.write(verdicts.slice(0, 3), origin(0));
      await sink.write(verdicts.slice(3, 6), { ...origin(0), job: 'other' });
      await sink.write(verdicts.slice(6, 9), { ...origin(0), id: 'deadbeef' });
      await sink.close();
      const keys = (await place.durable()).map(({ key }) => key);
      assert.deepEqual(
        keys.sort(),
        verdicts.slice(0, 9).map(({ key }) => key),
      );
      assert.equal(new Set(await place.delivered()).size, 9);
    });

    it('gives verdicts that are delivered again the same ids', async t => {
      const place = await make(t);
      if (place.delivered === undefined) return;
      const sink = await place.open(true);
      await sink.write(verdicts.slice(0, 5), origin(7));
      const first = await place.delivered();
      await sink.write(verdicts.slice(0, 5), origin(7));
      await sink.close();
      assert.equal(first.length, 5);
      assert.deepEqual(new Set(await place.delivered()), new Set(first));
    });

    it('goes on behind what it held', async t => {
      const place = await make(t);
      const first = await place.open(true);
      await first.write(verdicts.slice(0, 10), origin(0));
      await first.close();
      const second = await place.open(false);
      await second.write(verdicts.slice(10), origin(1));
      await second.close();
      assert.deepEqual(await place.durable(), verdicts);
    });
  });
}
