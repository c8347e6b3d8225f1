import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { InjectOptions, LightMyRequestResponse as Response } from 'fastify';
import { DeflectorError, type ErrorCode } from '../../src/errors.js';
import { SIGNATURE_SCHEME, signatureOf } from '../../src/gateway/authentication.js';
import type { Reconciliation } from '../../src/gateway/reconciliation.js';
import { checkLeaks } from '../helpers/leaks.js';
import { JOB, testGateway } from '../helpers/test-gateway.js';

checkLeaks();

const TOKEN = 'a-token-that-is-long-enough';
const SECRET = 'a-secret-that-is-long-enough';
const json = { 'content-type': 'application/json' };

function assertProblem(response: Response, status: number, code: ErrorCode): void {
  assert.equal(response.statusCode, status, response.body);
  assert.match(String(response.headers['content-type']), /^application\/problem\+json/);
  const problem = response.json();
  assert.deepEqual([problem.status, problem.code, problem.type], [status, code, `urn:deflector:error:${code}`]);
}

async function ended(reconciliation: Reconciliation): Promise<void> {
  while (reconciliation.last.state === 'running') await sleep(5);
}

const images = (...keys: string[]): InjectOptions => ({
  method: 'POST',
  url: '/v1/images',
  headers: json,
  payload: JSON.stringify({ keys }),
});

const event = (key: string, sequencer = '1', bucket = 'photos'): InjectOptions => ({
  method: 'POST',
  url: '/v1/events',
  headers: json,
  payload: JSON.stringify({
    Records: [{ eventName: 's3:ObjectCreated:Put', s3: { bucket: { name: bucket }, object: { key, sequencer } } }],
  }),
});

