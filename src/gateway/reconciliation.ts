/**
 * Finds what events missed: servers lose them when nobody listens, and few send them again. Lists what is allowed, and
 * takes the objects that nobody told of.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { DeflectorError } from '../errors.js';
import { checkAllowed, type S3Address } from '../storage/s3-address.js';
import { isImageName } from '../storage/source.js';
import type { ObjectEntry } from '../types.js';
import { type Intake, objectName, type Seen } from './intake.js';

/** Objects that are looked up together. */
const PAGE = 200;

/** The event of a younger object may be on its way, in milliseconds. */
const GRACE_MS = 30_000;

/** Milliseconds between two looks at a queue that is full. */
const FULL_PAUSE_MS = 1000;

export interface Reconciled {
  readonly state: 'never' | 'running' | 'done' | 'failed';
  /** Objects that were listed, and those of them that no event had told of. */
  readonly listed: number;
  readonly accepted: number;
  /** ISO 8601, UTC. */
  readonly startedAt?: string;
  readonly finishedAt?: string;
}

export interface ReconciliationPorts {
  /** Of a lane that lets fresh images go first. */
  readonly intake: Intake;
  readonly seen: Seen;
  /** All objects below an address. */
  list(address: S3Address): AsyncIterable<ObjectEntry>;
}

/**
 *     idle ──start──▶ running ──▶ idle
 */
export class Reconciliation {
  readonly #ports: ReconciliationPorts;
  readonly #grace: number;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #last: Reconciled = { state: 'never', listed: 0, accepted: 0 };

  /** @param grace milliseconds for which the event of an object may be on its way */
  constructor(ports: ReconciliationPorts, grace = GRACE_MS) {
    this.#ports = ports;
    this.#grace = grace;
  }

  get last(): Reconciled {
    return this.#last;
  }

  /**
   * Begins to list, unless that is under way.
   *
   * @param below only what lies there
   * @throws DeflectorError STORE_DENIED
   */
  start(below?: S3Address): Reconciled {
    const { allowed } = this.#ports.intake;
    if (below !== undefined) checkAllowed(below, allowed);
    this.#running ??= this.#run(below === undefined ? allowed : [below]).finally(() => {
      this.#running = undefined;
    });
    return this.#last;
  }

  /** Ends what is under way, and waits for it. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(places: readonly S3Address[]): Promise<void> {
    this.#last = { state: 'running', listed: 0, accepted: 0, startedAt: new Date().toISOString() };
    let state: Reconciled['state'] = 'failed';
    try {
      for (const place of places) await this.#look(place);
      state = 'done';
    } catch {
      // Told by the state; the next one begins anew.
    }
    this.#last = { ...this.#last, state, finishedAt: new Date().toISOString() };
  }

  async #look(place: S3Address): Promise<void> {
    let page: { bucket: string; key: string; etag: string }[] = [];
    for await (const { key, etag = '', modified } of this.#ports.list(place)) {
      this.#stop.signal.throwIfAborted();
      this.#last = { ...this.#last, listed: this.#last.listed + 1 };
      const whole = place.key + key;
      if (!isImageName(whole) || !this.#isDue(modified)) continue;
      page.push({ bucket: place.bucket, key: whole, etag });
      if (page.length < PAGE) continue;
      await this.#take(page);
      page = [];
    }
    await this.#take(page);
  }

  /** Whether an object is old enough to have been told of, and not so old that it would be forgotten if it had been. */
  #isDue(modified: number | undefined): boolean {
    return modified === undefined || (modified < Date.now() - this.#grace && modified > this.#ports.seen.horizon);
  }

  async #take(page: readonly { bucket: string; key: string; etag: string }[]): Promise<void> {
    const { seen, intake } = this.#ports;
    const known = await seen.have(page.flatMap(object => [objectName(object), objectName({ ...object, etag: '' })]));
    const missed = page.filter((_, place) => !known[2 * place] && !known[2 * place + 1]);
    for (;;) {
      try {
        const event = '';
        const { accepted } = await intake.events({ created: missed.map(object => ({ ...object, event })), other: 0 });
        this.#last = { ...this.#last, accepted: this.#last.accepted + accepted };
        return;
      } catch (error) {
        if (!(error instanceof DeflectorError) || error.code !== 'OVERLOADED') throw error;
        await sleep(FULL_PAUSE_MS, undefined, { signal: this.#stop.signal });
      }
    }
  }
}
