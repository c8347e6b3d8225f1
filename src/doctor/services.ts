/** Servers that the user configured: is somebody there, and do they speak the protocol. */
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { counted } from '../report/numbers.js';
import { S3Connection, type S3Options } from '../storage/s3-connection.js';
import { s3Fault } from '../storage/s3-faults.js';
import { type Examination, NotConfigured } from './finding.js';

const TIMEOUT_MS = 5000;

type Environment = Readonly<Record<string, string | undefined>>;

export function serviceExaminations(options: S3Options, env: Environment = process.env): Examination[] {
  return [examineRedis(env.DEFLECTOR_REDIS_URL), examineS3(options)];
}

/** Sends PING, after AUTH where the address holds a password (RESP, https://redis.io/docs/latest/develop/reference/protocol-spec). */
export function examineRedis(address: string | undefined): Examination {
  return {
    id: 'redis',
    name: 'Redis',
    needed: false,
    remedy:
      'Only the distributed pipeline needs Redis. Set DEFLECTOR_REDIS_URL to redis://host:port of a running server.',
    async examine() {
      if (!address) throw new NotConfigured('DEFLECTOR_REDIS_URL is not set');
      // One of several nodes stands for all.
      const url = parse(address.split(',')[0]!, ['redis:', 'rediss:']);
      const login = [url.username, url.password].filter(part => part !== '').map(decodeURIComponent);
      const commands = [...(url.password === '' ? [] : [['AUTH', ...login]]), ['PING']];
      for (const reply of await converse(url, commands)) {
        if (reply.startsWith('-')) throw new Error(`${url.host} answers ${reply.slice(1)}`);
      }
      return `${url.host} answers PING`;
    },
  };
}

/** Asks the server for its buckets, with the credentials that a job would use. */
export function examineS3(options: S3Options): Examination {
  return {
    id: 's3',
    name: 'S3',
    needed: false,
    remedy:
      'Only s3:// addresses need S3. Set DEFLECTOR_S3_ENDPOINT to http(s)://host:port of a running server, and ' +
      'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; see docs/storage.md.',
    async examine() {
      if (options.s3Endpoint === null) throw new NotConfigured('DEFLECTOR_S3_ENDPOINT is not set');
      const { host } = new URL(options.s3Endpoint);
      const s3 = new S3Connection({ ...options, s3Timeout: TIMEOUT_MS / 1000, s3Tries: 1 });
      try {
        const { module, client } = await s3.live();
        const { Buckets = [] } = await client.send(new module.ListBucketsCommand({}));
        return `${host} lets these credentials in and shows them ${counted(Buckets.length, 'bucket')}`;
      } catch (error) {
        // Credentials for single buckets may be refused the list of all.
        if (error instanceof Error && error.name === 'AccessDenied') return `${host} knows these credentials`;
        throw s3Fault(error, host, 'list');
      } finally {
        await s3.close();
      }
    },
  };
}

function parse(address: string, protocols: readonly string[]): URL {
  // The address may hold a password: no message repeats it.
  if (!URL.canParse(address)) throw new Error('the address is not a URL');
  const url = new URL(address);
  if (!protocols.includes(url.protocol)) throw new Error(`the address begins with ${url.protocol}//`);
  return url;
}

/** Sends commands one after another; resolves with one line of answer each. */
async function converse(url: URL, commands: readonly (readonly string[])[]): Promise<string[]> {
  const socket = open(url);
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`${url.host} does not answer within ${TIMEOUT_MS} ms`)));
  try {
    socket.write(commands.map(encode).join(''));
    let received = '';
    for await (const chunk of socket) {
      received += chunk;
      const lines = received.split('\r\n');
      if (lines.length > commands.length) return lines.slice(0, commands.length);
    }
    throw new Error(`${url.host} closed the connection`);
  } finally {
    socket.destroy();
  }
}

function open(url: URL): Socket {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = Number(url.port || 6379);
  return url.protocol === 'rediss:'
    ? connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}) })
    : connect({ host, port });
}

function encode(command: readonly string[]): string {
  return `*${command.length}\r\n${command.map(part => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join('')}`;
}
