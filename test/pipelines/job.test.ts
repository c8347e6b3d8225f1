import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { type JobObserver, type JobRequest, type JobResult, runJob } from '../../pipelines/job.js';
import { resolveSettings, type UserOptions } from '../../src/config/settings.js';
import { openJsonLinesSink } from '../../src/sinks/json-lines-sink.js';
import { temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { timelessLines } from '../helpers/results.js';
import { killThreads } from '../helpers/threads.js';
import { tinyName, writeTinyImages } from '../helpers/tiny-images.js';
import { writeHeadlessModel, writeTinyModel } from '../helpers/tiny-model.js';

checkLeaks();

const NEVER = new AbortController().signal;

/** A folder with images, a model, and room for results. */
async function scene(t: TestContext, images: number, settings: UserOptions = {}) {
  const folder = await temporaryFolder(t);
  const input = await writeTinyImages(join(folder, 'in'), images);
  const model = await writeTinyModel(join(folder, 'tiny'));
  const options = resolveSettings({ flags: { model, threads: 1, seed: '1', runs: 3, gallery: 2, ...settings } });
  const run = (
    out: string,
    changes: Partial<JobRequest> = {},
    observer: JobObserver = {},
    signal: AbortSignal = NEVER,
  ): Promise<JobResult> =>
    runJob({ inputs: [input], out: join(folder, out), existing: 'refuse', options, ...changes }, observer, signal);
  /** Asks the job to stop once it has published an image. */
  const interrupted = async (out: string, changes: Partial<JobRequest> = {}): Promise<JobResult> => {
    const stop = new AbortController();
    const result = await run(out, changes, { verdict: () => stop.abort() }, stop.signal);
    assert.equal(result.run.status, 'interrupted');
    return result;
  };
  const lines = (out: string) => timelessLines(join(folder, out, 'results.jsonl'));
  const saved = async (out: string) => JSON.parse(await readFile(join(folder, out, 'run.json'), 'utf8'));
  return { folder, input, model, options, run, interrupted, lines, saved };
}

describe('a job', () => {
  it('leaves results, run.json and a report, and says how it went', async t => {
    const { folder, run, lines, saved } = await scene(t, 12);
    const told: string[] = [];
    const totals: number[] = [];
    const { run: summary, figures } = await run(
      'out',
      {},
      {
        started: info => told.push(`started ${info.labels.length}`),
        total: images => totals.push(images),
        verdict: ({ key }, resumed) => told.push(`${key} ${resumed}`),
        reporting: () => told.push('reporting'),
      },
    );
    assert.deepEqual((await readdir(join(folder, 'out'))).sort(), ['report.html', 'results.jsonl', 'run.json']);
    const keys = Array.from({ length: 12 }, (_, i) => tinyName(i));
    assert.deepEqual(told, ['started 5', ...keys.map(key => `${key} false`), 'reporting']);
    assert.deepEqual(totals, [12]);
    assert.deepEqual(
      (await lines('out')).map(line => JSON.parse(line).key),
      keys,
    );
    assert.deepEqual(await saved('out'), summary);
    assert.deepEqual(
      [summary.status, summary.counts.total, summary.counts.ok, figures.total],
      ['complete', 12, 12, 12],
    );
  });

  it('gives the same results with any number of threads and any batch size', async t => {
    const { run, lines, options } = await scene(t, 30);
    await run('1');
    for (const [threads, batch] of [
      [1, 1],
      [3, 5],
      [2, 32],
    ] as const) {
      await run(`${threads}-${batch}`, { options: { ...options, threads, batch } });
      assert.deepEqual(await lines(`${threads}-${batch}`), await lines('1'));
    }
  });

  it('with rival defences in its order does so too, and records the order in full', async t => {
    const { run, lines, options, saved } = await scene(t, 12, { order: 'jpeg,deflect,crop:0.8,denoise' });
    await run('1');
    await run('3-2', { options: { ...options, threads: 3, batch: 2 } });
    assert.deepEqual(await lines('3-2'), await lines('1'));
    const order = ['jpeg:75', 'deflect', 'crop:0.8', 'denoise'];
    assert.deepEqual((await saved('1')).settings.order, order);
    for (const line of await lines('1')) assert.deepEqual(JSON.parse(line).defence.order, order);
  });

  it('of no images is done at once', async t => {
    const { run } = await scene(t, 0);
    assert.deepEqual((await run('out')).run.counts, { total: 0, ok: 0, suspicious: 0, errors: {} });
  });

  it('loses to a deadly image that image alone', async t => {
    const { run, lines } = await scene(t, 20);
    await run('calm');
    killThreads(t, key => key === tinyName(7));
    const { run: summary } = await run('out');
    assert.deepEqual(summary.counts.errors, { WORKER_LOST: 1 });
    const [calm, stormy] = [await lines('calm'), await lines('out')];
    assert.equal(JSON.parse(stormy[7]!).error.code, 'WORKER_LOST');
    assert.deepEqual(stormy.toSpliced(7, 1), calm.toSpliced(7, 1));
  });

  it('keeps what a stopped job has, and goes on to the same bytes', async t => {
    const { interrupted, run, lines, saved } = await scene(t, 150, { emit: 'defended' });
    await run('whole');
    await interrupted('out');
    const before = await lines('out');
    assert.ok(before.length > 0 && before.length < 150);
    assert.equal((await saved('out')).status, 'interrupted');
    const { run: summary } = await run('out', { existing: 'resume' });
    assert.equal(summary.status, 'complete');
    assert.deepEqual(await lines('out'), await lines('whole'));
    assert.deepEqual([summary.counts.total, summary.ms.images], [150, 150 - before.length]);
  });

  it('goes on behind a line that a crash cut off, and redoes defended images that no line acknowledges', async t => {
    const { folder, run, lines } = await scene(t, 10, { emit: 'defended' });
    await run('whole');
    await run('out');
    const path = join(folder, 'out/results.jsonl');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.slice(0, text.lastIndexOf('"key":"00006.png"') + 5));
    // What a write that was cut off leaves behind.
    const partial = ['.deflector-partial-00', 'defended/.deflector-partial-01'].map(name => join(folder, 'out', name));
    for (const name of partial) await writeFile(name, 'half');
    await run('out', { existing: 'resume' });
    for (const name of partial) await assert.rejects(stat(name), { code: 'ENOENT' });
    assert.deepEqual(await lines('out'), await lines('whole'));
    const [metadata, expected] = await Promise.all(
      ['out', 'whole'].map(name => readFile(join(folder, name, 'defended/metadata.jsonl'), 'utf8')),
    );
    assert.equal(metadata, expected);
  });

  it('that is complete stays as it is when it is resumed', async t => {
    const { run, lines } = await scene(t, 5);
    await run('out');
    const before = await lines('out');
    const { run: summary } = await run('out', { existing: 'resume' });
    assert.deepEqual([summary.status, summary.ms.images, summary.counts.total], ['complete', 0, 5]);
    assert.deepEqual(await lines('out'), before);
  });

  it('with results of another listing is not resumed, and its files stay as they are', async t => {
    const { folder, input, run, lines } = await scene(t, 5);
    await run('out');
    const before = [await lines('out'), await readFile(join(folder, 'out/run.json'), 'utf8')];
    await writeFile(join(input, '00000a.png'), '');
    await assert.rejects(run('out', { existing: 'resume' }), {
      code: 'RESUME_MISMATCH',
      message:
        'The inputs are not those of the interrupted job: where it defended "00001.png", the listing has "00000a.png"',
    });
    await rm(join(input, '00000a.png'));
    await rm(join(input, '00004.png'));
    await assert.rejects(run('out', { existing: 'resume' }), {
      code: 'RESUME_MISMATCH',
      message: 'The inputs are not those of the interrupted job: where it defended "00004.png", the listing ends',
    });
    assert.deepEqual([await lines('out'), await readFile(join(folder, 'out/run.json'), 'utf8')], before);
  });

  it('is resumed only with the model, the localiser and the runtime it began with', async t => {
    const { model, interrupted, run, saved } = await scene(t, 150);
    const { run: began } = await interrupted('out');
    for (const other of [
      { ...began, model: { ...began.model, sha256: '0'.repeat(64) } },
      { ...began, localizer: began.model },
      { ...began, runtime: 'onnxruntime-cuda' },
    ]) {
      await assert.rejects(run('out', { existing: 'resume', began: other }), { code: 'RESUME_MISMATCH' });
    }
    await writeTinyModel(model, 2);
    await assert.rejects(run('out', { existing: 'resume', began }), {
      code: 'RESUME_MISMATCH',
      message: /^The job began with the model tiny \([0-9a-f]{12}\), not tiny \([0-9a-f]{12}\)$/,
    });
    assert.deepEqual(await saved('out'), began);
    await writeTinyModel(model);
    assert.equal((await run('out', { existing: 'resume', began })).run.status, 'complete');
  });

  it('does not touch what is there already unless it is told to', async t => {
    const { run, lines, options } = await scene(t, 3);
    await run('out');
    const before = await lines('out');
    await assert.rejects(run('out'), { code: 'OUTPUT_EXISTS' });
    assert.deepEqual(await lines('out'), before);
    const other = { ...options, defence: { ...options.defence, seed: '2' } };
    await run('out', { existing: 'overwrite', options: other });
    assert.notDeepEqual(await lines('out'), before);
  });

  it('does not write where another does', async t => {
    const { folder, run } = await scene(t, 3);
    await mkdir(join(folder, 'out'));
    const sink = await openJsonLinesSink(join(folder, 'out/results.jsonl'), { existing: 'refuse' });
    for (const existing of ['refuse', 'resume', 'overwrite'] as const) {
      await assert.rejects(run('out', { existing }), { code: 'OUTPUT_LOCKED' });
    }
    await sink.close();
  });

  it('gives an image that goes away after it was listed a verdict that says so', async t => {
    const { input, run, lines } = await scene(t, 200);
    await run('calm');
    // The names of a folder are read before its first image is; the last images are far behind the window.
    const observer = { verdict: () => rmSync(join(input, tinyName(199)), { force: true }) };
    const { run: summary } = await run('out', {}, observer);
    assert.deepEqual(summary.counts.errors, { IMAGE_NOT_FOUND: 1 });
    const [calm, after] = [await lines('calm'), await lines('out')];
    assert.deepEqual(
      [JSON.parse(after[199]!).key, JSON.parse(after[199]!).error.code],
      [tinyName(199), 'IMAGE_NOT_FOUND'],
    );
    assert.deepEqual(after.slice(0, 199), calm.slice(0, 199));
  });

  it('takes its activation maps from a localiser, where its model can make none', async t => {
    const { folder, model, run, lines, options } = await scene(t, 10);
    const headless = { ...options, model: await writeHeadlessModel(join(folder, 'headless')) };
    await assert.rejects(run('out', { options: headless }), {
      code: 'MODEL_NO_LOCALIZATION',
      message: /--localizer NAME.*--map uniform/,
    });
    const { run: summary } = await run('out', { options: { ...headless, localizer: model } });
    assert.deepEqual([summary.counts.ok, summary.model.name, summary.localizer?.name], [10, 'headless', 'tiny']);
    await run('uniform', { options: { ...headless, defence: { ...options.defence, map: 'uniform' } } });
    assert.notDeepEqual(await lines('uniform'), await lines('out'));
  });

  it('begins nothing when it cannot: no model, no input, no folder', async t => {
    const { folder, input, run, options } = await scene(t, 3);
    await assert.rejects(run('out', { options: { ...options, model: 'nowhere' } }), { code: 'MODEL_NOT_FOUND' });
    await assert.rejects(run('out', { inputs: [join(folder, 'nowhere')] }), { code: 'INPUT_NOT_FOUND' });
    const file = join('in', tinyName(0));
    await assert.rejects(run(file), { code: 'SETTINGS_INVALID' });
    await assert.rejects(run(join(file, 'below')), { code: 'SETTINGS_INVALID' });
    await assert.rejects(stat(join(folder, 'out')), { code: 'ENOENT' });
    assert.deepEqual((await readdir(input)).length, 3);
  });
});
