import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { resolveSettings } from '../../src/config/settings.js';
import { find } from '../../src/doctor/finding.js';
import { examineRedis, examineS3 } from '../../src/doctor/services.js';
import { checkLeaks } from '../helpers/leaks.js';
import { startS3Server } from '../helpers/s3-server.js';

checkLeaks();

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.close();
    await once(server, 'close');
  }
});

async function listening(server: Server): Promise<string> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A server that answers the first bytes it gets in pieces, and remembers them. */
async function redis(answer: readonly string[]): Promise<{ readonly host: string; readonly heard: string[] }> {
  const heard: string[] = [];
  const serve = (socket: Socket) => {
    socket.on('error', () => undefined);
    socket.once('data', data => {
      heard.push(data.toString());
      if (answer.length === 0) socket.end();
      for (const piece of answer) socket.write(piece);
    });
  };
  return { host: await listening(createServer(serve)), heard };
}

/** A port where nobody listens. */
async function nobody(): Promise<string> {
  const host = await listening(createServer());
  const server = servers.pop();
  server?.close();
  if (server) await once(server, 'close');
  return host;
}

describe('Redis', () => {
  it('works when it answers PING, in however many pieces', async () => {
    const { host, heard } = await redis(['+PO', 'NG\r\n']);
    const finding = await find(examineRedis(`redis://${host}`));
    assert.deepEqual([finding.status, finding.detail], ['works', `${host} answers PING`]);
    assert.deepEqual(heard, ['*1\r\n$4\r\nPING\r\n']);
  });

  it('is sent the name and the password of its address, decoded', async () => {
    const { host, heard } = await redis(['+OK\r\n+PONG\r\n']);
    assert.equal((await find(examineRedis(`redis://me:p%40ss@${host}/0`))).status, 'works');
    assert.deepEqual(heard, ['*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$4\r\np@ss\r\n*1\r\n$4\r\nPING\r\n']);
  });

  it('does not work when it refuses, and no message repeats the password', async () => {
    const { host } = await redis(['-WRONGPASS invalid\r\n-NOAUTH Authentication required.\r\n']);
    const finding = await find(examineRedis(`redis://:secret@${host}`));
    assert.deepEqual([finding.status, finding.detail], ['does not work', `${host} answers WRONGPASS invalid`]);
    assert.match(finding.remedy ?? '', /DEFLECTOR_REDIS_URL/);
    assert.doesNotMatch((await find(examineRedis('http://:secret@host'))).detail, /secret/);
    assert.doesNotMatch((await find(examineRedis('redis://:secret@host:x'))).detail, /secret/);
  });

  it('does not work when it hangs up or nobody is there', async () => {
    const { host } = await redis([]);
    assert.match((await find(examineRedis(`redis://${host}`))).detail, /closed the connection/);
    assert.match((await find(examineRedis(`redis://${await nobody()}`))).detail, /ECONNREFUSED/);
  });

  it('is not configured where there is no address', async () => {
    for (const address of [undefined, '']) {
      assert.equal((await find(examineRedis(address))).status, 'not configured');
    }
  });
});

describe('S3', () => {
  const options = (s3Endpoint: string | null) => ({ ...resolveSettings({}), s3Endpoint });
  const answering = async (status: number, code: string) => {
    const body = `<Error><Code>${code}</Code></Error>`;
    const serve = (_: unknown, response: ServerResponse) =>
      response.writeHead(status, { connection: 'close' }).end(body);
    return listening(createHttpServer(serve));
  };

  it('works when a real server lets the credentials in, and does not when they are wrong', async () => {
    const server = await startS3Server();
    try {
      const { host } = new URL(server.endpoint);
      await server.bucket();
      const works = await find(examineS3(options(server.endpoint)));
      assert.deepEqual(
        [works.status, works.detail],
        ['works', `${host} lets these credentials in and shows them 1 bucket`],
      );
      const secret = process.env.AWS_SECRET_ACCESS_KEY;
      process.env.AWS_SECRET_ACCESS_KEY = 'test-secret-wrong';
      const refused = await find(examineS3(options(server.endpoint)));
      process.env.AWS_SECRET_ACCESS_KEY = secret;
      assert.equal(refused.status, 'does not work');
      assert.match(refused.detail, /^The credentials for S3 do not hold \(SignatureDoesNotMatch\)/);
      assert.doesNotMatch(JSON.stringify(refused), /test-secret/);
    } finally {
      await server.stop();
    }
  });

  it('works where only the list of all buckets is refused', async () => {
    const host = await answering(403, 'AccessDenied');
    const finding = await find(examineS3(options(`http://${host}`)));
    assert.deepEqual([finding.status, finding.detail], ['works', `${host} knows these credentials`]);
  });

  it('does not work when it is out of order or nobody is there', async () => {
    const host = await answering(503, 'SlowDown');
    assert.match((await find(examineS3(options(`http://${host}`)))).detail, /503/);
    assert.match((await find(examineS3(options(`http://${await nobody()}`)))).detail, /ECONNREFUSED/);
  });

  it('is not configured where there is no address', async () => {
    assert.equal((await find(examineS3(options(null)))).status, 'not configured');
  });
});