describe('the gateway takes images in', () => {
  it('by the event of an upload, once however often and in which order events come', async t => {
    const { app, stage } = await testGateway(t);
    const counts = async (request: InjectOptions) => {
      const response = await app.inject(request);
      assert.equal(response.statusCode, 202, response.body);
      const { accepted, duplicates, skipped, refused } = response.json();
      return [accepted, duplicates, skipped, refused];
    };
    assert.deepEqual(await counts(event('in/b.jpg', '2')), [1, 0, 0, 0]);
    assert.deepEqual(await counts(event('in/a.jpg', '1')), [1, 0, 0, 0]);
    assert.deepEqual(await counts(event('in/b.jpg', '2')), [0, 1, 0, 0]);
    // The next upload under the same name.
    assert.deepEqual(await counts(event('in/b.jpg', '3')), [1, 0, 0, 0]);
    assert.deepEqual(await counts(event('in/notes.txt')), [0, 0, 1, 0]);
    assert.deepEqual(stage.queued, ['photos/in/b.jpg', 'photos/in/a.jpg', 'photos/in/b.jpg']);
    const test = { ...event(''), payload: JSON.stringify({ Event: 's3:TestEvent', Bucket: 'photos' }) };
    assert.deepEqual(await counts(test), [0, 0, 1, 0]);
  });

  it('by CloudEvents in all three modes', async t => {
    const { app, stage } = await testGateway(t);
    const cloud = (n: number) => ({
      specversion: '1.0',
      id: `${n}`,
      source: '/uploads',
      type: 'image.created',
      data: { bucket: 'photos', key: `in/${n}.jpg` },
    });
    const send = async (type: string, body: unknown, headers: Record<string, string> = {}) => {
      const payload = JSON.stringify(body);
      const response = await app.inject({
        method: 'POST',
        url: '/v1/events',
        headers: { 'content-type': type, ...headers },
        payload,
      });
      assert.equal(response.statusCode, 202, response.body);
    };
    await send('application/cloudevents+json; charset=utf-8', cloud(1));
    await send('application/cloudevents-batch+json', [cloud(2), cloud(3), cloud(1)]);
    await send('application/json', cloud(3));
    const { data, ...attributes } = cloud(4);
    await send(
      'application/json',
      data,
      Object.fromEntries(Object.entries(attributes).map(([k, v]) => [`ce-${k}`, v])),
    );
    assert.deepEqual(
      stage.queued,
      [1, 2, 3, 4].map(n => `photos/in/${n}.jpg`),
    );
  });

  it('by their names, and says where to ask for their verdicts', async t => {
    const { app } = await testGateway(t);
    const response = await app.inject(images('s3://photos/in/a.jpg', 's3://photos/in/b.jpg'));
    assert.equal(response.statusCode, 202);
    assert.equal(response.headers.location, `/v1/jobs/${JOB.name}`);
    const ids = response.json().images.map(({ id }: { id: string }) => id);
    assert.deepEqual(ids, [`${JOB.name}:${JOB.id}:0:0`, `${JOB.name}:${JOB.id}:0:1`]);
    const verdict = await app.inject(`/v1/verdicts/${ids[0]}`);
    assert.deepEqual([verdict.json().state, verdict.json().verdict.key], ['done', 'photos/in/a.jpg']);
    assert.equal((await app.inject(`/v1/verdicts/${JOB.name}:${JOB.id}:1:0`)).json().state, 'pending');
    for (const id of [
      `${JOB.name}:${JOB.id}:2:0`,
      `${JOB.name}:00:0:0`,
      `other:${JOB.id}:0:0`,
      `${JOB.name}:${JOB.id}:0:7`,
    ]) {
      assertProblem(await app.inject(`/v1/verdicts/${id}`), 404, 'VERDICT_NOT_FOUND');
    }
  });

  it('only from what is allowed, and never from an address', async t => {
    const { app, stage } = await testGateway(t);
    for (const key of ['s3://photos/inside/a.jpg', 's3://photos/a.jpg', 's3://other/in/a.jpg']) {
      assertProblem(await app.inject(images('s3://photos/in/good.jpg', key)), 403, 'STORE_DENIED');
    }
    for (const key of [
      'https://example.org/a.jpg',
      'file:///etc/passwd',
      '/etc/passwd',
      's3://photos/in/../../etc/passwd',
    ]) {
      assertProblem(await app.inject(images(key)), 422, 'KEY_INVALID');
    }
    assertProblem(await app.inject(event('in/a.jpg', '1', 'other')), 403, 'STORE_DENIED');
    assert.deepEqual(stage.queued, []);
  });

  it('by a listing, those that no event told of', async t => {
    const { app, stage, reconciliation } = await testGateway(t);
    await app.inject(event('in/known.jpg'));
    stage.queued.length = 0;
    const modified = Date.now() - 3_600_000;
    const entry = (key: string, more = {}) => ({ key, size: 1, modified, ...more });
    stage.listed.push(
      entry('known.jpg', { etag: '' }),
      entry('missed.jpg', { etag: 'x' }),
      entry('notes.txt'),
      entry('fresh.jpg', { modified: Date.now() }),
    );
    const again = () => app.inject({ method: 'POST', url: '/v1/reconcile', headers: json, payload: '{}' });
    assert.equal((await again()).json().state, 'running');
    await ended(reconciliation);
    assert.deepEqual(stage.queued, ['photos/in/missed.jpg']);
    await again();
    await ended(reconciliation);
    const { state, listed, accepted } = (await app.inject('/v1/reconcile')).json();
    assert.deepEqual([state, listed, accepted], ['done', 4, 0]);
    const foreign = { method: 'POST', url: '/v1/reconcile', headers: json, payload: '{"below":"s3://other"}' } as const;
    assertProblem(await app.inject(foreign), 403, 'STORE_DENIED');
  });

  it('not while the queue is full, nor where queueing fails; what was refused can be sent again', async t => {
    const { app, stage } = await testGateway(t);
    stage.full = true;
    for (const request of [event('in/a.jpg'), images('s3://photos/in/a.jpg')]) {
      const response = await app.inject(request);
      assertProblem(response, 429, 'OVERLOADED');
      assert.match(String(response.headers['retry-after']), /^\d+$/);
    }
    stage.full = false;
    stage.fault = new DeflectorError('STORE_UNREACHABLE', 'http://inner.example:9000 does not answer');
    const response = await app.inject(event('in/a.jpg'));
    assertProblem(response, 503, 'STORE_UNREACHABLE');
    assert.doesNotMatch(response.body, /inner\.example/);
    stage.fault = undefined;
    assert.equal((await app.inject(event('in/a.jpg'))).json().accepted, 1);
  });
});

