/** Connections to Redis: one server, a server behind Sentinels, or a cluster; with TLS and ACL users by the address. */
import { isIP } from 'node:net';
import type { Cluster, Redis } from 'ioredis';
import { DeflectorError } from '../errors.js';

/** The settings of group `queue`. */
export interface RedisSettings {
  readonly redisUrl: string;
  readonly redisCluster: boolean;
  readonly redisMaster: string | null;
  readonly queuePrefix: string;
}

export interface RedisConnection {
  readonly client: Redis | Cluster;
  /** What every key begins with: braces, so that a cluster keeps all keys on one node and scripts may touch them together. */
  readonly prefix: string;
  close(): Promise<void>;
}

/** The first version with all commands that are used here. */
const LEAST_VERSION = [6, 2] as const;

const CONNECT_TIMEOUT_MS = 5000;
/** A socket that is closed already is waited for as long, and the process with it. */
const DISCONNECT_TIMEOUT_MS = 200;
/** Tries of one command of a caller who will not wait for ever, about a minute in all. */
const PATIENT_TRIES = 30;

/**
 * Connects and checks that the server is fit to hold queues: its version, and that it never evicts keys.
 *
 * @param patience `endless` waits out any loss of the connection (workers); `bounded` gives up after about a minute.
 *   The first connection is never waited for.
 * @throws DeflectorError QUEUE_UNAVAILABLE, QUEUE_UNSUITABLE
 */
export async function connectRedis(settings: RedisSettings, patience: 'endless' | 'bounded'): Promise<RedisConnection> {
  const places = placesOf(settings.redisUrl);
  let connected = false;
  let fault: Error | undefined;
  const again = (times: number): number | null => (connected ? Math.min(2000, 50 * 2 ** Math.min(times, 6)) : null);
  const client = await createClient(settings, again, patience === 'endless' ? null : PATIENT_TRIES);
  // Without a listener ioredis prints each fault of a connection that it is about to restore.
  client.on('error', (error: Error) => {
    fault = error;
  });
  try {
    await client.connect();
    await checkServer(client, places);
    connected = true;
  } catch (error) {
    client.disconnect();
    if (error instanceof DeflectorError) throw error;
    const cause = fault ?? (error as Error);
    throw new DeflectorError('QUEUE_UNAVAILABLE', `Redis at ${places} does not answer: ${reasonOf(cause)}`, { cause });
  }
  return {
    client,
    prefix: `{${settings.queuePrefix}}`,
    close: async () => {
      // A connection that is down has nothing left to say.
      if (client.status === 'ready') await client.quit().catch(() => client.disconnect());
      else client.disconnect();
    },
  };
}

/** What a failed command is to the caller. */
export function queueFault(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof DeflectorError) return error;
  const lost = /^(?:MaxRetriesPerRequestError|ClusterAllFailedError|ConnectionClosedError)$/.test(error.name);
  if (!lost && !/Connection is closed|ECONN|EPIPE|LOADING|CLUSTERDOWN/.test(error.message)) return error;
  return new DeflectorError('QUEUE_UNAVAILABLE', `Redis went away: ${reasonOf(error)}`, { cause: error });
}

async function createClient(
  settings: RedisSettings,
  again: (times: number) => number | null,
  tries: number | null,
): Promise<Redis | Cluster> {
  const { Redis, Cluster } = await import('ioredis');
  const nodes = settings.redisUrl.split(',').map(address => new URL(address));
  const first = nodes[0]!;
  const places = nodes.map(({ hostname, port }) => ({ host: hostname.replace(/^\[(.*)\]$/, '$1'), port }));
  const login = {
    ...(first.username === '' ? {} : { username: decodeURIComponent(first.username) }),
    ...(first.password === '' ? {} : { password: decodeURIComponent(first.password) }),
    ...(first.protocol === 'rediss:' ? { tls: {} } : {}),
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    maxRetriesPerRequest: tries,
  };
  if (settings.redisCluster) {
    return new Cluster(
      places.map(({ host, port }) => ({ host, port: Number(port || 6379) })),
      {
        lazyConnect: true,
        clusterRetryStrategy: again,
        redisOptions: login,
        // Looked up beforehand, names would be lost, which certificates are checked for.
        dnsLookup: (host, found) => found(null, host),
      },
    );
  }
  const database = { db: Number(first.pathname.slice(1) || 0), lazyConnect: true, retryStrategy: again };
  if (settings.redisMaster === null) {
    const { host, port } = places[0]!;
    // Node.js names the host to the server (SNI) only when told to, and must not name an address (RFC 6066, section 3).
    const tls = login.tls === undefined || isIP(host) !== 0 ? {} : { tls: { servername: host } };
    return new Redis({ ...login, ...database, ...tls, host, port: Number(port || 6379) });
  }
  return new Redis({
    ...login,
    ...database,
    name: settings.redisMaster,
    sentinels: places.map(({ host, port }) => ({ host, port: Number(port || 26379) })),
    sentinelRetryStrategy: again,
    ...(login.tls === undefined ? {} : { sentinelTLS: login.tls, enableTLSForSentinelMode: true }),
  });
}

/** @throws DeflectorError QUEUE_UNSUITABLE */
async function checkServer(client: Redis | Cluster, places: string): Promise<void> {
  const info = `${await client.info('server')}\n${await client.info('memory')}`;
  const field = (name: string): string | undefined => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
  const version = field('redis_version') ?? '0';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < LEAST_VERSION[0] || (major === LEAST_VERSION[0] && minor < LEAST_VERSION[1])) {
    const expected = `${LEAST_VERSION.join('.')} or later`;
    throw new DeflectorError('QUEUE_UNSUITABLE', `Expected Redis ${expected} at ${places} but found ${version}`);
  }
  const policy = field('maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction') {
    const message = `Redis at ${places} drops keys when its memory is full: maxmemory-policy is ${policy}, not noeviction`;
    throw new DeflectorError('QUEUE_UNSUITABLE', message);
  }
}

/** Addresses for people: no name, no password. */
function placesOf(urls: string): string {
  return urls
    .split(',')
    .map(address => new URL(address).host)
    .join(', ');
}

function reasonOf(error: Error): string {
  // ioredis gathers the faults of a cluster's nodes in one error.
  const last = (error as { lastNodeError?: Error }).lastNodeError;
  return (last ?? error).message || (error as NodeJS.ErrnoException).code || error.name;
}
