/**
 * Requests that may be sent again: the first answer under an Idempotency-Key is kept for a day and given again to the
 * same request of the same client. What failed for want of something is not kept.
 *
 *     new ──claimed──▶ pending ──answered──▶ kept ──a day──▶ new
 *                         └──failed, or its gateway was lost──▶ new
 */
import { createHash } from 'node:crypto';
import { DeflectorError } from '../errors.js';
import type { SharedMemory } from './memory.js';

const KEPT_SECONDS = 86_400;

/** A request whose gateway was lost is forgotten after as long. */
const PENDING_SECONDS = 120;

/** Largest answer that is kept, in characters. */
const MAX_KEPT = 256 * 1024;

export interface KeptAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

interface Entry {
  /** SHA-256 of the request, hexadecimal. */
  readonly request: string;
  readonly answer?: KeptAnswer;
}

/** A request that is to be answered for the first time. */
export interface Claim {
  readonly key: string;
  readonly request: string;
}

export class Idempotency {
  readonly #memory: SharedMemory;

  constructor(memory: SharedMemory) {
    this.#memory = memory;
  }

  /**
   * Claims a key for a request.
   *
   * @param request all that tells the request from another
   * @returns the claim, or the answer that was given before
   * @throws DeflectorError REQUEST_INVALID, IDEMPOTENCY_MISMATCH, IDEMPOTENCY_PENDING; of the memory
   */
  async claim(client: string, key: string, request: readonly string[]): Promise<Claim | KeptAnswer> {
    if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
      throw new DeflectorError('REQUEST_INVALID', 'Expected 1 to 255 visible ASCII characters for Idempotency-Key');
    }
    const name = `answer:${sha256(JSON.stringify([client, key]))}`;
    const digest = sha256(JSON.stringify(request));
    const entry: Entry = { request: digest };
    const text = await this.#memory.claim(name, JSON.stringify(entry), PENDING_SECONDS);
    if (text === undefined) return { key: name, request: digest };
    const there = JSON.parse(text) as Entry;
    if (there.request !== digest) {
      throw new DeflectorError('IDEMPOTENCY_MISMATCH', 'The Idempotency-Key stands for another request');
    }
    if (there.answer === undefined) {
      throw new DeflectorError('IDEMPOTENCY_PENDING', 'The first request with this Idempotency-Key has no answer yet');
    }
    return there.answer;
  }

  /** Keeps an answer, unless it may be another the next time. */
  async settle({ key, request }: Claim, answer: KeptAnswer): Promise<void> {
    const passing = answer.status >= 500 || answer.status === 429 || answer.body.length > MAX_KEPT;
    if (passing) await this.#memory.forget(key);
    else await this.#memory.put(key, JSON.stringify({ request, answer } satisfies Entry), KEPT_SECONDS);
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
