/** TensorFlow.js that is not there, or not what was asked for: a clear refusal, and never another runtime in its place. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { temporaryFolder } from '../../helpers/files.js';
import { fromRoot } from '../../helpers/root.js';
import { tensorflowFolder } from '../../helpers/tensorflow.js';

const RUNTIMES = JSON.stringify(new URL(`file://${fromRoot('dist/src/models/runtimes.js')}`).href);

/** What a process says that probes a runtime. */
function probe(runtime: string, folder: string, prelude = ''): string {
  const script = `${prelude}; const { runtimeCalled } = await import(${RUNTIMES});
    await runtimeCalled('${runtime}').probe().then(console.log, error => console.log(error.code, error.message));`;
  const env = { ...process.env, DEFLECTOR_TENSORFLOW: folder, TF_CPP_MIN_LOG_LEVEL: '3' };
  return spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    env,
    encoding: 'utf8',
  }).stdout.trim();
}

async function packageOf(t: TestContext, name: string, code: string): Promise<string> {
  const root = await temporaryFolder(t);
  const folder = join(root, 'node_modules', name);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name, version: '4.22.0', main: 'index.js' }));
  await writeFile(join(folder, 'index.js'), code);
  return root;
}

describe('TensorFlow.js', () => {
  it('is told where it is installed', () => {
    assert.match(probe('tfjs-node', tensorflowFolder()), /^@tensorflow\/tfjs-node 4\.22\.0, TensorFlow 2\.10\.1$/);
    assert.match(probe('tfjs-wasm', tensorflowFolder()), /^@tensorflow\/tfjs-backend-wasm 4\.22\.0$/);
  });

  for (const [runtime, name] of [
    ['tfjs-node', '@tensorflow/tfjs-node'],
    ['tfjs-node-gpu', '@tensorflow/tfjs-node-gpu'],
    ['tfjs-wasm', '@tensorflow/tfjs-core'],
  ] as const) {
    it(`is refused by ${runtime} where it is not installed, with what to install`, async t => {
      const said = probe(runtime, await temporaryFolder(t));
      assert.match(
        said,
        new RegExp(`^RUNTIME_UNAVAILABLE ${runtime} does not work here: ${name} is not installed in .*npm install`),
      );
    });
  }

  it('is refused where its native part is missing', async t => {
    // What the package throws that was installed without its scripts.
    const thrown = "throw new Error('The Node.js native addon module (tfjs_binding.node) can not be found at path: x')";
    const said = probe('tfjs-node', await packageOf(t, '@tensorflow/tfjs-node', thrown));
    assert.match(said, /^RUNTIME_UNAVAILABLE .*is installed but does not load: The Node\.js native addon module/);
  });

  it('is refused on the CPU where a GPU was asked for', async t => {
    // This machine's real binding under the name of the GPU package, which differs from it in the library that it links.
    const root = await temporaryFolder(t);
    await mkdir(join(root, 'node_modules/@tensorflow'), { recursive: true });
    const real = join(tensorflowFolder(), 'node_modules/@tensorflow/tfjs-node');
    await symlink(real, join(root, 'node_modules/@tensorflow/tfjs-node-gpu'));
    assert.match(probe('tfjs-node-gpu', root), /^RUNTIME_UNAVAILABLE .*came up on the CPU: it found no NVIDIA GPU/);
  });

  it('is refused by its native runtimes on Node.js 23 and later, which lack a function that it calls', () => {
    const prelude = "import util from 'node:util'; delete util.isNullOrUndefined";
    assert.match(
      probe('tfjs-node', tensorflowFolder(), prelude),
      /^RUNTIME_UNAVAILABLE .*isNullOrUndefined.*use Node\.js 20 or 22/,
    );
    assert.match(probe('tfjs-wasm', tensorflowFolder(), prelude), /^@tensorflow\/tfjs-backend-wasm/);
  });
});
