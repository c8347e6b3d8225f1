/** Explanations made from nothing but numbers: what panels and reports are drawn from in tests. */
import { createHash } from 'node:crypto';
import { printDefence } from '../../src/config/settings.js';
import { PAPER_SETTINGS } from '../../src/defense/settings.js';
import type { ActivationMap, Explanation, Label, OkVerdict, RgbImage } from '../../src/types.js';

export const TEST_LABELS: readonly Label[] = [
  { index: 0, id: 'n02123045', name: 'tabby' },
  { index: 1, id: 'n02123159', name: 'tiger cat' },
  { index: 2, id: 'n02124075', name: 'Egyptian cat' },
  { index: 3, id: 'n04552348', name: 'warplane' },
  { index: 4, id: 'n02701002', name: 'ambulance' },
  { index: 5, id: 'n07930864', name: 'cup' },
];

/** A picture with edges, slopes and texture: hills under a sky with a disc whose place follows `variant`. */
export function testImage(width: number, height: number, variant = 0): RgbImage {
  const data = new Uint8Array(width * height * 3);
  const disc = { x: 0.3 + 0.4 * ((variant * 0.37) % 1), y: 0.35 };
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const [x, y] = [(column + 0.5) / width, (row + 0.5) / height];
      const hill = 0.68 + 0.08 * Math.sin(7 * x + variant) + 0.03 * Math.sin(23 * x + 2 * variant);
      let colour = [120 + 90 * y, 165 + 50 * y, 225 - 20 * y];
      if (Math.hypot(x - disc.x, (y - disc.y) * (height / width)) < 0.14) colour = [240, 200 - 60 * y, 90];
      if (y > hill) {
        const grain = ((column * 7919 + row * 104729 + variant * 31) % 41) - 20;
        colour = [70 + grain, 110 + 60 * (y - hill) + grain, 60 + grain / 2];
      }
      data.set(colour.map(Math.round), (row * width + column) * 3);
    }
  }
  return { width, height, data };
}

const SEED = 'b6c1f4a2-published-for-experiments';

function blob(width: number, height: number, variant: number): ActivationMap {
  const data = new Float32Array(width * height);
  const disc = { x: 0.3 + 0.4 * ((variant * 0.37) % 1), y: 0.35 };
  for (let at = 0; at < data.length; at++) {
    const [x, y] = [((at % width) + 0.5) / width, (Math.floor(at / width) + 0.5) / height];
    data[at] = Math.exp(-((x - disc.x) ** 2 + ((y - disc.y) * 0.9) ** 2) / 0.045);
  }
  return { width, height, data };
}

/** Blocks of 2 x 2 averaged and a few pixels moved: near to what deflection and shrinkage do. */
function smoothed(image: RgbImage, moved: Uint32Array): RgbImage {
  const data = image.data.slice();
  for (const at of moved)
    data.set(image.data.subarray(((at * 31) % (image.width * image.height)) * 3).subarray(0, 3), at * 3);
  const source = data.slice();
  const { width, height } = image;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      for (let c = 0; c < 3; c++) {
        const [r, k] = [Math.min(row ^ 1, height - 1), Math.min(column ^ 1, width - 1)];
        const at = (y: number, x: number) => source[(y * width + x) * 3 + c]!;
        const mean = (at(row, column) + at(r, column) + at(row, k) + at(r, k)) / 4;
        data[(row * width + column) * 3 + c] = Math.round(0.4 * at(row, column) + 0.6 * mean);
      }
    }
  }
  return { width, height, data };
}

export function testVerdict(key: string, changes: Partial<OkVerdict> = {}): OkVerdict {
  return {
    schema: 'deflector/verdict@1',
    key,
    sha256: createHash('sha256').update(key).digest('hex'),
    status: 'ok',
    label: TEST_LABELS[0]!,
    votes: [{ index: 0, count: 6 }],
    runs: 10,
    runsExecuted: 6,
    agreement: 1,
    probability: 0.8312,
    undefended: { ...TEST_LABELS[0]!, probability: 0.874 },
    suspicious: false,
    seed: SEED,
    model: { name: 'efficientnet-lite0', sha256: '6f690dd22f192d28994c1e0f895d74fbee00489eaed5d7e678f6441af0c956a1' },
    defence: printDefence({ ...PAPER_SETTINGS, seed: SEED }),
    ms: { fetch: 0.4, decode: 3.1, defend: 71.5 },
    ...changes,
  };
}

/** Label changed by the vote, one run disagreeing. */
export const SUSPICIOUS: Partial<OkVerdict> = {
  label: TEST_LABELS[1]!,
  votes: [
    { index: 1, count: 6 },
    { index: 3, count: 2 },
    { index: 2, count: 1 },
  ],
  runsExecuted: 9,
  agreement: 6 / 9,
  probability: 0.41,
  undefended: { ...TEST_LABELS[3]!, probability: 0.62 },
  suspicious: true,
};

export function testExplanation(
  key: string,
  options: { width?: number; height?: number; variant?: number; deflected?: number; verdict?: Partial<OkVerdict> } = {},
): Explanation {
  const { width = 224, height = 224, variant = 0, deflected = 63 } = options;
  const pixels = width * height;
  const places = new Set<number>();
  for (let i = 1; places.size < Math.min(deflected, pixels); i++) places.add((i * 1_000_003 + variant * 17) % pixels);
  const moved = Uint32Array.from(places).sort();
  const input = testImage(width, height, variant);
  return {
    verdict: testVerdict(key, options.verdict),
    input,
    map: blob(width, height, variant),
    deflected: moved,
    defended: smoothed(input, moved),
  };
}
