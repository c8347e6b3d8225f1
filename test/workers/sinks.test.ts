import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { deployment } from '../helpers/distributed.js';
import { checkLeaks } from '../helpers/leaks.js';

checkLeaks();

describe('a sink that refuses verdicts', () => {
  it('holds no job up: they are counted, become dead letters, and are delivered when it is mended', async t => {
    let status = 503;
    const taken: string[] = [];
    const server = createServer(async (request, response) => {
      const pieces: Buffer[] = [];
      for await (const piece of request) pieces.push(piece as Buffer);
      const { verdicts } = JSON.parse(Buffer.concat(pieces).toString()) as { verdicts: { verdict: { key: string } }[] };
      if (status === 204) taken.push(...verdicts.map(({ verdict }) => verdict.key));
      response.writeHead(status).end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const { enqueue, worker, command } = await deployment(t, 20, { DEFLECTOR_WEBHOOK_SECRET: 'a-secret-that-is-long' });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
    await worker(['--sink', url, '--webhook-tries', '1']);
    assert.equal((await enqueue('job')).code, 0);
    const waited = await command('jobs', 'wait', 'job', '--quiet');
    assert.equal(waited.code, 0, waited.stderr);
    const dead = JSON.parse((await command('jobs', 'dead', 'job', '--json')).stdout) as {
      code: string;
      keys: string[];
    }[];
    assert.deepEqual(
      dead.map(({ code, keys }) => [code, keys.length]),
      [
        ['SINK_REFUSED', 16],
        ['SINK_REFUSED', 4],
      ],
    );

    status = 204;
    const r = await command('jobs', 'retry', 'job');
    assert.equal(r.code, 0, r.stderr);
    assert.equal((await command('jobs', 'wait', 'job', '--quiet')).code, 0);
    assert.deepEqual(taken.sort(), dead.flatMap(({ keys }) => keys).sort());
    assert.deepEqual(JSON.parse((await command('jobs', 'dead', 'job', '--json')).stdout), []);
  });
});
