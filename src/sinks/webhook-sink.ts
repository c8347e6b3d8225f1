/**
 * Verdicts as signed calls of a webhook, one a chunk, in the form of Standard Webhooks (standardwebhooks.com):
 *
 *     webhook-id           of the chunk; one that is delivered again has the same
 *     webhook-timestamp    seconds since 1970
 *     webhook-signature    v1, and in base64 the HMAC-SHA-256 of ID.TIMESTAMP.BODY
 *
 * An answer of 2xx takes the verdicts; anything else, redirects included, is tried again after a while.
 */
import { createHmac } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeflectorError } from '../errors.js';
import { retryDelay } from '../queue/queue.js';
import type { ResultSink, Verdict, VerdictOrigin } from '../types.js';
import { VERSION } from '../version.js';
import { InOrder } from './in-order.js';
import { verdictId } from './verdict-id.js';
import { formatVerdict } from './verdict-json.js';

export interface WebhookOptions {
  readonly url: string;
  /** As it is; what begins with `whsec_` is base64. */
  readonly secret: string;
  /** Calls of one chunk, the first included. */
  readonly tries: number;
  /** Seconds that an answer may take. */
  readonly timeout: number;
  /** Milliseconds before a chunk that failed `failures` times is sent again. */
  readonly backoff?: (failures: number) => number;
}

/** The value of webhook-signature. */
function webhookSignature(secret: string, id: string, timestamp: number, body: string): string {
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : secret;
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
}

export class WebhookSink implements ResultSink {
  readonly #url: URL;
  readonly #options: WebhookOptions;
  readonly #agent: http.Agent;
  readonly #order = new InOrder();

  constructor(options: WebhookOptions) {
    this.#url = new URL(options.url);
    this.#options = options;
    const agent = { keepAlive: true, maxSockets: 1 };
    this.#agent = this.#url.protocol === 'https:' ? new https.Agent(agent) : new http.Agent(agent);
  }

  /** @throws DeflectorError SINK_REFUSED when all tries are used up; the reason of `signal` */
  write(verdicts: readonly Verdict[], origin: VerdictOrigin, signal?: AbortSignal): Promise<void> {
    return this.#order.run(async () => {
      if (verdicts.length > 0) await this.#deliver(verdicts, origin, signal);
    });
  }

  async close(): Promise<void> {
    await this.#order.settled();
    this.#agent.destroy();
  }

  async #deliver(verdicts: readonly Verdict[], origin: VerdictOrigin, signal: AbortSignal | undefined): Promise<void> {
    const { job, id, chunk } = origin;
    const items = verdicts.map((verdict, place) => {
      return `{"id":${JSON.stringify(verdictId(origin, place))},"verdict":${formatVerdict(verdict)}}`;
    });
    const body = `{"type":"deflector.verdicts","job":${JSON.stringify(job)},"verdicts":[${items.join(',')}]}`;
    const { tries, backoff = retryDelay } = this.#options;
    for (let failures = 1; ; failures++) {
      signal?.throwIfAborted();
      const fault = await this.#post(`${job}:${id}:${chunk}`, body, signal);
      if (fault === undefined) return;
      if (failures >= tries) {
        // The path of the address may be a secret.
        const message = `The webhook at ${this.#url.host} did not take verdicts in ${tries} tries: ${fault}`;
        throw new DeflectorError('SINK_REFUSED', message);
      }
      await sleep(backoff(failures), undefined, signal === undefined ? {} : { signal });
    }
  }

  /** @returns why the verdicts were not taken, as a clause */
  #post(id: string, body: string, signal: AbortSignal | undefined): Promise<string | undefined> {
    const timestamp = Math.floor(Date.now() / 1000);
    const patience = AbortSignal.timeout(1000 * this.#options.timeout);
    return new Promise(resolve => {
      const request = (this.#url.protocol === 'https:' ? https : http).request(this.#url, {
        method: 'POST',
        agent: this.#agent,
        signal: signal === undefined ? patience : AbortSignal.any([signal, patience]),
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'user-agent': `deflector/${VERSION}`,
          'webhook-id': id,
          'webhook-timestamp': timestamp,
          'webhook-signature': webhookSignature(this.#options.secret, id, timestamp, body),
        },
      });
      request.once('error', error => {
        resolve(patience.aborted ? `no answer within ${this.#options.timeout} s` : error.message);
      });
      request.once('response', response => {
        const { statusCode = 0 } = response;
        // What it says beside is of no use; a body that does not end counts as no answer.
        response.resume().once('error', error => resolve(error.message));
        response.once('end', () =>
          resolve(statusCode >= 200 && statusCode < 300 ? undefined : `it answered ${statusCode}`),
        );
      });
      request.end(body);
    });
  }
}
