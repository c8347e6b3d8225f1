import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import sharp from 'sharp';
import '../../src/images/decode.js';
import { DeflectorError } from '../../src/errors.js';
import { drawPanel, type PanelOptions } from '../../src/report/panel.js';
import { fittedText, textWidth } from '../../src/report/panel-text.js';
import { voteBars } from '../../src/report/vote-bars.js';
import { SUSPICIOUS, TEST_LABELS, testExplanation, testVerdict } from '../helpers/explanations.js';
import { HOSTILE_KEYS } from '../helpers/reports.js';

async function drawn(explanation: ReturnType<typeof testExplanation>, options: PanelOptions = { scale: 1 }) {
  const bytes = await drawPanel(explanation, options);
  const { data, info } = await sharp(bytes).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const at = (x: number, y: number) => [...data.subarray((y * info.width + x) * 3).subarray(0, 3)];
  return { bytes, data, at, width: info.width, height: info.height };
}

describe('the panel', () => {
  it('is a PNG on white, 976 pixels wide times its scale', async () => {
    for (const scale of [1, 2] as const) {
      const panel = await drawn(testExplanation('a.png'), { scale });
      assert.equal(panel.width, 976 * scale);
      assert.deepEqual(panel.at(0, 0), [255, 255, 255]);
    }
    assert.equal((await drawn(testExplanation('a.png'), {})).width, 976 * 2);
  });

  it('shows the pixels of the input as they are where no resampling is needed', async () => {
    const explanation = testExplanation('a.png', { width: 296, height: 296 });
    const panel = await drawn(explanation);
    // First tile: left margin 24, below header 72 and caption 26.
    for (const [x, y] of [
      [0, 0],
      [100, 40],
      [295, 295],
    ] as const) {
      const at = (y * 296 + x) * 3;
      assert.deepEqual(panel.at(24 + x, 98 + y), [...explanation.input.data.subarray(at, at + 3)]);
    }
  });

  it('draws the same bytes for the same explanation', async () => {
    const [first, second] = [await drawn(testExplanation('a.png')), await drawn(testExplanation('a.png'))];
    assert.deepEqual(first.bytes, second.bytes);
  });

  it('draws any shape of image', async () => {
    for (const [width, height] of [
      [1, 1],
      [5000, 1],
      [1, 5000],
      [12, 9],
      [900, 600],
    ] as const) {
      const panel = await drawn(testExplanation('a.png', { width, height, deflected: 50 }));
      assert.ok(panel.height > 500 && panel.height < 1200, `${width} x ${height}: ${panel.height}`);
    }
  });

  it('draws any key, label and number of votes', async () => {
    for (const key of [...HOSTILE_KEYS, '', 'k'.repeat(100_000), '\u0007\ud800\uffff']) {
      const label = { index: 7, id: '', name: key };
      const votes = Array.from({ length: 40 }, (_, index) => ({ index, count: 1 }));
      await drawn(testExplanation(key, { verdict: { ...SUSPICIOUS, label, votes, runsExecuted: 40 } }));
    }
  });

  it('draws an image on which nothing was deflected or changed', async () => {
    const explanation = testExplanation('a.png', { deflected: 0 });
    await drawn({ ...explanation, defended: explanation.input });
  });

  it('tells a suspicious verdict by colour and by words', async () => {
    const [plain, suspicious] = await Promise.all([
      drawn(testExplanation('a.png')),
      drawn(testExplanation('a.png', { verdict: SUSPICIOUS })),
    ]);
    assert.notDeepEqual(plain.data, suspicious.data);
  });

  it('refuses a scale that it does not offer', async () => {
    await assert.rejects(
      drawPanel(testExplanation('a.png'), { scale: 9 as 1 }),
      (error: unknown) =>
        error instanceof DeflectorError && error.message === 'Expected 1, 2, 3 or 4 for scale but received 9',
    );
  });
});

describe('text in panels', () => {
  const style = { size: 12, weight: 400, fill: '#000' } as const;

  it('has a width although the machine may have no font', () => {
    assert.ok(textWidth('wide', style) > 15);
    assert.ok(textWidth('iiii', style) < textWidth('WWWW', style));
    assert.equal(textWidth('', style), 0);
  });

  it('is cut to fit, a key in its middle', () => {
    const key = `${'folder/'.repeat(60)}file.jpg`;
    const cut = fittedText(key, 200, style, 'both');
    assert.ok(textWidth(cut, style) <= 200);
    assert.match(cut, /^folder.*….*file\.jpg$/);
    assert.equal(fittedText('short', 200, style, 'both'), 'short');
    assert.match(fittedText('x'.repeat(5000), 100, style, 'start'), /^x+…$/);
  });
});

describe('bars of votes', () => {
  it('begin with the voted label and never leave out the undefended one', () => {
    const votes = [
      { index: 1, count: 4 },
      { index: 2, count: 3 },
      { index: 4, count: 2 },
      { index: 5, count: 1 },
    ];
    const { bars, others } = voteBars(testVerdict('a', { ...SUSPICIOUS, votes, runsExecuted: 10 }), TEST_LABELS, 3);
    assert.deepEqual(
      bars.map(({ name, count, role }) => [name, count, role]),
      [
        ['tiger cat', 4, 'voted'],
        ['Egyptian cat', 3, 'other'],
        ['warplane', 0, 'undefended'],
      ],
    );
    assert.equal(others, 3);
  });

  it('begin with the voted label where another has more votes, as the mean-probability vote allows', () => {
    const votes = [
      { index: 2, count: 6 },
      { index: 1, count: 4 },
    ];
    const { bars } = voteBars(testVerdict('a', { ...SUSPICIOUS, votes, runsExecuted: 10 }), undefined, 6);
    assert.deepEqual(
      bars.map(({ name, count }) => [name, count]),
      [
        ['tiger cat', 4],
        ['class 2', 6],
        ['warplane', 0],
      ],
    );
  });

  it('have no bar of its own for an undefended label that won', () => {
    assert.equal(voteBars(testVerdict('a'), TEST_LABELS, 6).bars.length, 1);
  });
});
