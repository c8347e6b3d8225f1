/** Defends images that callers send to the gateway itself, in its own worker threads, within a time. */
import { createHash } from 'node:crypto';
import type { ResolvedOptions } from '../config/settings.js';
import { DefendPool } from '../engine/defend-pool.js';
import { engineSpecOf } from '../engine/engine-spec.js';
import { DeflectorError } from '../errors.js';
import { hardenDecoder } from '../images/decode.js';
import { decoderFor } from '../images/decoder.js';
import { systemClock } from '../stages/common.js';
import type { DefendOutcome, Wanted } from '../stages/defend.js';
import type { Label, OkVerdict } from '../types.js';

/** Images a thread that may be in hand at a time: one at work, the others close behind. */
const IN_HAND_A_THREAD = 4;

export interface Defended {
  readonly verdict: OkVerdict;
  readonly outcome: DefendOutcome;
  readonly labels: readonly Label[];
}

/** Port: the defence of one image at a time. */
export interface DirectDefence {
  /**
   * @param name stands for the image in its verdict
   * @param deadline milliseconds; what takes longer is finished all the same, but for nobody
   * @throws DeflectorError OVERLOADED, DEADLINE_EXCEEDED; of the image; of the model and its runtime
   */
  defend(bytes: Uint8Array, name: string, wanted: Wanted, deadline: number): Promise<Defended>;
  close(): Promise<void>;
}

/** Threads start with the first image: a gateway that is sent none needs no model. */
export class PooledDefence implements DirectDefence {
  readonly #options: ResolvedOptions;
  #pool: Promise<DefendPool> | undefined;
  readonly #inHand = new Set<Promise<unknown>>();

  constructor(options: ResolvedOptions) {
    this.#options = options;
  }

  async defend(bytes: Uint8Array, name: string, wanted: Wanted, deadline: number): Promise<Defended> {
    if (this.#inHand.size >= IN_HAND_A_THREAD * this.#options.threads) {
      throw new DeflectorError('OVERLOADED', `${this.#inHand.size} images are in hand already`);
    }
    const work = this.#defend(bytes, name, wanted);
    const settled = work.catch(() => undefined).finally(() => this.#inHand.delete(settled));
    this.#inHand.add(settled);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const message = `The image was not defended within ${deadline / 1000} s`;
      timer = setTimeout(() => reject(new DeflectorError('DEADLINE_EXCEEDED', message)), deadline);
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#inHand);
    // What did not start has told its caller so.
    await (await this.#pool?.catch(() => undefined))?.close();
  }

  async #defend(bytes: Uint8Array, key: string, wanted: Wanted): Promise<Defended> {
    const { info, ...pool } = await this.#start();
    const started = systemClock.now();
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const pixels = await decoderFor(info.preprocessing, this.#options.defence.at, this.#options)(bytes);
    const ms = { fetch: 0, decode: systemClock.now() - started };
    const outcome = await pool.defend({ index: 0, key, sha256, pixels, ms }, wanted);
    const { verdict } = outcome;
    if (verdict.status === 'error') throw new DeflectorError(verdict.error.code, verdict.error.message);
    return { verdict, outcome, labels: info.labels };
  }

  async #start(): Promise<Pick<DefendPool, 'info' | 'defend'>> {
    this.#pool ??= this.#startPool();
    try {
      const pool = await this.#pool;
      return { info: pool.info, defend: (image, wanted) => pool.defend(image, wanted) };
    } catch (error) {
      // The next image tries again.
      this.#pool = undefined;
      throw error;
    }
  }

  #startPool(): Promise<DefendPool> {
    hardenDecoder();
    return DefendPool.start(engineSpecOf(this.#options), this.#options.threads);
  }
}
