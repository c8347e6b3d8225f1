import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { deflector } from '../helpers/cli.js';
import { checkLeaks } from '../helpers/leaks.js';
import { CLI, REPOSITORY } from '../helpers/repository.js';

checkLeaks();

function toDataUrl(module: string): string {
  return `data:text/javascript,${encodeURIComponent(module)}`;
}

describe('the command line', () => {
  it('prints its help, with the exit codes', async () => {
    const { code, stdout, stderr } = await deflector(['--help']);
    assert.equal(code, 0);
    assert.equal(stderr, '');
    assert.match(stdout, /^Usage: deflector /);
    assert.match(stdout, /Exit codes: 0 done, /);
  });

  it('loads no package but commander for its help, so that help comes at once', async () => {
    // A hook that prints what is loaded (https://nodejs.org/docs/latest-v20.x/api/module.html#customization-hooks).
    const hook = `export async function load(url, context, next) { process._rawDebug(url); return next(url, context); }`;
    const register = `import { register } from 'node:module'; register(${JSON.stringify(toDataUrl(hook))});`;
    const { stderr } = await deflector(['--help'], { env: { NODE_OPTIONS: `--import=${toDataUrl(register)}` } });
    const packages = [...stderr.matchAll(/\/node_modules\/((?:@[^/]+\/)?[^/]+)\//g)].map(([, name]) => name);
    assert.deepEqual([...new Set(packages)], ['commander'], stderr);
  });

  it('prints the version of the package', async () => {
    const { version } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8'));
    assert.deepEqual(await deflector(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('takes no command as bad usage, and shows the help', async () => {
    const { code, stderr } = await deflector([]);
    assert.equal(code, 2);
    assert.match(stderr, /^Usage: deflector /);
  });

  it('names the command that was meant', async () => {
    const { code, stdout, stderr } = await deflector(['docter']);
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.equal(
      stderr,
      "error COMMAND_INVALID: unknown command 'docter' (Did you mean doctor?)\n" +
        'See `deflector --help` and `deflector COMMAND --help`.\n',
    );
  });

  it('names the option that was meant', async () => {
    const { code, stderr } = await deflector(['doctor', '--jsn']);
    assert.equal(code, 2);
    assert.match(stderr, /^error COMMAND_INVALID: unknown option '--jsn' \(Did you mean --json\?\)\n/);
  });

  it('shows what cannot be seen, so that no argument can move the cursor', async () => {
    const { stderr } = await deflector(['\x1b[2Jx']);
    assert.match(stderr, /^error COMMAND_INVALID: unknown command '\\u\{1b\}\[2Jx'\n/);
  });

  it('prints where an error came from only when asked', async () => {
    assert.doesNotMatch((await deflector(['docter'])).stderr, /\n {4}at /);
    assert.match((await deflector(['docter'], { env: { DEBUG: '1' } })).stderr, /\n {4}at /);
    assert.match((await deflector(['--debug', 'docter'])).stderr, /\n {4}at /);
  });

  it('does not mind a reader that closes the pipe early', async () => {
    const child = spawn(process.execPath, [CLI, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', text => (stderr += text));
    const [code] = await once(child, 'close');
    assert.deepEqual([code, stderr], [0, '']);
  });
});
