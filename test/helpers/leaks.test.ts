import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { promisify } from 'node:util';

const folder = mkdtempSync(join(tmpdir(), 'deflector-leaks-'));
after(() => rmSync(folder, { recursive: true }));

let files = 0;

/** Runs a test file with this body, the check at its top. */
async function outcome(body: string): Promise<{ readonly status: number; readonly output: string }> {
  const file = join(folder, `${files++}.test.mjs`);
  const helper = new URL('./leaks.js', import.meta.url).href;
  writeFileSync(file, `import { it } from 'node:test'; import { checkLeaks } from '${helper}'; checkLeaks();\n${body}`);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  return promisify(execFile)(process.execPath, ['--test', file], { env }).then(
    ({ stdout }) => ({ status: 0, output: stdout }),
    ({ code, stdout }) => ({ status: code, output: stdout }),
  );
}

describe('the leak check', { concurrency: 2 }, () => {
  const end = 'setTimeout(() => process.exit(), 3000).unref();';
  const leaks: readonly (readonly [string, string, string])[] = [
    ['a timer', `setInterval(() => {}, 1000); ${end}`, 'Timeout'],
    ['a server', `(await import('node:net')).createServer().listen(0); ${end}`, 'TCPServerWrap'],
    [
      'a thread',
      `new (await import('node:worker_threads')).Worker('setInterval(() => {}, 1000)', { eval: true }); ${end}`,
      'Thread',
    ],
    ['a file', `(await import('node:fs')).openSync(${JSON.stringify(join(folder, 'open'))}, 'w')`, 'open'],
  ];
  for (const [what, code, name] of leaks) {
    it(`fails a test file that leaves ${what} open`, async () => {
      const { status, output } = await outcome(`it('leaks', async () => { ${code} });`);
      assert.equal(status, 1, output);
      assert.match(output, /something was left open/);
      assert.match(output, new RegExp(name));
    });
  }

  it('passes a test file that ends what it began, even if the end takes a moment', async () => {
    const { status, output } = await outcome(`it('waits', async () => { setTimeout(() => {}, 100); });`);
    assert.equal(status, 0, output);
  });
});