describe('the gateway defends an image at once', () => {
  const bytes = Buffer.from('what an image may hold');
  const form = (boundary: string) =>
    Buffer.from(
      `--${boundary}\r\ncontent-disposition: form-data; name="image"; filename="cat.jpg"\r\ncontent-type: image/jpeg\r\n\r\n${bytes}\r\n--${boundary}--\r\n`,
    );

  it('from its bytes or from a form', async t => {
    const { app, stage } = await testGateway(t);
    const url = '/v1/defend?name=dog.png';
    const plain = await app.inject({ method: 'POST', url, headers: { 'content-type': 'image/png' }, payload: bytes });
    assert.deepEqual([plain.statusCode, plain.json().key], [200, 'dog.png']);
    const headers = { 'content-type': 'multipart/form-data; boundary=x' };
    const posted = await app.inject({ method: 'POST', url: '/v1/defend', headers, payload: form('x') });
    assert.deepEqual([posted.statusCode, posted.json().key], [200, 'cat.jpg']);
    assert.deepEqual(
      stage.defended.map(({ bytes }) => String(bytes)),
      [String(bytes), String(bytes)],
    );
  });

  it('within the time that the client has, and not beyond that of the gateway', async t => {
    const { app, stage } = await testGateway(t);
    const headers = { 'content-type': 'image/png' };
    for (const prefer of ['wait=2', 'respond-async, wait=7', 'wait=900', 'wait=x']) {
      await app.inject({ method: 'POST', url: '/v1/defend', headers: { ...headers, prefer }, payload: bytes });
    }
    assert.deepEqual(
      stage.defended.map(({ deadline }) => deadline),
      [2000, 7000, 30_000, 30_000],
    );
    stage.defend = async () => {
      throw new DeflectorError('DEADLINE_EXCEEDED', 'too late');
    };
    assertProblem(
      await app.inject({ method: 'POST', url: '/v1/defend', headers, payload: bytes }),
      504,
      'DEADLINE_EXCEEDED',
    );
  });

  it('and shows how', async t => {
    const { app } = await testGateway(t);
    const headers = { 'content-type': 'image/png' };
    const { pictures, width } = (
      await app.inject({ method: 'POST', url: '/v1/explain', headers, payload: bytes })
    ).json();
    assert.ok(width > 0);
    assert.deepEqual(Object.keys(pictures), ['input', 'map', 'deflected', 'defended', 'difference']);
    for (const picture of Object.values(pictures)) assert.match(String(picture), /^data:image\/png;base64,iVBORw0KGgo/);
  });

  it('of no more bytes than allowed, and of no other type', async t => {
    const { app } = await testGateway(t, {}, { maxBytes: 1000 });
    const big = Buffer.alloc(1001);
    const send = (type: string, payload: Buffer) =>
      app.inject({ method: 'POST', url: '/v1/defend', headers: { 'content-type': type }, payload });
    assertProblem(await send('image/png', big), 413, 'REQUEST_TOO_LARGE');
    const boundary = 'x';
    const head = `--${boundary}\r\ncontent-disposition: form-data; name="a"; filename="a"\r\n\r\n`;
    const payload = Buffer.concat([Buffer.from(head), big, Buffer.from(`\r\n--${boundary}--\r\n`)]);
    assertProblem(await send('multipart/form-data; boundary=x', payload), 413, 'REQUEST_TOO_LARGE');
    assertProblem(await send('text/plain', bytes), 415, 'MEDIA_TYPE_UNSUPPORTED');
    assertProblem(await send('application/json', Buffer.from('{}')), 415, 'MEDIA_TYPE_UNSUPPORTED');
  });
});

