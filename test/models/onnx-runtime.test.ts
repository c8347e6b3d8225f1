import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { temporaryFolder } from '../helpers/files.js';
import { fromRoot } from '../helpers/root.js';

const RUNTIMES = JSON.stringify(new URL(`file://${fromRoot('dist/src/models/runtimes.js')}`).href);
const DOOR = JSON.stringify(new URL(`file://${fromRoot('dist/src/models/onnx-runtime.js')}`).href);
const PROBE = `(await import(${RUNTIMES})).runtimeCalled('onnxruntime-cpu').probe()`;

/** Runs a module of its own process whose home and caches are below `home`. */
function run(home: string, script: string, env: Readonly<Record<string, string>> = {}) {
  const { ORT_DISABLE_TELEMETRY: _, ...inherited } = process.env;
  return spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    env: { ...inherited, HOME: home, XDG_CACHE_HOME: `${home}/.cache`, TMPDIR: home, ...env },
    encoding: 'utf8',
  });
}

/** The same in a worker thread, after `prelude` on the main thread; the thread's outcome is printed. */
function inThread(prelude: string): string {
  const thread = `import(${RUNTIMES}).then(({ runtimeCalled }) => runtimeCalled('onnxruntime-cpu').probe()).then(console.log, error => console.log(error.code, error.message))`;
  return `import { Worker } from 'node:worker_threads';
    ${prelude};
    new Worker(${JSON.stringify(thread)}, { eval: true });`;
}

describe('ONNX Runtime', () => {
  it('keeps no device identifier and no queue of events about its use', async t => {
    const home = await temporaryFolder(t);
    const { status, stderr } = run(home, `await ${PROBE}`);
    assert.equal(status, 0, stderr);
    assert.deepEqual(await readdir(home), []);
  });

  it('stays silent in the threads of a process that silenced it', async t => {
    const home = await temporaryFolder(t);
    const { stdout } = run(home, inThread(`(await import(${DOOR})).silenceOnnxRuntime()`));
    assert.match(stdout, /^onnxruntime-node \d/);
    assert.deepEqual(await readdir(home), []);
  });

  it('is not loaded in a thread where nobody silenced it: the error names the variable', async t => {
    const home = await temporaryFolder(t);
    const { stdout } = run(home, inThread(''));
    assert.match(stdout, /^RUNTIME_UNAVAILABLE .*set ORT_DISABLE_TELEMETRY=1 in the environment/);
    assert.deepEqual(await readdir(home), []);
  });
});
