/** How far a download is: a bar on a terminal, a plain line every few seconds elsewhere, or nothing. */
import cliProgress from 'cli-progress';
import { duration, percent } from './numbers.js';

export interface DownloadProgress {
  /** @param bytes that are there, of `total` */
  update(bytes: number, total: number): void;
  /** Takes the bar away. */
  stop(): void;
}

/** Time between plain lines. */
const LINE_EVERY_MS = 5000;

/** @param tty whether standard error is a terminal that a bar can be drawn on */
export function createDownloadProgress(
  name: string,
  { quiet, tty }: { quiet: boolean; tty: boolean },
): DownloadProgress {
  if (quiet) return { update() {}, stop() {} };
  const pace = new Pace();
  if (!tty) {
    let spoken = Number.NEGATIVE_INFINITY;
    return {
      update(bytes, total) {
        pace.update(bytes);
        if (performance.now() - spoken < LINE_EVERY_MS && bytes < total) return;
        spoken = performance.now();
        const left = pace.left(bytes, total);
        const words = [`${name}: ${size(bytes)} of ${size(total)} (${percent(bytes / total)})`, left && `${left} left`];
        process.stderr.write(`${words.filter(Boolean).join(', ')}\n`);
      },
      stop() {},
    };
  }
  const bar = new cliProgress.SingleBar({
    fps: 8,
    clearOnComplete: true,
    linewrap: true,
    hideCursor: false,
    barsize: 30,
    format: (options, { value, total }) => {
      const full = Math.round((value / total) * (options.barsize ?? 30));
      const drawn = '█'.repeat(full).padEnd(options.barsize ?? 30, '░');
      const left = pace.left(value, total);
      return [drawn, percent(value / total), `${size(value)} of ${size(total)}`, left && `${left} left`]
        .filter(Boolean)
        .join('  ');
    },
  });
  let running = false;
  return {
    update(bytes, total) {
      pace.update(bytes);
      if (!running) bar.start(total, bytes);
      else bar.update(bytes);
      running = true;
    },
    stop() {
      if (running) bar.stop();
      running = false;
    },
  };
}

/** The speed since the first byte of this call. */
class Pace {
  #first: { readonly at: number; readonly bytes: number } | undefined;

  update(bytes: number): void {
    this.#first ??= { at: performance.now(), bytes };
  }

  left(bytes: number, total: number): string | undefined {
    if (this.#first === undefined || bytes <= this.#first.bytes || bytes >= total) return undefined;
    const { at, bytes: before } = this.#first;
    return duration(((performance.now() - at) / (bytes - before)) * (total - bytes));
  }
}

/** Bytes as people read them. */
export function size(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
