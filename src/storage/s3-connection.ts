/** The client of an S3 server: made when it is first needed, shared by all stores of a process. */
import type { S3Client } from '@aws-sdk/client-s3';
import { checkAllowed, type S3Address } from './s3-address.js';
import { S3Store } from './s3-store.js';

export interface S3Options {
  /** Address of the server, without credentials; `null`: that of AWS, or what the AWS configuration names. */
  readonly s3Endpoint: string | null;
  /** `null`: what the AWS configuration says, else `us-east-1` where an endpoint is set. */
  readonly s3Region: string | null;
  /** Whether the bucket stands in the path or the host of a request; `auto`: in the path where an endpoint is set. */
  readonly s3Addressing: 'auto' | 'path' | 'host';
  /** Seconds that a connection, an answer or the bytes of one object may take. */
  readonly s3Timeout: number;
  /** Tries of one request, the first included. */
  readonly s3Tries: number;
}

/** The parts of the client that the stores use. */
export type S3Module = typeof import('@aws-sdk/client-s3');

/** Connections to the server that are open at a time. */
const MAX_CONNECTIONS = 64;

/** How long a connection may take to be made, at most. */
const MAX_CONNECT_SECONDS = 5;

/**
 * A connection to one S3 server. Credentials come by the AWS clients' standard chain: environment, shared files, single
 * sign-on, web identity, container, instance.
 */
export class S3Connection {
  readonly options: S3Options;
  #live: Promise<{ readonly module: S3Module; readonly client: S3Client }> | undefined;

  constructor(options: S3Options) {
    this.options = options;
  }

  /**
   * A store of the keys that begin with the address's key, which is empty or ends with a slash.
   *
   * @param allowed what addresses may be opened; left out where the address comes from the user of the machine
   * @throws DeflectorError STORE_DENIED for an address outside of `allowed`
   */
  open(address: S3Address, allowed?: readonly S3Address[]): S3Store {
    if (allowed !== undefined) checkAllowed(address, allowed);
    return new S3Store(this, address);
  }

  live(): Promise<{ readonly module: S3Module; readonly client: S3Client }> {
    this.#live ??= this.#connect();
    return this.#live;
  }

  async #connect(): Promise<{ readonly module: S3Module; readonly client: S3Client }> {
    const { s3Endpoint, s3Region, s3Addressing, s3Timeout, s3Tries } = this.options;
    // The client warns its users of Node.js 20 that later versions of it will not run there; the version is pinned.
    process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
    const module = await import('@aws-sdk/client-s3');
    const { AWS_REGION, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3 } = process.env;
    const ownEndpoint = s3Endpoint !== null || Boolean(AWS_ENDPOINT_URL_S3 || AWS_ENDPOINT_URL);
    const region = s3Region ?? AWS_REGION ?? (ownEndpoint ? 'us-east-1' : undefined);
    const agent = { keepAlive: true, maxSockets: MAX_CONNECTIONS };
    const client = new module.S3Client({
      ...(s3Endpoint === null ? {} : { endpoint: s3Endpoint }),
      ...(region === undefined ? {} : { region }),
      forcePathStyle: s3Addressing === 'auto' ? ownEndpoint : s3Addressing === 'path',
      followRegionRedirects: true,
      retryMode: 'standard',
      maxAttempts: s3Tries,
      requestHandler: {
        httpAgent: agent,
        httpsAgent: agent,
        connectionTimeout: 1000 * Math.min(MAX_CONNECT_SECONDS, s3Timeout),
        requestTimeout: 1000 * s3Timeout,
        throwOnRequestTimeout: true,
        socketTimeout: 1000 * s3Timeout,
        // What waits for a free connection is bounded by the pipeline's own gates.
        socketAcquisitionWarningTimeout: 1000 * s3Timeout,
      },
    });
    return { module, client };
  }

  /** Closes all connections. */
  async close(): Promise<void> {
    const live = this.#live;
    this.#live = undefined;
    (await live?.catch(() => undefined))?.client.destroy();
  }
}