describe('the gateway shows jobs', () => {
  it('without their settings: the seed is a secret', async t => {
    const { app } = await testGateway(t);
    const one = await app.inject(`/v1/jobs/${JOB.name}`);
    assert.deepEqual([one.json().state, one.json().images], ['listing', 3]);
    const all = await app.inject('/v1/jobs');
    assert.deepEqual(all.json().jobs, [one.json()]);
    assert.doesNotMatch(all.body, /secret/);
    assertProblem(await app.inject('/v1/jobs/other'), 404, 'JOB_NOT_FOUND');
  });

  it('as they go on, until their end', async t => {
    const { app, stage } = await testGateway(t);
    stage.states.splice(0, 1, 'running', 'complete');
    const { headers, body } = await app.inject(`/v1/jobs/${JOB.name}/events`);
    assert.match(String(headers['content-type']), /^text\/event-stream/);
    const events = body
      .split('\n\n')
      .filter(text => text !== '')
      .map(text => [/^event: (\w+)$/m.exec(text)?.[1], JSON.parse(/^data: (.*)$/m.exec(text)![1]!).state]);
    assert.deepEqual(events, [
      ['progress', 'running'],
      ['progress', 'complete'],
      ['end', 'complete'],
    ]);
  });

  it('and lets go of who watches when it closes', async t => {
    const { app } = await testGateway(t);
    const address = await app.listen({ host: '127.0.0.1', port: 0 });
    const response = await fetch(`${address}/v1/jobs/${JOB.name}/events`);
    const reader = response.body!.getReader();
    await reader.read();
    await app.close();
    let end = await reader.read();
    while (!end.done) end = await reader.read();
  });
});

