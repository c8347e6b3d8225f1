import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { secretsIn } from '../../src/telemetry/log.js';
import { redact } from '../../src/telemetry/redact.js';
import { deployment, until } from '../helpers/distributed.js';
import { checkLeaks } from '../helpers/leaks.js';

checkLeaks();

describe('what is logged', () => {
  it('names no password of an address, however it is written', () => {
    for (const address of [
      'redis://:hunter2@h:6379/0',
      'rediss://worker:hunter2@[::1]:6380',
      'https://user:hunter2@example.com/p?q=1',
      'redis://a:hunter2@h1,redis://b:hunter2@h2',
      'redis://user:hunt/er@2@h:6379',
    ]) {
      const clean = redact(JSON.stringify({ error: `Cannot reach ${address} today` }));
      assert.doesNotMatch(clean, /hunt/, address);
      assert.match(JSON.parse(clean).error, /^Cannot reach .*\[redacted\]@.* today$/);
    }
  });

  it('names no key, token or signature', () => {
    const line = JSON.stringify({
      url: 'https://b.s3.amazonaws.com/k?X-Amz-Credential=AKIA/x&X-Amz-Signature=abcdef&x=1',
      headers: 'authorization: Bearer abcdef',
      credentials: { accessKeyId: 'AKIAabcdef', secretAccessKey: 'abc"def', sessionToken: 'abcdef', region: 'eu' },
    });
    const clean = redact(line);
    assert.doesNotMatch(clean, /abc|def|AKIA/);
    assert.deepEqual(JSON.parse(clean).credentials.region, 'eu');
    assert.match(JSON.parse(clean).url, /&x=1$/);
  });

  it('leaves addresses without secrets, e-mail addresses and plain text alone', () => {
    for (const text of ['redis://h:6379', 's3://bucket/a@b.jpg', 'mail a@b.example', 'file:///in/x@2x.png']) {
      assert.equal(redact(text), text);
    }
  });

  it('holds no value of a secret variable and no password of Redis, whatever they are', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 6, unit: 'grapheme' }), fc.string(), fc.string(), (secret, before, after) => {
        const secrets = secretsIn({ AWS_SECRET_ACCESS_KEY: secret }, 'redis://h');
        const clean = redact(JSON.stringify({ message: `${before}${secret}${after}` }), secrets);
        // What is left may hold it only where it stands for what was taken out.
        assert.ok(!clean.replaceAll('[redacted]', '').includes(JSON.stringify(secret).slice(1, -1)), clean);
      }),
      { numRuns: 300 },
    );
    const [coded, plain] = secretsIn({}, 'redis://u:p%40ssw%2Frd@h').filter(value => value !== '');
    assert.deepEqual([coded, plain], ['p%40ssw%2Frd', 'p@ssw/rd']);
  });
});

describe('the log of a worker', () => {
  it('is one object a line, without colours, and says more on SIGUSR2 until the next', async t => {
    const { enqueue, worker, results } = await deployment(t, 4, { AWS_SESSION_TOKEN: 'stopping' });
    const { log, child, end } = await worker();
    const lines = () =>
      log()
        .trim()
        .split('\n')
        .map(line => JSON.parse(line));
    assert.deepEqual(
      lines().map(({ level }) => level),
      ['info'],
    );
    child.kill('SIGUSR2');
    await until(() => log().includes('Log level changed'));
    await enqueue('job');
    await results('job');
    await until(() => lines().filter(({ message }) => message === 'Chunk done').length === 2);
    const done = lines().find(({ stage }) => stage === 'defend');
    assert.deepEqual([done.level, done.job, done.chunk], ['debug', 'job', 0]);
    assert.ok(!Number.isNaN(Date.parse(done.time)));
    child.kill('SIGUSR2');
    await until(() => log().includes('"log_level":"info"'));
    assert.equal(await end('SIGTERM'), 0);
    assert.match(log(), /Worker is \[redacted\]: it finishes/);
  });
});
