import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LABELS, METRICS } from '../../src/telemetry/catalogue.js';
import { negotiate } from '../../src/telemetry/exposition.js';
import { Metrics } from '../../src/telemetry/metrics.js';
import { promtool, samplesOf } from '../helpers/prometheus.js';
import { errorVerdict, okVerdict } from '../helpers/verdicts.js';

const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

/** The names that other parts of a deployment rely on: they may not change. */
const PROMISED = {
  deflector_images_total: ['stage', 'outcome'],
  deflector_image_errors_total: ['stage', 'code'],
  deflector_stage_duration_seconds: ['stage'],
  deflector_end_to_end_seconds: [],
  deflector_queue_depth: ['queue', 'state'],
  deflector_queue_oldest_seconds: ['queue'],
  deflector_runs_total: ['kind'],
  deflector_vote_agreement: [],
  deflector_suspicious_total: ['model'],
  deflector_label_total: ['model', 'label'],
  deflector_batch_size: ['stage'],
  deflector_inference_seconds: ['model', 'runtime'],
  deflector_in_flight: ['stage'],
  deflector_dead_total: ['stage', 'code'],
  deflector_retries_total: ['stage', 'code'],
};

async function plain(metrics: Metrics) {
  const { body } = await metrics.expose('plain');
  return samplesOf(body);
}

describe('the catalogue of metrics', () => {
  it('keeps the names and labels that were promised', () => {
    const labels = new Map(Object.values(METRICS).map(metric => [metric.name, metric.labels as readonly string[]]));
    for (const [name, promised] of Object.entries(PROMISED))
      assert.deepEqual(labels.get(name as never), promised, name);
    assert.ok(labels.has('deflector_build_info') && labels.has('deflector_model_info'));
  });

  it('has no label by a name that Prometheus or its operator gives to targets, which would take it away', () => {
    const ofTargets = ['job', 'instance', 'namespace', 'pod', 'container', 'endpoint', 'service'];
    assert.deepEqual(
      ofTargets.filter(name => name in LABELS),
      [],
    );
  });

  it('is to the liking of promtool, which knows the conventions', async () => {
    const metrics = await Metrics.create(['fetch', 'defend', 'publish']);
    metrics.published({ verdicts: [okVerdict('a'), errorVerdict('b')], ms: 3, since: Date.now() - 1000, trace: TRACE });
    assert.equal(await promtool(['check', 'metrics'], (await metrics.expose('plain')).body), '');
  });
});

