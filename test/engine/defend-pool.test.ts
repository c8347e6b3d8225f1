import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { PAPER_SETTINGS } from '../../src/defense/settings.js';
import { DefendPool } from '../../src/engine/defend-pool.js';
import { type EngineSpec, openEngine } from '../../src/engine/engine.js';
import type { FetchedImage, Verdict } from '../../src/types.js';
import { temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { killThreads } from '../helpers/threads.js';
import { writeTinyModel } from '../helpers/tiny-model.js';

checkLeaks();

async function tinySpec(t: TestContext): Promise<EngineSpec> {
  return {
    model: await writeTinyModel(join(await temporaryFolder(t), 'tiny')),
    localizer: null,
    runtime: 'auto',
    device: 0,
    settings: { ...PAPER_SETTINGS, seed: '1', deflections: 30 },
    record: {},
    graph: 'off',
    maximumBatch: 8,
    threads: 1,
  };
}

function image(index: number): FetchedImage {
  const key = `${index}.png`;
  const sha256 = createHash('sha256').update(key).digest('hex');
  const data = Uint8Array.from({ length: 3 * 8 * 8 }, (_, i) =>
    Number.parseInt(sha256.slice(i % 60, (i % 60) + 2), 16),
  );
  return { index, key, sha256, pixels: { width: 8, height: 8, data }, ms: { fetch: 0, decode: 0 } };
}

/** A verdict without its durations. */
function timeless(verdict: Verdict): Omit<Verdict, 'ms'> {
  const { ms: _, ...rest } = verdict;
  return rest;
}

async function verdictsOf(pool: DefendPool, images: readonly FetchedImage[]) {
  const outcomes = await Promise.all(images.map(one => pool.defend(one)));
  return outcomes.map(({ verdict }) => timeless(verdict));
}

/** What an engine in this thread says of the images. */
async function expectedOf(spec: EngineSpec, images: readonly FetchedImage[]) {
  const engine = await openEngine(spec);
  const outcomes = await Promise.all(images.map(one => engine.defend(one)));
  await engine.close();
  return outcomes.map(({ verdict }) => timeless(verdict));
}

describe('a pool of worker threads', () => {
  it('says of images what one engine says of them, with any number of threads', async t => {
    const spec = await tinySpec(t);
    const images = Array.from({ length: 20 }, (_, i) => image(i));
    const expected = await expectedOf(spec, images);
    for (const threads of [1, 3]) {
      const pool = await DefendPool.start(spec, threads);
      assert.deepEqual(await verdictsOf(pool, images), expected);
      await pool.close();
    }
  });

  it('finishes what is in hand when it is closed, then takes nothing', async t => {
    const pool = await DefendPool.start(await tinySpec(t), 2);
    const inHand = Promise.all(Array.from({ length: 10 }, (_, i) => pool.defend(image(i))));
    await pool.close();
    assert.ok((await inHand).every(({ verdict }) => verdict.status === 'ok'));
    await assert.rejects(pool.defend(image(0)), { code: 'INTERNAL' });
    await pool.close();
  });

  it('does not start with a model that does not', async t => {
    const spec = await tinySpec(t);
    await assert.rejects(DefendPool.start({ ...spec, model: 'no-such-model' }, 2), { code: 'MODEL_NOT_FOUND' });
  });

  it('replaces a thread that dies, and gives up no image that did not kill it', async t => {
    const spec = await tinySpec(t);
    const images = Array.from({ length: 16 }, (_, i) => image(i));
    const expected = await expectedOf(spec, images);
    let deaths = 0;
    const counts = killThreads(t, key => key === '5.png' && deaths++ === 0);
    const pool = await DefendPool.start(spec, 2);
    assert.deepEqual(await verdictsOf(pool, images), expected);
    await pool.close();
    assert.deepEqual(counts, { started: 3, killed: 1 });
  });

  for (const threads of [1, 3]) {
    it(`gives up an image that kills a thread which it had for itself (of ${threads})`, async t => {
      const spec = await tinySpec(t);
      const images = Array.from({ length: 16 }, (_, i) => image(i));
      const expected = await expectedOf(spec, images);
      const deadly = ['5.png', '6.png'];
      const counts = killThreads(t, key => deadly.includes(key));
      const pool = await DefendPool.start(spec, threads);
      const verdicts = await verdictsOf(pool, images);
      for (const [i, verdict] of verdicts.entries()) {
        if (!deadly.includes(verdict.key)) assert.deepEqual(verdict, expected[i]);
        else {
          assert.deepEqual(verdict, {
            schema: 'deflector/verdict@1',
            key: verdict.key,
            sha256: images[i]!.sha256,
            status: 'error',
            error: {
              code: 'WORKER_LOST',
              message:
                "The worker thread died twice with this image in hand: Cannot read properties of null (reading 'type')",
              retryable: true,
            },
          });
        }
      }
      assert.ok(counts.killed >= 3);
      assert.deepEqual(await verdictsOf(pool, [images[0]!]), [expected[0]]);
      await pool.close();
    });
  }

  it('refuses everything once a thread died and no other can be started', async t => {
    const spec = await tinySpec(t);
    killThreads(t, key => key === '1.png');
    const pool = await DefendPool.start(spec, 1);
    await rm(spec.model, { recursive: true });
    const lost = { code: 'WORKER_LOST', message: /^A worker thread died .* and no other could be started: / };
    const refused = [pool.defend(image(1)), pool.defend(image(0))].map(outcome => assert.rejects(outcome, lost));
    await Promise.all(refused);
    await assert.rejects(pool.defend(image(2)), lost);
    await pool.close();
  });
});
