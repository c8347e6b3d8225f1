import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { openTracer, UNTRACED } from '../../src/telemetry/tracer.js';
import { deployment } from '../helpers/distributed.js';
import { checkLeaks } from '../helpers/leaks.js';
import { type ReceivedSpan, startOtlpReceiver } from '../helpers/otlp-receiver.js';
import { scrape, telemetryUrl } from '../helpers/prometheus.js';
import { REPOSITORY } from '../helpers/repository.js';

checkLeaks();

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

describe('a trace', () => {
  it('leads a chunk from the producer through both queues to its verdicts', async t => {
    const collector = await startOtlpReceiver(t);
    const { input, enqueue, worker, results } = await deployment(t, 20, {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_SERVICE_NAME: 'deflector-test',
      DEFLECTOR_LOG_LEVEL: 'debug',
    });
    await writeFile(join(input, '00003b.png'), 'no image');
    await enqueue('job');
    const defend = await worker(['defend', '--metrics-port', '0']);
    const publish = await worker(['publish']);
    await results('job');
    const { text } = await scrape(telemetryUrl(defend.log()), 'application/openmetrics-text;version=1.0.0');
    assert.equal(await defend.end('SIGTERM'), 0);
    assert.equal(await publish.end('SIGTERM'), 0);

    assert.ok(collector.requests.every(({ path, type }) => path === '/v1/traces' && type === 'application/json'));
    assert.ok(collector.spans.every(({ service }) => service === 'deflector-test'));
    const named = (name: string) => collector.spans.filter(span => span.name === name);
    const bySpanId = new Map(collector.spans.map(span => [span.spanId, span]));
    const parentOf = (span: ReceivedSpan) => bySpanId.get(span.parentSpanId ?? '');

    const roots = named('enqueue chunk');
    assert.deepEqual(
      roots.map(({ attributes }) => [attributes['deflector.job'], attributes['deflector.chunk']]),
      [
        ['job', 0],
        ['job', 1],
      ],
    );
    assert.equal(new Set(roots.map(({ traceId }) => traceId)).size, 2);
    for (const span of named('defend chunk')) assert.equal(parentOf(span)?.name, 'enqueue chunk');
    for (const span of named('publish chunk')) assert.equal(parentOf(span)?.name, 'defend chunk');
    assert.deepEqual(
      ['enqueue chunk', 'defend chunk', 'publish chunk'].map(name => named(name)[0]?.kind),
      [4, 5, 5],
    );

    const fetched = named('fetch image');
    assert.equal(fetched.length, 21);
    for (const span of fetched) assert.equal(parentOf(span)?.name, 'defend chunk');
    for (const span of named('decode image')) assert.equal(parentOf(span)?.name, 'fetch image');
    const broken = fetched.filter(({ status }) => status.code === 2);
    assert.deepEqual(
      broken.map(({ attributes }) => [attributes['deflector.image.key'], attributes['error.type']]),
      [['00003b.png', 'IMAGE_UNSUPPORTED']],
    );
    assert.equal(named('defend image').length, 20);
    // One of sixteen has a span, the first included.
    const calls = named('call model');
    assert.ok(calls.length >= 1 && calls.length < 20, `${calls.length}`);
    for (const span of calls) assert.equal(span.attributes['deflector.model.name'], 'tiny');

    const names = [
      'enqueue chunk',
      'defend chunk',
      'publish chunk',
      'fetch image',
      'decode image',
      'defend image',
      'call model',
    ];
    assert.deepEqual(new Set(collector.spans.map(({ name }) => name)), new Set(names));
    for (const span of collector.spans) {
      assert.ok(roots.some(({ traceId }) => traceId === span.traceId));
      assert.ok(BigInt(span.startTimeUnixNano) <= BigInt(span.endTimeUnixNano), span.name);
    }

    // Metrics and logs lead to the traces.
    const exemplars = [...text.matchAll(/trace_id="(\w+)"/g)].map(([, id]) => id);
    assert.ok(exemplars.length > 0 && exemplars.every(id => roots.some(({ traceId }) => traceId === id)));
    const lines = publish
      .log()
      .trim()
      .split('\n')
      .map(line => JSON.parse(line));
    const done = lines.filter(({ message }) => message === 'Chunk done');
    assert.deepEqual(new Set(done.map(({ trace_id }) => trace_id)), new Set(roots.map(({ traceId }) => traceId)));
    assert.deepEqual(new Set(done.map(({ stage, job }) => `${stage} ${job}`)), new Set(['publish job']));
  });

  it('goes on from what a producer handed on, recorded or not (W3C Trace Context, section 3.2)', async t => {
    const collector = await startOtlpReceiver(t);
    const tracer = await withVariable(collector.url, env => openTracer(env, assert.fail));
    const [, traceId, spanId] = PARENT.split('-');
    const span = tracer.begin('one', { parent: PARENT });
    assert.match(span.context!, new RegExp(`^00-${traceId}-(?!${spanId})[0-9a-f]{16}-01$`));
    const silent = tracer.begin('two', { parent: PARENT.replace(/01$/, '00') });
    assert.match(silent.context!, new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
    const begun = ['', 'nonsense', `00-${'0'.repeat(32)}-${spanId}-01`, `ff${PARENT.slice(2)}`].map(parent =>
      tracer.begin('three', { parent }),
    );
    for (const { context } of begun) assert.doesNotMatch(context!, new RegExp(traceId!));
    for (const one of [span, silent, ...begun]) one.end();
    await tracer.close();
    assert.deepEqual(collector.spans.map(({ name }) => name).sort(), ['one', 'three', 'three', 'three', 'three']);
    assert.equal(collector.spans.find(({ name }) => name === 'one')?.parentSpanId, spanId);
  });

  it('does not keep a process from ending where nobody takes it, and says so', async () => {
    const said: string[] = [];
    const tracer = await withVariable('http://127.0.0.1:1', env => openTracer(env, message => said.push(message)));
    tracer.begin('one').end();
    await tracer.close();
    assert.match(said.join(), /ECONNREFUSED/);
  });

  it('costs nothing where no address is set: OpenTelemetry is not even loaded', async () => {
    assert.equal(await openTracer({}, assert.fail), UNTRACED);
    assert.equal(
      await openTracer({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://x', OTEL_SDK_DISABLED: 'true' }, assert.fail),
      UNTRACED,
    );
    const program = `
      import { Module } from 'node:module';
      import { openTracer } from './dist/src/telemetry/tracer.js';
      await openTracer(process.env, () => undefined);
      console.log(Object.keys(Module._cache).some(path => path.includes('@opentelemetry')));`;
    const loaded = async (env: NodeJS.ProcessEnv) => {
      const args = ['--input-type=module', '--eval', program];
      return (await promisify(execFile)(process.execPath, args, { cwd: REPOSITORY, env })).stdout.trim();
    };
    assert.equal(await loaded({}), 'false');
    assert.equal(await loaded({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }), 'true');
  });
});

/** The SDK reads the variable by itself. */
async function withVariable<T>(url: string, use: (env: NodeJS.ProcessEnv) => Promise<T>): Promise<T> {
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = url;
  try {
    return await use(process.env);
  } finally {
    delete process.env.OTEL_EXPORTER_OTLP_ENDPOINT;
  }
}
