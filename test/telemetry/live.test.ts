/** What processes at work tell of themselves, held against their results. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { startDeflector } from '../helpers/cli.js';
import { deployment, until } from '../helpers/distributed.js';
import { checkLeaks } from '../helpers/leaks.js';
import { promtool, samplesOf, scrape, telemetryUrl } from '../helpers/prometheus.js';

checkLeaks();

const SERVED = ['--metrics-port', '0'];

describe('a worker', () => {
  it('counts what the results of its job say', async t => {
    const { input, enqueue, worker, results } = await deployment(t, 40);
    await writeFile(join(input, '00003b.png'), 'no image');
    await enqueue('job');
    const { log, end } = await worker(SERVED);
    const lines = (await results('job')).map(line => JSON.parse(line));
    const url = telemetryUrl(log());
    const { text } = await scrape(url);
    assert.equal(await promtool(['check', 'metrics'], text), '');
    const samples = samplesOf(text);
    const sum = (prefix: string, ...parts: string[]) =>
      [...samples]
        .filter(([key]) => key.startsWith(prefix) && parts.every(part => key.includes(part)))
        .reduce((total, [, value]) => total + value, 0);
    const ok = lines.filter(({ status }) => status === 'ok');
    assert.equal(ok.length, 40);
    for (const stage of ['fetch', 'publish']) {
      assert.equal(samples.get(`deflector_images_total{stage="${stage}",outcome="ok"}`), 40);
      assert.equal(samples.get(`deflector_images_total{stage="${stage}",outcome="error"}`), 1);
      assert.equal(samples.get(`deflector_in_flight{stage="${stage}"}`), 0);
    }
    assert.equal(samples.get('deflector_images_total{stage="defend",outcome="ok"}'), 40);
    assert.equal(samples.get('deflector_image_errors_total{stage="fetch",code="IMAGE_UNSUPPORTED"}'), 1);
    const executed = ok.reduce((total, { runsExecuted }) => total + runsExecuted, 0);
    assert.equal(samples.get('deflector_runs_total{kind="defended"}'), executed);
    assert.equal(samples.get('deflector_runs_total{kind="undefended"}'), 40);
    assert.equal(sum('deflector_suspicious_total'), ok.filter(({ suspicious }) => suspicious).length);
    assert.equal(sum('deflector_label_total'), 40);
    assert.equal(samples.get('deflector_end_to_end_seconds_count'), 41);
    // Calls of the model happen in a thread of its own; a batch has images and runs of several images.
    assert.equal(sum('deflector_batch_size_sum', 'defend'), 40 + executed);
    assert.equal(sum('deflector_inference_seconds_count'), sum('deflector_batch_size_count', 'defend'));
    assert.equal(samples.get('deflector_threads{stage="defend"}'), 1);
    assert.equal(samples.get('deflector_gpu_in_use{runtime="onnxruntime-cpu"}'), 0);
    assert.equal(samples.get('deflector_job_chunks{job_name="job",state="done"}'), 3);
    assert.equal(samples.get('deflector_job_images{job_name="job",state="error"}'), 1);
    assert.equal(samples.get('deflector_redis_eviction_policy_info{policy="noeviction"}'), 1);
    assert.ok(samples.get('deflector_redis_memory_used_bytes')! > 0);
    assert.equal(await end('SIGTERM'), 0);
  });

  it('tells how deep its queues are and how old what waits is, whoever is asked', async t => {
    const { enqueue, worker } = await deployment(t, 40);
    await enqueue('bulk');
    await enqueue('online', '--lane', 'online');
    const first = await worker(['publish', ...SERVED]);
    const second = await worker(['publish', ...SERVED]);
    for (const { log } of [first, second]) {
      const samples = samplesOf((await scrape(telemetryUrl(log()))).text);
      const depth = (state: string) => samples.get(`deflector_queue_depth{queue="defend",state="${state}"}`);
      assert.deepEqual(['waiting', 'prioritized', 'delayed', 'paused', 'active'].map(depth), [3, 3, 0, 0, 0]);
      const oldest = samples.get('deflector_queue_oldest_seconds{queue="defend"}')!;
      assert.ok(oldest > 0 && oldest < 60, `${oldest}`);
      assert.equal(samples.get('deflector_queue_oldest_seconds{queue="publish"}'), 0);
    }
  });

  it('is not ready while Redis is away and while it drains, and lives on', async t => {
    const { connection, enqueue, worker } = await deployment(t, 16);
    // Each image takes its time, so that there is something to drain.
    const { log, child, ended } = await worker(SERVED, '*=slow');
    const url = telemetryUrl(log());
    const status = async (path: string) => (await fetch(`${url}${path}`)).status;
    assert.deepEqual([await status('/readyz'), await status('/healthz')], [200, 200]);
    await connection.client.client('PAUSE', 6000);
    await until(async () => (await status('/readyz')) === 503);
    assert.equal(await status('/healthz'), 200);
    assert.equal(samplesOf((await scrape(url)).text).get('deflector_redis_up'), 0);
    await until(async () => (await status('/readyz')) === 200);
    await enqueue('job');
    await until(async () => samplesOf((await scrape(url)).text).get('deflector_in_flight{stage="defend"}')! > 0);
    child.kill('SIGTERM');
    await until(async () => (await status('/readyz')) === 503);
    assert.match(await (await fetch(`${url}/readyz`)).text(), /"state":"draining"/);
    assert.equal(samplesOf((await scrape(url)).text).get('deflector_draining'), 1);
    assert.equal(await status('/healthz'), 200);
    assert.equal(await ended, 0);
  });

  it('serves nothing unless it is asked to', async t => {
    const { worker } = await deployment(t, 1);
    const { log } = await worker();
    assert.doesNotMatch(log(), /Metrics and health/);
  });
});

describe('deflector run', () => {
  it('tells of itself as a worker does', async t => {
    const { folder, input, defence } = await deployment(t, 60);
    const args = ['run', input, '--out', join(folder, 'out'), '--threads', '1', ...SERVED, ...defence, '--runs', '300'];
    const { child, outcome } = startDeflector([...args, '--early-stop', 'off'], { cwd: folder });
    let log = '';
    child.stderr!.on('data', text => (log += text));
    await until(() => log.includes('Metrics and health'));
    const url = telemetryUrl(log);
    let samples = samplesOf('');
    await until(async () => {
      samples = samplesOf((await scrape(url)).text);
      return samples.get('deflector_images_total{stage="publish",outcome="ok"}')! > 0;
    });
    assert.ok(samples.get('deflector_runs_total{kind="defended"}')! >= 300);
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
    assert.equal((await outcome).code, 0);
  });
});
