import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import type { InjectOptions } from 'fastify';
import { resolveSettings } from '../../src/config/settings.js';
import { PooledDefence } from '../../src/gateway/direct-defence.js';
import { temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { type TestGateway, testGateway } from '../helpers/test-gateway.js';
import { writeTinyModel } from '../helpers/tiny-model.js';
import { encode } from '../images/fixtures.js';

checkLeaks();

/** Bodies of each kind; `FUZZ_BODIES` asks for another number. */
const BODIES = Number(process.env.FUZZ_BODIES ?? 400);

const bytes = fc.uint8Array({ maxLength: 300 }).map(array => Buffer.from(array));
const anyJson = fc.jsonValue({ maxDepth: 5 }).map(value => Buffer.from(JSON.stringify(value)));

/** JSON that looks like what is expected, with something wrong in one place. */
function almost(value: unknown): fc.Arbitrary<Buffer> {
  const places: (readonly (string | number)[])[] = [];
  const walk = (node: unknown, path: readonly (string | number)[]): void => {
    places.push(path);
    if (typeof node !== 'object' || node === null) return;
    for (const [name, child] of Object.entries(node)) walk(child, [...path, name]);
  };
  walk(value, []);
  const put = (node: unknown, [name, ...rest]: readonly (string | number)[], wrong: unknown): unknown => {
    if (name === undefined) return wrong;
    const copy = Array.isArray(node) ? [...node] : { ...(node as object) };
    Object.assign(copy, { [name]: put((node as Record<string, unknown>)[name], rest, wrong) });
    return copy;
  };
  // A string in the place of another may be just as good, and of what may be missing anything but a string is wrong.
  const wrong = fc.jsonValue({ maxDepth: 2 }).filter(json => typeof json !== 'string' && json !== null);
  return fc
    .tuple(fc.constantFrom(...places), wrong)
    .map(([path, json]) => Buffer.from(JSON.stringify(put(value, path, json))));
}

const notification = {
  Records: [
    {
      eventName: 's3:ObjectCreated:Put',
      s3: { bucket: { name: 'photos' }, object: { key: 'elsewhere/a.jpg', eTag: 'x', sequencer: '1' } },
    },
  ],
};
const cloudEvent = { specversion: '1.0', id: '1', source: '/a', type: 't', data: { bucket: 'other', key: 'a.jpg' } };

describe('no body brings the gateway down', () => {
  let gateway: TestGateway;
  let images: Buffer[];
  const ends: (() => unknown)[] = [];
  before(async () => {
    const t = { after: (end: () => unknown) => void ends.unshift(end) } as Parameters<typeof testGateway>[0];
    const model = await writeTinyModel(join(await temporaryFolder(t), 'tiny'));
    const direct = new PooledDefence(resolveSettings({ flags: { model, runs: 1, threads: 1 } }));
    ends.unshift(() => direct.close());
    gateway = await testGateway(t);
    gateway.stage.defend = (...args) => direct.defend(...args);
    const pixels = { width: 9, height: 7, data: Uint8Array.from({ length: 9 * 7 * 3 }, (_, i) => i) };
    images = await Promise.all((['png', 'jpeg', 'webp', 'gif', 'tiff'] as const).map(format => encode(pixels, format)));
  });
  after(async () => {
    for (const end of ends) await end();
  });

  const refused = (requests: fc.Arbitrary<InjectOptions>) =>
    fc.assert(
      fc.asyncProperty(requests, async request => {
        const { statusCode, headers, body } = await gateway.app.inject({ method: 'POST', ...request });
        assert.ok(statusCode >= 400 && statusCode < 500, `${statusCode}: ${body}`);
        assert.match(String(headers['content-type']), /^application\/problem\+json/);
      }),
      { numRuns: BODIES },
    );
  const to = (url: string, type: string) => (payload: Buffer) => ({ url, headers: { 'content-type': type }, payload });

  it('of events', () => {
    const types = ['application/json', 'application/cloudevents+json', 'application/cloudevents-batch+json'];
    const bodies = fc.oneof(bytes, anyJson, almost(notification), almost(cloudEvent), almost([cloudEvent]));
    const events = fc.tuple(bodies, fc.constantFrom(...types)).map(([body, type]) => to('/v1/events', type)(body));
    // An empty batch, and objects that are no images, are in order.
    return refused(events.filter(({ payload }) => !/^\s*\[\s*\]\s*$/.test(payload.toString())));
  });

  it('of keys', () => {
    const keys = fc.oneof(bytes, anyJson, almost({ keys: ['s3://photos/a.jpg', 's3://photos/in/b.jpg'] }));
    return refused(keys.map(to('/v1/images', 'application/json')));
  });

  it('of images', () => {
    // Cut short, or with bytes of the head changed.
    const broken = fc
      .tuple(fc.nat(4), fc.nat(), fc.uint8Array({ minLength: 4, maxLength: 12 }))
      .map(([which, at, noise]) => {
        const image = images[which]!;
        const cut = image.subarray(0, 1 + (at % 20));
        return Buffer.concat([Buffer.from(noise), cut]);
      });
    const types = fc.constantFrom('image/jpeg', 'image/png', 'application/octet-stream');
    return refused(fc.tuple(fc.oneof(bytes, broken), types).map(([body, type]) => to('/v1/defend', type)(body)));
  });

  it('of forms', () => {
    const lines = fc.constantFrom('--x', '--x--', '', 'content-disposition: form-data; name="a"; filename="b"', 'c: d');
    const forms = fc.oneof(
      bytes,
      fc.array(lines, { maxLength: 12 }).map(list => Buffer.from(list.join('\r\n'))),
    );
    return refused(forms.map(to('/v1/defend', 'multipart/form-data; boundary=x')));
  });

  it('of any type', () => {
    const types = fc.oneof(
      fc.constantFrom('', 'text/plain', 'multipart/form-data', '*/*', 'application/json;;'),
      fc.string(),
    );
    const visible = types.map(type => type.replace(/[^\x20-\x7e]/g, ''));
    const urls = fc.constantFrom(
      '/v1/events',
      '/v1/images',
      '/v1/defend',
      '/v1/explain',
      '/v1/reconcile?x',
      '/',
      '/queues',
    );
    return refused(fc.tuple(urls, visible, bytes).map(([url, type, body]) => to(url, type)(body)));
  });
});
