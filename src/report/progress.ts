/** How far a run is, while it runs: a bar on a terminal, a plain line every few seconds elsewhere, or nothing. */
import cliProgress from 'cli-progress';
import { counted, duration, grouped, percent, rate } from './numbers.js';

/** Counts so far; all of the whole job, resumed parts included. */
interface ProgressCounts {
  readonly done: number;
  readonly suspicious: number;
  readonly failed: number;
}

/**
 * States: idle, then running from the first `update`, then stopped for good by `stop`. The first `update` sets the
 * mark that the rate is measured from, so that verdicts of an earlier call do not count as speed.
 */
export interface Progress {
  /** Says how many images there are, once the listing knows. */
  setTotal(total: number): void;
  update(counts: ProgressCounts): void;
  /** Takes the bar away; without a terminal it says the last counts. */
  stop(): void;
}

export interface ProgressOptions {
  readonly quiet: boolean;
  /** Whether `stream` is a terminal that a bar can be drawn on. */
  readonly tty: boolean;
  /** Images of the job, where known already. */
  readonly total?: number;
  /** What the images that `suspicious` counts are called. Default `suspicious`. */
  readonly note?: string;
  /** Default: standard error, so that standard output stays free for results. */
  readonly stream?: NodeJS.WritableStream & { readonly columns?: number };
  /** Milliseconds that only grow. */
  readonly now?: () => number;
}

/** Time between plain lines. */
const LINE_EVERY_MS = 5000;
/** The rate is that of the last while, so that it follows what happens. */
const RATE_WINDOW_MS = 20_000;
const SAMPLE_EVERY_MS = 500;
/** Where a terminal does not tell (it may say 0). */
const DEFAULT_COLUMNS = 80;

export function createProgress(options: ProgressOptions): Progress {
  if (options.quiet) return { setTotal() {}, update() {}, stop() {} };
  const stream = options.stream ?? process.stderr;
  const tracker = new Tracker(options.total, options.now ?? (() => performance.now()), options.note ?? 'suspicious');
  return options.tty ? bar(tracker, stream) : lines(tracker, stream);
}

/** Counts, rate and remaining time; at most RATE_WINDOW_MS / SAMPLE_EVERY_MS samples are kept. */
class Tracker {
  counts: ProgressCounts = { done: 0, suspicious: 0, failed: 0 };
  total: number | undefined;
  readonly now: () => number;
  readonly note: string;
  readonly #samples: { at: number; done: number }[] = [];

  constructor(total: number | undefined, now: () => number, note: string) {
    this.total = total;
    this.now = now;
    this.note = note;
  }

  get started(): boolean {
    return this.#samples.length > 0;
  }

  update(counts: ProgressCounts): void {
    this.counts = counts;
    const at = this.now();
    const last = this.#samples.at(-1);
    if (last === undefined || at - last.at >= SAMPLE_EVERY_MS) this.#samples.push({ at, done: counts.done });
    while (this.#samples.length > 2 && at - this.#samples[1]!.at >= RATE_WINDOW_MS) this.#samples.shift();
  }

  /** Images and the milliseconds they took, over the last while. */
  #recent(): { done: number; ms: number } {
    const first = this.#samples[0];
    if (first === undefined) return { done: 0, ms: 0 };
    return { done: this.counts.done - first.done, ms: this.now() - first.at };
  }

  rate(): string | undefined {
    const { done, ms } = this.#recent();
    return done > 0 && ms > 0 ? rate(done, ms) : undefined;
  }

  left(): string | undefined {
    const { done, ms } = this.#recent();
    if (this.total === undefined || this.counts.done >= this.total || done <= 0 || ms <= 0) return undefined;
    return duration(((this.total - this.counts.done) * ms) / done);
  }
}

function lines(tracker: Tracker, stream: NodeJS.WritableStream): Progress {
  let spokenAt: number | undefined;
  const speak = () => {
    const { done, suspicious, failed } = tracker.counts;
    const share = tracker.total ? ` (${percent(done / tracker.total)})` : '';
    const of = tracker.total === undefined ? '' : ` of ${grouped(tracker.total)}`;
    const [speed, left] = [tracker.rate(), tracker.left()];
    const words = [
      `${grouped(done)}${of} ${done === 1 && of === '' ? 'image' : 'images'}${share}`,
      speed && `${speed} a second`,
      left && `${left} left`,
      `${grouped(suspicious)} ${tracker.note}`,
      `${grouped(failed)} failed`,
    ];
    stream.write(`${words.filter(Boolean).join(', ')}\n`);
    spokenAt = tracker.now();
  };
  let spokenOf: ProgressCounts | undefined;
  return {
    setTotal(total) {
      tracker.total = total;
    },
    update(counts) {
      tracker.update(counts);
      spokenAt ??= tracker.now();
      if (tracker.now() - spokenAt < LINE_EVERY_MS) return;
      spokenOf = counts;
      speak();
    },
    stop() {
      if (tracker.started && spokenOf !== tracker.counts) speak();
      spokenOf = tracker.counts;
    },
  };
}

function bar(tracker: Tracker, stream: NodeJS.WritableStream & { readonly columns?: number }): Progress {
  const drawn = new cliProgress.SingleBar({
    stream,
    fps: 8,
    clearOnComplete: true,
    // The line is made to fit: a terminal left without wrapping or cursor by a crash would be a nuisance.
    linewrap: true,
    hideCursor: false,
    forceRedraw: true,
    format: () => barLine(tracker, stream.columns || DEFAULT_COLUMNS),
  });
  let state: 'idle' | 'running' | 'stopped' = 'idle';
  return {
    setTotal(total) {
      tracker.total = total;
    },
    update(counts) {
      if (state === 'stopped') return;
      tracker.update(counts);
      if (state === 'idle') {
        state = 'running';
        drawn.start(1, 0);
      }
    },
    stop() {
      if (state === 'running') drawn.stop();
      state = 'stopped';
    },
  };
}

/** One line of at most `columns - 1` characters: what matters least is left out first, the bar fills what is free. */
function barLine(tracker: Tracker, columns: number): string {
  const { done, suspicious, failed } = tracker.counts;
  const { total } = tracker;
  const [speed, left] = [tracker.rate(), tracker.left()];
  const share = total === undefined ? undefined : total === 0 ? 1 : Math.min(done / total, 1);
  const parts = [
    share === undefined ? counted(done, 'image') : `${Math.floor(share * 100)} %`,
    ...(total === undefined ? [] : [`${grouped(done)}/${grouped(total)}`]),
    `${grouped(suspicious)} ${tracker.note}`,
    `${grouped(failed)} failed`,
    ...(left === undefined ? [] : [`${left} left`]),
    ...(speed === undefined ? [] : [`${speed}/s`]),
  ];
  const room = Math.max(columns - 1, 1);
  while (parts.length > 1 && parts.join('  ').length > room) parts.pop();
  const words = parts.join('  ');
  const size = Math.min(room - words.length - 2, 40);
  if (share === undefined || size < 8) return words;
  const full = Math.round(share * size);
  return `${'█'.repeat(full)}${'░'.repeat(size - full)}  ${words}`;
}
