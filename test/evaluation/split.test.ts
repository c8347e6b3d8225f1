import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { splitOf } from '../../src/evaluation/split.js';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

describe('The split of images into search and test', () => {
  it('follows the leading digit of the content hash, so that figures published with it stay comparable', () => {
    assert.equal(splitOf(`7${'f'.repeat(63)}`), 'search');
    assert.equal(splitOf(`8${'0'.repeat(63)}`), 'test');
  });

  it('gives each half of many contents to one split', () => {
    const contents = Array.from({ length: 4000 }, (_, i) => splitOf(sha256(`content ${i}`)));
    const search = contents.filter(split => split === 'search').length;
    // Five standard deviations of a fair coin: 158.
    assert.ok(Math.abs(search - 2000) < 158, String(search));
  });

  it('refuses what is no content hash', () => {
    for (const text of ['', 'F'.repeat(64), 'ab']) assert.throws(() => splitOf(text), { code: 'SETTINGS_INVALID' });
  });
});
