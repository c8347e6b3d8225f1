/** A run that never was, with the mixture that a real one brings: plain, suspicious and failed images, odd keys. */

import { RUN_SCHEMA, type RunSummary } from '../../src/report/run-summary.js';
import type { Verdict } from '../../src/types.js';
import { SUSPICIOUS, TEST_LABELS, testVerdict } from './explanations.js';

/** Keys that would act if they were not escaped. */
export const HOSTILE_KEYS = [
  '<script>window.pwned=1</script>.jpg',
  '"><img src=x onerror="window.pwned=2">.png',
  "' onmouseover='window.pwned=3.jpg",
  '</script><script>window.pwned=4</script>',
  'line\nbreak\u2028and\u2029more.jpg',
  'invoice\u202egpj.exe',
  '<!--<script>.jpg',
  'שלום עולם.jpg',
  '😀 ünïcode 日本.png',
] as const;

/** `count` verdicts; every fifth suspicious, every seventh failed, hostile keys first. */
export async function* testVerdicts(count: number): AsyncGenerator<Verdict> {
  for (let i = 0; i < count; i++) {
    const key = HOSTILE_KEYS[i] ?? `photos/folder-${i % 10}/image-${String(i).padStart(6, '0')}.jpg`;
    if (i % 7 === 6) {
      const code = i % 2 === 0 ? 'IMAGE_TRUNCATED' : 'IMAGE_UNSUPPORTED';
      const message = i % 2 === 0 ? 'The file ends after 1,024 of 20,480 bytes' : `Expected an image for ${key}`;
      yield { schema: 'deflector/verdict@1', key, status: 'error', error: { code, message, retryable: false }, ms: {} };
    } else if (i % 5 === 4) yield testVerdict(key, SUSPICIOUS);
    else {
      const label = TEST_LABELS[i % TEST_LABELS.length]!;
      yield testVerdict(key, {
        label,
        undefended: { ...label, probability: 0.7 },
        votes: [
          { index: label.index, count: i % 3 === 0 ? 9 : 6 },
          ...(i % 3 === 0 ? [{ index: (label.index + 1) % 6, count: 1 }] : []),
        ],
        runsExecuted: i % 3 === 0 ? 10 : 6,
        agreement: i % 3 === 0 ? 0.9 : 1,
      });
    }
  }
}

/** The counts of {@link testVerdicts}, by their rule. */
export function testCounts(count: number): { ok: number; suspicious: number; failed: number } {
  let [suspicious, failed] = [0, 0];
  for (let i = 0; i < count; i++) {
    if (i % 7 === 6) failed++;
    else if (i % 5 === 4) suspicious++;
  }
  return { ok: count - failed, suspicious, failed };
}

export function testRun(count: number): RunSummary {
  const verdict = testVerdict('any');
  const { ok, suspicious, failed } = testCounts(count);
  return {
    schema: RUN_SCHEMA,
    status: 'complete',
    command: ['deflector', 'run', "my photos & 'more'", '--out', 'out', '--seed', verdict.seed],
    inputs: ["my photos & 'more' <hr>"],
    model: verdict.model,
    runtime: 'onnxruntime-cpu',
    threads: 2,
    recipe: 'paper',
    seed: verdict.seed,
    defence: verdict.defence,
    settings: {},
    versions: { deflector: '0.1.0', node: '20.20.2', onnxruntime: '1.30.0', sharp: '0.35.5' },
    counts: { total: count, ok, suspicious, errors: { IMAGE_TRUNCATED: failed } },
    startedAt: '2026-11-23T10:00:00.000Z',
    finishedAt: '2026-11-23T10:00:42.000Z',
    ms: { total: 42_000, images: count },
  };
}
