import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { serveTelemetry, TELEMETRY_PATHS, telemetryAnswer } from '../../src/telemetry/endpoint.js';
import { Health } from '../../src/telemetry/health.js';
import { Metrics } from '../../src/telemetry/metrics.js';
import { checkLeaks } from '../helpers/leaks.js';

checkLeaks();

async function serve(t: TestContext) {
  const sources = { metrics: await Metrics.create(['defend']), health: new Health() };
  const server = await serveTelemetry(sources, { host: '127.0.0.1', port: 0 });
  t.after(() => server.close());
  const get = async (path: string, init?: RequestInit) => {
    const response = await fetch(`${server.url}${path}`, init);
    return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
  };
  return { ...sources, server, get };
}

describe('the telemetry server', () => {
  it('serves metrics in the format that is asked for', async t => {
    const { get } = await serve(t);
    const plain = await get('/metrics');
    assert.deepEqual([plain.status, plain.type], [200, 'text/plain; version=0.0.4; charset=utf-8']);
    const open = await get('/metrics', { headers: { accept: 'application/openmetrics-text;version=1.0.0' } });
    assert.equal(open.type, 'application/openmetrics-text; version=1.0.0; charset=utf-8');
    for (const name of [
      'process_start_time_seconds',
      'process_resident_memory_bytes',
      'nodejs_eventloop_lag_p99_seconds',
    ])
      assert.match(plain.text, new RegExp(`^${name} \\d`, 'm'));
  });

  it('is live and ready where all checks are content, and says which are not', async t => {
    const { get, health } = await serve(t);
    assert.deepEqual(await get('/healthz').then(({ status, text }) => [status, JSON.parse(text)]), [
      200,
      { status: 'ok', checks: {} },
    ]);
    health.addReadiness('queue', () => undefined);
    const takeBack = health.addReadiness('model', async () => 'it is another one');
    health.addReadiness('store', () => {
      throw new Error('it is not there');
    });
    const { status, text } = await get('/readyz');
    assert.equal(status, 503);
    assert.deepEqual(JSON.parse(text), {
      status: 'failing',
      checks: { queue: 'ok', model: 'it is another one', store: 'it is not there' },
    });
    takeBack();
    health.addReadiness('store', () => undefined);
    assert.equal((await get('/readyz')).status, 200);
    assert.equal((await get('/healthz')).status, 200);
  });

  it('does not wait for a check that never ends', async t => {
    const { get, health } = await serve(t);
    health.addReadiness('queue', () => new Promise(() => undefined));
    assert.equal(JSON.parse((await get('/readyz')).text).checks.queue, 'no answer within 2 s');
  });

  it('can be left to another server, which asks for the answer to a path', async () => {
    const sources = { metrics: await Metrics.create(['defend']), health: new Health() };
    for (const path of TELEMETRY_PATHS) {
      assert.equal((await telemetryAnswer(sources, path, undefined))?.status, 200, path);
    }
    assert.equal(await telemetryAnswer(sources, '/other', undefined), undefined);
  });

  it('knows no other paths and methods', async t => {
    const { get } = await serve(t);
    assert.equal((await get('/')).status, 404);
    assert.equal((await get('/metrics/../etc')).status, 404);
    assert.equal((await get('/metrics', { method: 'POST', body: 'x' })).status, 405);
    assert.deepEqual(await get('/healthz?verbose', { method: 'HEAD' }).then(({ status, text }) => [status, text]), [
      200,
      '',
    ]);
  });

  it('says which setting to change where its address is taken', async t => {
    const { server, metrics, health } = await serve(t);
    const port = Number(new URL(server.url).port);
    await assert.rejects(serveTelemetry({ metrics, health }, { host: '127.0.0.1', port }), {
      code: 'SETTINGS_INVALID',
      message: `Expected an address to listen on for --metrics-host and --metrics-port but 127.0.0.1:${port} gives EADDRINUSE`,
    });
  });
});