describe('metrics of a process', () => {
  it('begin at 0, so that the first of a kind is seen as an increase', async () => {
    const samples = await plain(await Metrics.create(['defend']));
    assert.equal(samples.get('deflector_images_total{stage="defend",outcome="error"}'), 0);
    assert.equal(samples.get('deflector_dead_total{stage="defend",code="WORKER_LOST"}'), 0);
    assert.equal(samples.get('deflector_worker_losses_total{stage="defend"}'), 0);
    assert.equal(samples.get('deflector_images_total{stage="publish",outcome="ok"}'), undefined);
  });

  it('count verdicts by what they say', async () => {
    const metrics = await Metrics.create(['publish']);
    const verdicts = [okVerdict('a', { suspicious: false }), okVerdict('b', { agreement: 0.6 }), errorVerdict('c')];
    metrics.published({ verdicts, ms: 20, since: Date.now() - 5000 });
    const samples = await plain(metrics);
    const { name } = okVerdict('a').model;
    assert.equal(samples.get('deflector_images_total{stage="publish",outcome="ok"}'), 2);
    assert.equal(samples.get('deflector_images_total{stage="publish",outcome="error"}'), 1);
    assert.equal(samples.get(`deflector_suspicious_total{model="${name}"}`), 1);
    assert.equal(samples.get('deflector_vote_agreement_bucket{le="0.5"}'), 0);
    assert.equal(samples.get('deflector_vote_agreement_bucket{le="0.6"}'), 1);
    assert.equal(samples.get('deflector_end_to_end_seconds_count'), 3);
    assert.equal(samples.get('deflector_end_to_end_seconds_bucket{le="2.5"}'), 0);
    assert.equal(samples.get('deflector_stage_duration_seconds_sum{stage="publish"}'), 0.02);
  });

  it('say which GPU proved itself, and that there is none on the CPU', async () => {
    const metrics = await Metrics.create(['defend']);
    const model = { name: 'net', sha256: '0'.repeat(64) };
    metrics.modelLive({ model, runtime: 'onnxruntime-cpu' }, 2);
    const device = {
      ...{ index: 1, name: 'NVIDIA H200', memory: 150_754_820_096, driver: '570.124.06', ms: 4 },
      operators: { device: 90, host: 1 },
    };
    metrics.modelLive({ model, runtime: 'onnxruntime-cuda', device }, 1);
    const samples = await plain(metrics);
    assert.equal(samples.get('deflector_gpu_in_use{runtime="onnxruntime-cpu"}'), 0);
    assert.equal(samples.get('deflector_gpu_in_use{runtime="onnxruntime-cuda"}'), 1);
    const labels = 'gpu="1",gpu_name="NVIDIA H200",driver="570.124.06",runtime="onnxruntime-cuda"';
    assert.equal(samples.get(`deflector_gpu_info{${labels}}`), 1);
    assert.equal(samples.get('deflector_gpu_memory_bytes{gpu="1"}'), 150_754_820_096);
    assert.equal(samples.get('deflector_gpu_probe_seconds{gpu="1",model="net"}'), 0.004);
  });

  it('count runs that were executed, and those that the early end of a vote spared', async () => {
    const metrics = await Metrics.create(['defend']);
    metrics.defended({ verdict: okVerdict('a', { runs: 10, runsExecuted: 6 }), passes: 7 });
    const samples = await plain(metrics);
    assert.equal(samples.get('deflector_runs_total{kind="undefended"}'), 1);
    assert.equal(samples.get('deflector_runs_total{kind="defended"}'), 6);
    assert.equal(samples.get('deflector_runs_total{kind="spared"}'), 4);
  });

  it('have images in flight until they leave', async () => {
    const metrics = await Metrics.create(['fetch']);
    const left = metrics.entered('fetch', 3);
    assert.equal((await plain(metrics)).get('deflector_in_flight{stage="fetch"}'), 3);
    left();
    assert.equal((await plain(metrics)).get('deflector_in_flight{stage="fetch"}'), 0);
  });

  it('are bounded whatever models and labels come', async () => {
    const metrics = await Metrics.create(['publish']);
    const verdicts = Array.from({ length: 3000 }, (_, index) =>
      okVerdict(`${index}`, {
        label: { index, id: '', name: `class ${index}` },
        model: { name: `model-${index % 20}`, sha256: '' },
      }),
    );
    metrics.published({ verdicts, ms: 1 });
    const keys = [...(await plain(metrics)).keys()];
    const values = (name: string, label: string) =>
      new Set(keys.filter(key => key.startsWith(name)).map(key => new RegExp(`${label}="(.*?)"`).exec(key)?.[1]));
    assert.equal(values('deflector_label_total', 'model').size, 9);
    assert.equal(values('deflector_label_total', 'label').size, 1001);
    assert.ok(values('deflector_label_total', 'label').has('class 999 (999)'));
    assert.ok(values('deflector_label_total', 'label').has('other'));
  });

  it('say that Redis is down where it does not answer, and keep no old values of it', async () => {
    const state = {
      queues: [{ queue: 'defend', depth: { waiting: 1, prioritized: 2, delayed: 3, paused: 0, active: 4 }, oldest: 5 }],
      redis: { memoryUsed: 1, memoryLimit: 2, evictedKeys: 0, policy: 'noeviction', uptime: 3 },
      jobs: [],
    };
    let fault: Error | undefined;
    const metrics = await Metrics.create(['publish'], async () => {
      if (fault !== undefined) throw fault;
      return state;
    });
    const before = await plain(metrics);
    assert.equal(before.get('deflector_redis_up'), 1);
    assert.equal(before.get('deflector_queue_depth{queue="defend",state="prioritized"}'), 2);
    fault = new Error('gone');
    const after = await plain(metrics);
    assert.equal(after.get('deflector_redis_up'), 0);
    assert.equal(after.get('deflector_queue_depth{queue="defend",state="prioritized"}'), undefined);
  });
});

describe('the exposition', () => {
  it('is OpenMetrics for who prefers it, and plain for all others (RFC 9110, section 12.5.1)', () => {
    // What Prometheus 2.42 sends.
    const prometheus =
      'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
    assert.equal(negotiate(prometheus), 'openmetrics');
    assert.equal(negotiate('application/openmetrics-text; version=1.0.0; q=0.2, text/plain'), 'plain');
    assert.equal(negotiate('application/openmetrics-text;version=0.0.1'), 'plain');
    for (const other of [undefined, '', '*/*', 'text/html', 'nonsense;;;q=x']) assert.equal(negotiate(other), 'plain');
  });

  it('has ids of recorded traces as exemplars in OpenMetrics, and only there', async () => {
    const metrics = await Metrics.create(['publish']);
    metrics.published({ verdicts: [okVerdict('a')], ms: 100_000, trace: TRACE });
    metrics.published({ verdicts: [okVerdict('b')], ms: 3, trace: TRACE.replace(/01$/, '00') });
    const { body } = await metrics.expose('openmetrics');
    const exemplars = body.split('\n').filter(line => line.includes(' # '));
    // Beyond the last bucket; the trace of the second was not recorded.
    assert.deepEqual(
      exemplars.map(line => line.replace(/[\d.]+$/, 'T')),
      [
        'deflector_stage_duration_seconds_bucket{le="+Inf",stage="publish"} 2 # {trace_id="0af7651916cd43dd8448eb211c80319c"} 100 T',
      ],
    );
    assert.match(body, /^# TYPE deflector_images counter$/m);
    assert.match(body, /^deflector_images_total\{/m);
    assert.ok(body.endsWith('\n# EOF\n'));
    const plainly = (await metrics.expose('plain')).body;
    assert.ok(!plainly.includes(' # {') && !plainly.includes('EOF'));
    assert.match(plainly, /^# TYPE deflector_images_total counter$/m);
  });

  it('escapes what labels may hold', async () => {
    const metrics = await Metrics.create(['publish']);
    metrics.published({ verdicts: [okVerdict('a', { label: { index: 1, id: '', name: 'a"b\\c\nd' } })], ms: 1 });
    assert.ok((await metrics.expose('plain')).body.includes('label="a\\"b\\\\c\\nd (1)"'));
  });
});
