import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { describe, it } from 'node:test';
import { createProgress, type ProgressOptions } from '../../src/report/progress.js';

class Screen extends Writable {
  text = '';
  readonly isTTY: boolean;
  readonly columns: number;
  constructor(isTTY: boolean, columns = 80) {
    super();
    this.isTTY = isTTY;
    this.columns = columns;
  }
  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** Updates every 100 ms of a clock that only this function moves: 3 images each, from `from` to `to`. */
function play(screen: Screen, to: number, options: Partial<ProgressOptions> & { from?: number } = {}): string {
  let time = 1000;
  const { from = 0, ...rest } = options;
  const progress = createProgress({ quiet: false, tty: false, stream: screen, now: () => time, ...rest });
  for (let done = from; done <= to; done += 3) {
    progress.update({ done, suspicious: Math.floor(done / 100), failed: Math.floor(done / 300) });
    time += 100;
  }
  progress.stop();
  return screen.text;
}

describe('progress without a terminal', () => {
  it('is a plain line every five seconds, and one at the end', () => {
    const lines = play(new Screen(false), 660, { total: 1200 }).trimEnd().split('\n');
    // 221 updates of 100 ms: seconds 5, 10, 15, 20, and the end.
    assert.equal(lines.length, 5);
    assert.equal(lines[0], '150 of 1,200 images (12.5 %), 30 a second, 35 s left, 1 suspicious, 0 failed');
    assert.match(lines[4]!, /^660 of 1,200 images \(55.0 %\), 30 a second, 18 s left, 6 suspicious, 2 failed$/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is the claim
    assert.doesNotMatch(lines.join('\n'), /[\u001b\r]/);
  });

  it('promises no end while the listing goes on', () => {
    const text = play(new Screen(false), 300);
    assert.doesNotMatch(text, /left| of |%/);
    assert.match(text, /^150 images, 30 a second, 1 suspicious/);
  });

  it('does not take the verdicts of an earlier call for speed', () => {
    const text = play(new Screen(false), 10_300, { from: 10_000, total: 20_000 });
    assert.match(text, /^10,150 of 20,000 images \(50.7 %\), 30 a second, 5 min 28 s left/);
  });

  it('is silent with quiet', () => {
    assert.equal(play(new Screen(false), 600, { quiet: true }), '');
    assert.equal(play(new Screen(true), 600, { quiet: true, tty: true }), '');
  });

  it('says nothing of a run that had nothing to do, and ends once', () => {
    const screen = new Screen(false);
    const progress = createProgress({ quiet: false, tty: false, stream: screen });
    progress.stop();
    progress.stop();
    assert.equal(screen.text, '');
  });
});

describe('progress on a terminal', () => {
  /** Draws once: the bar's first picture comes with the first update, its last with stop. */
  const drawn = (columns: number, total: number | undefined) => {
    const screen = new Screen(true, columns);
    let time = 0;
    const progress = createProgress({ quiet: false, tty: true, stream: screen, now: () => time });
    if (total !== undefined) progress.setTotal(total);
    progress.update({ done: 0, suspicious: 0, failed: 0 });
    time = 10_000;
    progress.update({ done: 500, suspicious: 7, failed: 1 });
    progress.stop();
    progress.update({ done: 900, suspicious: 7, failed: 1 });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control sequences are what is taken apart
    return screen.text.split(/\u001b(?:\[[\d;?]*[A-Za-z]|[78])/).filter(part => part.trim() !== '');
  };

  it('is one line with bar, share, counts, remaining time and rate', () => {
    assert.equal(
      drawn(120, 1000).at(-1),
      `${'█'.repeat(20)}${'░'.repeat(20)}  50 %  500/1,000  7 suspicious  1 failed  10 s left  50/s`,
    );
  });

  it('is a count where the total is unknown', () => {
    assert.equal(drawn(80, undefined).at(-1), '500 images  7 suspicious  1 failed  50/s');
  });

  it('fits any width', () => {
    for (const columns of [1, 10, 20, 40, 60, 80, 200]) {
      for (const line of drawn(columns, 123_456)) {
        assert.ok(line.length < Math.max(columns, 5), `${columns}: ${line}`);
      }
    }
  });
});
