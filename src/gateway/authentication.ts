/**
 * Who calls: by a bearer token, by the same token as the password of HTTP Basic (for callers that can only be given a
 * URL, and for browsers), or by a signature that never shows its secret:
 *
 *     Authorization: Deflector-HMAC-SHA256 key=NAME,timestamp=SECONDS,nonce=TEXT,signature=HEX
 *
 * with the HMAC-SHA-256 of the lines METHOD, TARGET (path and query), SECONDS, TEXT and the SHA-256 of the body in
 * hexadecimal, joined by line feeds. A signature holds for five minutes around its time, and once.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { DeflectorError } from '../errors.js';
import type { SharedMemory } from './memory.js';

/** A name, for limits and logs, and what proves it. */
export interface Credential {
  readonly name: string;
  readonly secret: string;
}

/** Seconds that the clock of a signature may be off, either way. */
const SIGNATURE_WINDOW = 300;

export const SIGNATURE_SCHEME = 'Deflector-HMAC-SHA256';

/** A signature that still has to be held against the body. */
export interface SignatureClaim {
  readonly name: string;
  readonly timestamp: string;
  readonly nonce: string;
  readonly signature: string;
}

export type Identity =
  | { readonly kind: 'known'; readonly name: string }
  | { readonly kind: 'signed'; readonly claim: SignatureClaim };

export interface SignedParts {
  readonly method: string;
  /** Path and query as in the request line. */
  readonly target: string;
  readonly timestamp: string;
  readonly nonce: string;
  /** SHA-256 of the body, hexadecimal. */
  readonly bodySha256: string;
}

export function signatureOf(secret: string, parts: SignedParts): string {
  const { method, target, timestamp, nonce, bodySha256 } = parts;
  return createHmac('sha256', secret).update([method, target, timestamp, nonce, bodySha256].join('\n')).digest('hex');
}

export class Authentication {
  readonly #tokens: readonly Credential[];
  readonly #keys: readonly Credential[];
  readonly #memory: SharedMemory;
  readonly #now: () => number;

  /** @param now seconds since 1970 */
  constructor(
    credentials: { readonly tokens: readonly Credential[]; readonly hmacKeys: readonly Credential[] },
    memory: SharedMemory,
    now = () => Date.now() / 1000,
  ) {
    this.#tokens = credentials.tokens;
    this.#keys = credentials.hmacKeys;
    this.#memory = memory;
    this.#now = now;
  }

  /** Whether there are no credentials: then everybody is let in. */
  get isOpen(): boolean {
    return this.#tokens.length === 0 && this.#keys.length === 0;
  }

  /**
   * Who a request says it is from.
   *
   * @throws DeflectorError UNAUTHENTICATED
   */
  identify(authorization: string | undefined): Identity {
    const [, scheme = '', rest = ''] = /^([\w-]+) +(\S.*)$/.exec(authorization ?? '') ?? [];
    switch (scheme.toLowerCase()) {
      case 'bearer':
        return { kind: 'known', name: this.#nameOf(rest) };
      case 'basic': {
        const [, name, token = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(rest, 'base64').toString()) ?? [];
        const known = this.#nameOf(token);
        if (known !== name) throw refused('Name and token do not belong together');
        return { kind: 'known', name: known };
      }
      case SIGNATURE_SCHEME.toLowerCase():
        return { kind: 'signed', claim: this.#claim(rest) };
    }
    throw refused(authorization === undefined ? 'No credentials came' : 'The kind of credentials is not known');
  }

  /**
   * Holds a signature against the request that it came with, and takes its nonce.
   *
   * @returns the name of its key
   * @throws DeflectorError UNAUTHENTICATED; of the memory
   */
  async verify(claim: SignatureClaim, request: Pick<SignedParts, 'method' | 'target' | 'bodySha256'>): Promise<string> {
    const { name, timestamp, nonce } = claim;
    // An unknown name costs as much as a known one.
    const key = this.#keys.find(known => known.name === name) ?? { name: '', secret: '' };
    const expected = signatureOf(key.secret, { ...request, timestamp, nonce });
    if (!equal(expected, claim.signature) || key.name === '') throw refused('The signature does not fit the request');
    const used = await this.#memory.claim(`nonce:${name}:${nonce}`, '1', 2 * SIGNATURE_WINDOW);
    if (used !== undefined) throw refused('The signature was used before');
    return name;
  }

  /** All tokens are looked at, whichever fits. */
  #nameOf(token: string): string {
    let name: string | undefined;
    for (const known of this.#tokens) if (equal(known.secret, token)) name = known.name;
    if (name === undefined) throw refused('The token is not known');
    return name;
  }

  #claim(text: string): SignatureClaim {
    const fields = new Map(
      text.split(',').map(part => {
        const [, name = '', value = ''] = /^\s*(\w+)=(\S*)\s*$/.exec(part) ?? [];
        return [name, value] as const;
      }),
    );
    const [name, timestamp, nonce, signature] = ['key', 'timestamp', 'nonce', 'signature'].map(
      field => fields.get(field) ?? '',
    ) as [string, string, string, string];
    if (!/^\d{1,12}$/.test(timestamp) || !/^[\w-]{8,128}$/.test(nonce) || !/^[0-9a-f]{64}$/.test(signature)) {
      throw refused('The signature cannot be read');
    }
    if (Math.abs(this.#now() - Number(timestamp)) > SIGNATURE_WINDOW) throw refused('The signature is out of its time');
    return { name, timestamp, nonce, signature };
  }
}

/** In constant time, whatever the lengths. */
function equal(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

function refused(message: string): DeflectorError {
  return new DeflectorError('UNAUTHENTICATED', message);
}