describe('the gateway lets in', () => {
  const credentials = { tokens: [{ name: 'shop', secret: TOKEN }], hmacKeys: [{ name: 'camera', secret: SECRET }] };
  const at = (authorization: string | undefined): InjectOptions => ({
    url: '/v1/jobs',
    ...(authorization === undefined ? {} : { headers: { authorization } }),
  });
  const basic = (name: string, token: string) => `Basic ${Buffer.from(`${name}:${token}`).toString('base64')}`;

  it('who has a token', async t => {
    const { app } = await testGateway(t, credentials);
    for (const authorization of [`Bearer ${TOKEN}`, `bearer ${TOKEN}`, basic('shop', TOKEN)]) {
      assert.equal((await app.inject(at(authorization))).statusCode, 200);
    }
  });

  it('nobody with a wrong one, or with none', async t => {
    const { app } = await testGateway(t, credentials);
    const wrong = [
      undefined,
      '',
      'Bearer',
      'Bearer x',
      `Bearer ${TOKEN}x`,
      `Bearer ${TOKEN.slice(1)}`,
      `Bearer ${SECRET}`,
    ];
    for (const authorization of [...wrong, `Token ${TOKEN}`, basic('other', TOKEN), basic('shop', 'x'), 'Basic ???']) {
      const response = await app.inject(at(authorization));
      assertProblem(response, 401, 'UNAUTHENTICATED');
      assert.match(String(response.headers['www-authenticate']), /^Bearer /);
    }
    for (const url of ['/', '/page.js', '/openapi.json', '/healthz', '/readyz']) {
      assert.equal((await app.inject(url)).statusCode, 200, url);
    }
    for (const url of ['/metrics', '/nowhere', '/v1/reconcile'])
      assertProblem(await app.inject(url), 401, 'UNAUTHENTICATED');
  });

  it('who signs the very request, once, in time', async t => {
    let now = 1_800_000_000;
    const { app } = await testGateway(t, { ...credentials, now: () => now });
    const payload = JSON.stringify({ keys: ['s3://photos/in/a.jpg'] });
    const sign = (changes: Record<string, string> = {}, body = payload): string => {
      const parts = {
        method: 'POST',
        target: '/v1/images',
        timestamp: String(now),
        nonce: `nonce-${Math.random().toString(36).slice(2)}-12345678`,
        bodySha256: createHash('sha256').update(body).digest('hex'),
        key: 'camera',
        secret: SECRET,
        ...changes,
      };
      const { timestamp, nonce, key } = parts;
      return `${SIGNATURE_SCHEME} key=${key},timestamp=${timestamp},nonce=${nonce},signature=${signatureOf(parts.secret, parts)}`;
    };
    const send = (authorization: string) =>
      app.inject({ method: 'POST', url: '/v1/images', headers: { ...json, authorization }, payload });

    const good = sign();
    assert.equal((await send(good)).statusCode, 202);
    assertProblem(await send(good), 401, 'UNAUTHENTICATED');
    assert.match((await send(good)).json().detail, /used before/);
    assert.equal((await send(sign({ timestamp: String(now - 299) }))).statusCode, 202);
    for (const wrong of [
      sign({ timestamp: String(now - 301) }),
      sign({ timestamp: String(now + 301) }),
      sign({ secret: TOKEN }),
      sign({ key: 'other' }),
      sign({ key: '', secret: '' }),
      sign({ method: 'PUT' }),
      sign({ target: '/v1/events' }),
      sign({}, '{"keys":["s3://photos/in/b.jpg"]}'),
      sign().replace(/nonce=[^,]*/, 'nonce=short'),
      sign().replace(/nonce=[^,]*/, 'nonce=another-nonce-12345678'),
      sign().slice(0, -1),
      `${SIGNATURE_SCHEME} `,
    ]) {
      assertProblem(await send(wrong), 401, 'UNAUTHENTICATED');
    }
    const kept = sign();
    now += 301;
    assertProblem(await send(kept), 401, 'UNAUTHENTICATED');
    // What has no body can be signed, too.
    const get = sign({ method: 'GET', target: '/v1/jobs' }, '');
    assert.equal((await app.inject(at(get))).statusCode, 200);
  });

  it('one client no more often than it may, and others all the same', async t => {
    const tokens = ['one', 'two'].map(name => ({ name, secret: `${name}-${TOKEN}` }));
    const { app } = await testGateway(t, { tokens }, { rate: 5 });
    const call = (name: string) => app.inject(at(`Bearer ${name}-${TOKEN}`));
    const answers = await Promise.all(Array.from({ length: 20 }, () => call('one')));
    const refused = answers.filter(({ statusCode }) => statusCode === 429);
    // All within one second, or around the end of one.
    assert.ok(refused.length >= 10, `${refused.length} of 20 refused`);
    assertProblem(refused[0]!, 429, 'RATE_LIMITED');
    assert.equal(refused[0]!.headers['retry-after'], '1');
    assert.equal((await call('two')).statusCode, 200);
    const guesses = await Promise.all(Array.from({ length: 20 }, () => app.inject(at('Bearer wrong'))));
    assert.ok(guesses.some(({ statusCode }) => statusCode === 429));
  });

  it('no page of another site', async t => {
    for (const { app } of [await testGateway(t), await testGateway(t, credentials)]) {
      const authorization = `Bearer ${TOKEN}`;
      for (const headers of [
        { 'sec-fetch-site': 'cross-site' },
        { 'sec-fetch-site': 'same-site' },
        { origin: 'https://elsewhere.example' },
        { origin: 'null' },
      ]) {
        const response = await app.inject({ url: '/v1/jobs', headers: { authorization, ...headers } });
        assertProblem(response, 403, 'REQUEST_FOREIGN');
      }
      const own = { host: 'localhost:80', origin: 'http://localhost:80', 'sec-fetch-site': 'same-origin' };
      assert.notEqual((await app.inject({ url: '/v1/jobs', headers: { ...own, authorization } })).statusCode, 500);
    }
    const { app } = await testGateway(t);
    assertProblem(await app.inject({ url: '/v1/jobs', headers: { host: 'rebound.example' } }), 403, 'REQUEST_FOREIGN');
  });
});

