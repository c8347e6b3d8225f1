import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { shellCommand } from '../../src/report/run-summary.js';
import { shortText, visibleText } from '../../src/report/visible-text.js';

describe('visible text', () => {
  it('leaves names as people write them', () => {
    for (const name of [
      'a b.jpg',
      'Ünïcode – ×.png',
      '日本/写真.jpg',
      '👩‍👩‍👧 family.png',
      'می‌خواهم.jpg',
      '-rf',
      '..',
    ]) {
      assert.equal(visibleText(name), name);
    }
  });

  it('writes what acts or hides as escapes', () => {
    assert.equal(visibleText('a\nb\tc\0'), 'a\\nb\\tc\\0');
    assert.equal(visibleText('\u001b[31m\u009b'), '\\u{1b}[31m\\u{9b}');
    assert.equal(visibleText('\u202egpj.exe\u2066\u200f'), '\\u{202e}gpj.exe\\u{2066}\\u{200f}');
    assert.equal(visibleText('\u2028\u2029\ufeff\u200b'), '\\u{2028}\\u{2029}\\u{feff}\\u{200b}');
    assert.equal(visibleText('\ud800x\u{e0041}'), '\\u{d800}x\\u{e0041}');
  });

  it('is on one line, free of controls and of lone surrogates, whatever came', () => {
    // Lone surrogates too, which file names on Windows may hold.
    const codePoint = fc.integer({ min: 0, max: 0x10ffff }).map(code => String.fromCodePoint(code));
    const acting = /[\p{Cs}\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u;
    fc.assert(
      fc.property(fc.string({ unit: codePoint }), text => {
        const visible = visibleText(text);
        assert.doesNotMatch(visible, acting);
      }),
    );
  });

  it('is cut between characters', () => {
    assert.equal(shortText('😀😀😀', 2), '😀😀…');
    assert.equal(shortText('abc', 3), 'abc');
  });
});

describe('a command for a shell', () => {
  it('quotes what a shell would read otherwise', () => {
    assert.equal(
      shellCommand(['deflector', 'run', 'a b', "--seed=it's", '$HOME', '']),
      `deflector run 'a b' '--seed=it'\\''s' '$HOME' ''`,
    );
  });
});
