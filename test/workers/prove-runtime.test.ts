/** A worker that was told its runtime proves it before it takes work. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { type LiveModel, SILENT } from '../../src/stages/observer.js';
import { proveRuntime } from '../../workers/prove-runtime.js';
import { startDeflector } from '../helpers/cli.js';
import { checkLeaks } from '../helpers/leaks.js';
import { startRedis } from '../helpers/redis-server.js';
import { fromRoot } from '../helpers/root.js';

checkLeaks();

/** No machine has so many. */
const NO_GPU = 4096;

function told() {
  const live: LiveModel[] = [];
  const lines: object[] = [];
  const observer = { ...SILENT, modelLive: (model: LiveModel) => live.push(model) };
  const log = { info: (fields: object) => lines.push(fields) } as never;
  return { live, lines, ports: { observer, log } };
}

describe('the proof of a runtime', () => {
  it('makes the model live, and tells metrics and log of it', async () => {
    const { live, lines, ports } = told();
    await proveRuntime({ model: 'efficientnet-lite0-int8', runtime: 'onnxruntime-cpu', device: 0 }, ports);
    assert.equal(live[0]?.runtime, 'onnxruntime-cpu');
    assert.equal(live[0]?.device, undefined);
    assert.deepEqual(lines, [{ runtime: 'onnxruntime-cpu', model: 'efficientnet-lite0-int8' }]);
  });

  it('is not asked of a worker that was told none', async () => {
    const { live, ports } = told();
    await proveRuntime({ model: 'absent', runtime: 'auto', device: 0 }, ports);
    assert.deepEqual(live, []);
  });

  it('fails where the GPU is not there, with a model of the runtime or without one', async () => {
    for (const runtime of ['onnxruntime-cuda', 'onnxruntime-tensorrt', 'tfjs-node-gpu'] as const) {
      const { live, ports } = told();
      await assert.rejects(proveRuntime({ model: 'efficientnet-lite0-int8', runtime, device: NO_GPU }, ports), {
        code: 'RUNTIME_UNAVAILABLE',
        message: new RegExp(`${runtime} does not work here: .`),
      });
      assert.deepEqual(live, []);
    }
  });
});

describe('deflector worker --runtime', () => {
  it('ends with exit code 3 before it takes work where the GPU is not there', { timeout: 60_000 }, async t => {
    const redis = await startRedis();
    t.after(() => redis.stop());
    const args = ['worker', 'defend', '--runtime', 'onnxruntime-cuda', '--device', '63', '--redis-url', redis.url];
    const { child, outcome } = startDeflector(args);
    // One that takes work after all would do so for ever.
    t.after(() => child.kill('SIGKILL'));
    const { code, stderr } = await outcome;
    assert.equal(code, 3, stderr);
    assert.match(stderr, /RUNTIME_UNAVAILABLE.*onnxruntime-cuda does not work here/);
    assert.doesNotMatch(stderr, /Worker is ready/);
  });
});

describe('TensorFlow', () => {
  it('is shown one GPU, the same however often models are opened', () => {
    const door = JSON.stringify(new URL(`file://${fromRoot('dist/src/models/native-runtimes.js')}`).href);
    const script = `const { prepareRuntimes } = await import(${door});
      for (let i = 0; i < 2; i++) prepareRuntimes({ runtime: 'tfjs-node-gpu', device: 1 });
      console.log(process.env.CUDA_VISIBLE_DEVICES);`;
    for (const [visible, shown] of [
      ['4,6,7', '6'],
      [undefined, '1'],
    ] as const) {
      const { CUDA_VISIBLE_DEVICES: _, ...env } = process.env;
      const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
        env: visible === undefined ? env : { ...env, CUDA_VISIBLE_DEVICES: visible },
        encoding: 'utf8',
      });
      assert.equal(stdout.trim(), shown);
    }
  });
});