describe('an Idempotency-Key', () => {
  const keyed = (request: InjectOptions, key: string): InjectOptions => ({
    ...request,
    headers: { ...request.headers, 'idempotency-key': key },
  });

  it('gives the first answer to the same request again, and does nothing twice', async t => {
    const { app, stage } = await testGateway(t);
    const request = keyed(images('s3://photos/in/a.jpg'), 'k1');
    const first = await app.inject(request);
    const second = await app.inject(request);
    assert.deepEqual(
      [second.statusCode, second.body, second.headers.location],
      [202, first.body, first.headers.location],
    );
    assert.deepEqual(
      [first.headers['idempotency-replayed'], second.headers['idempotency-replayed']],
      [undefined, 'true'],
    );
    assert.equal(stage.queued.length, 1);
    await app.inject(keyed(images('s3://photos/in/a.jpg'), 'k2'));
    assert.equal(stage.queued.length, 2);
  });

  it('stands for one request of one client', async t => {
    const tokens = ['one', 'two'].map(name => ({ name, secret: `${name}-${TOKEN}` }));
    const { app } = await testGateway(t, { tokens });
    const by = (name: string, request: InjectOptions) =>
      app.inject({ ...request, headers: { ...request.headers, authorization: `Bearer ${name}-${TOKEN}` } });
    assert.equal((await by('one', keyed(images('s3://photos/in/a.jpg'), 'k'))).statusCode, 202);
    assertProblem(await by('one', keyed(images('s3://photos/in/b.jpg'), 'k')), 422, 'IDEMPOTENCY_MISMATCH');
    assertProblem(await by('one', keyed(event('in/a.jpg'), 'k')), 422, 'IDEMPOTENCY_MISMATCH');
    assert.equal((await by('two', keyed(images('s3://photos/in/b.jpg'), 'k'))).statusCode, 202);
  });

  it('is not used up by a failure that may pass', async t => {
    const { app, stage } = await testGateway(t);
    stage.full = true;
    const request = keyed(images('s3://photos/in/a.jpg'), 'k');
    assertProblem(await app.inject(request), 429, 'OVERLOADED');
    stage.full = false;
    assert.equal((await app.inject(request)).statusCode, 202);
  });

  it('lets the second wait for the first', async t => {
    const { app, stage } = await testGateway(t);
    const reply = stage.defend;
    const gate = new EventEmitter();
    stage.defend = async (...args) => {
      gate.emit('entered');
      await once(gate, 'released');
      return reply(...args);
    };
    const entered = once(gate, 'entered');
    const headers = { 'content-type': 'image/png' };
    const request = keyed({ method: 'POST', url: '/v1/defend', headers, payload: Buffer.from('x') }, 'k');
    const first = app.inject(request);
    await entered;
    assertProblem(await app.inject(request), 409, 'IDEMPOTENCY_PENDING');
    gate.emit('released');
    assert.equal((await first).statusCode, 200);
    assert.equal((await app.inject(request)).body, (await first).body);
  });

  it('is one to 255 visible characters, and not for forms', async t => {
    const { app } = await testGateway(t);
    assertProblem(await app.inject(keyed(images('s3://photos/in/a.jpg'), 'k'.repeat(256))), 400, 'REQUEST_INVALID');
    const headers = { 'content-type': 'multipart/form-data; boundary=x' };
    const form = keyed({ method: 'POST', url: '/v1/defend', headers, payload: '--x--' }, 'k');
    assertProblem(await app.inject(form), 415, 'MEDIA_TYPE_UNSUPPORTED');
  });
});
