import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { parseVerdict } from '../../src/sinks/verdict-json.js';
import { type WebhookOptions, WebhookSink } from '../../src/sinks/webhook-sink.js';
import type { Verdict } from '../../src/types.js';
import { resultSinkConformance } from '../conformance/result-sink.js';
import { checkLeaks } from '../helpers/leaks.js';
import { errorVerdict, okVerdict } from '../helpers/verdicts.js';

checkLeaks();

const SECRET = 'a-secret-that-is-long-enough';

interface Call {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Whoever is called. @param answer to the n-th call, from 0; 204 where left out */
async function receiver(t: Pick<TestContext, 'after'>, answer?: (call: number, response: ServerResponse) => void) {
  const calls: Call[] = [];
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    calls.push({ headers: request.headers, body: Buffer.concat(pieces).toString() });
    if (answer === undefined) response.writeHead(204).end();
    else answer(calls.length - 1, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.closeAllConnections();
    server.close();
  });
  return { calls, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?path=secret` };
}

function sinkTo(url: string, more: Partial<WebhookOptions> = {}): WebhookSink {
  return new WebhookSink({ url, secret: SECRET, tries: 4, timeout: 5, backoff: () => 1, ...more });
}

function items(calls: readonly Call[]): { id: string; verdict: Verdict }[] {
  return calls.flatMap(({ body }) =>
    (JSON.parse(body).verdicts as { id: string; verdict: unknown }[]).map(({ id, verdict }) => ({
      id,
      verdict: parseVerdict(JSON.stringify(verdict), 'item'),
    })),
  );
}

const origin = { job: 'job', id: '00c0ffee', chunk: 3 };

resultSinkConformance('WebhookSink', async t => {
  const { calls, url } = await receiver(t);
  return {
    open: async () => sinkTo(url),
    durable: async () => items(calls).map(({ verdict }) => verdict),
    delivered: async () => items(calls).map(({ id }) => id),
  };
});

describe('WebhookSink', () => {
  it('signs what it sends, as Standard Webhooks has it', async t => {
    const { calls, url } = await receiver(t);
    for (const [secret, key] of [
      [SECRET, Buffer.from(SECRET)],
      [`whsec_${Buffer.from('24 bytes of a random key').toString('base64')}`, Buffer.from('24 bytes of a random key')],
    ] as const) {
      const sink = sinkTo(url, { secret });
      await sink.write([okVerdict('a.jpg'), errorVerdict('b.jpg')], origin);
      await sink.close();
      const { headers, body } = calls.at(-1)!;
      const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature } = headers;
      assert.equal(id, 'job:00c0ffee:3');
      assert.ok(Math.abs(Number(timestamp) - Date.now() / 1000) < 60);
      const expected = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
      assert.equal(signature, `v1,${expected}`);
      assert.doesNotMatch(JSON.stringify(headers) + body, new RegExp(SECRET));
    }
    assert.deepEqual(
      items(calls)
        .slice(0, 2)
        .map(({ id }) => id),
      ['job:00c0ffee:3:0', 'job:00c0ffee:3:1'],
    );
  });

  it('tries again, under the same id, until it is told that the verdicts were taken', async t => {
    const answers: ((response: ServerResponse) => void)[] = [
      response => response.writeHead(500).end('broken'),
      response => response.destroy(),
      response => response.writeHead(302, { location: '/elsewhere' }).end(),
      response => response.writeHead(200).end('taken'),
    ];
    const { calls, url } = await receiver(t, (call, response) => answers[call]!(response));
    const pauses: number[] = [];
    const backoff = (failures: number) => pauses.push(failures);
    const sink = sinkTo(url, { backoff });
    await sink.write([okVerdict('a.jpg')], origin);
    await sink.close();
    assert.deepEqual(pauses, [1, 2, 3]);
    assert.deepEqual(new Set(calls.map(({ headers }) => headers['webhook-id'])), new Set(['job:00c0ffee:3']));
  });

  it('follows no redirect', async t => {
    const elsewhere = await receiver(t);
    const { url } = await receiver(t, (_, response) => response.writeHead(307, { location: elsewhere.url }).end());
    const sink = sinkTo(url, { tries: 2 });
    await assert.rejects(sink.write([okVerdict('a.jpg')], origin), /it answered 307/);
    await sink.close();
    assert.deepEqual(elsewhere.calls, []);
  });

  it('gives up after so many tries, and does not tell the path, which may be a secret', async t => {
    const { calls, url } = await receiver(t, (_, response) => response.writeHead(410).end());
    const sink = sinkTo(url);
    await assert.rejects(sink.write([okVerdict('a.jpg')], origin), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'SINK_REFUSED');
      assert.match(
        error.message,
        /^The webhook at 127\.0\.0\.1:\d+ did not take verdicts in 4 tries: it answered 410$/,
      );
      return true;
    });
    assert.equal(calls.length, 4);
    // What one chunk met stands in the way of no other.
    await assert.rejects(sink.write([okVerdict('b.jpg')], origin));
    await sink.close();
    assert.equal(calls.length, 8);
  });

  it('waits no longer for an answer than it is told to', async t => {
    const { url } = await receiver(t, () => undefined);
    const sink = sinkTo(url, { timeout: 0.05, tries: 2 });
    await assert.rejects(sink.write([okVerdict('a.jpg')], origin), /no answer within 0\.05 s/);
    await sink.close();
  });

  it('lets go at once when it is asked to', async t => {
    const { url } = await receiver(t, (_, response) => response.writeHead(500).end());
    const stop = new AbortController();
    const sink = sinkTo(url, {
      backoff: () => {
        stop.abort(new Error('handed back'));
        return 3_600_000;
      },
    });
    await assert.rejects(sink.write([okVerdict('a.jpg')], origin, stop.signal));
    await sink.close();
  });
});
