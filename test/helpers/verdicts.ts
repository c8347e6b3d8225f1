/** Verdicts to write and read: made up, but of the shape of the contract. */
import { type ErrorVerdict, type OkVerdict, VERDICT_SCHEMA } from '../../src/types.js';

const SHA256 = 'ab'.repeat(32);

export function okVerdict(key: string, changes: Partial<OkVerdict> = {}): OkVerdict {
  return {
    schema: VERDICT_SCHEMA,
    key,
    sha256: SHA256,
    status: 'ok',
    label: { index: 281, id: 'n02123045', name: 'tabby' },
    votes: [
      { index: 281, count: 9 },
      { index: 282, count: 1 },
    ],
    runs: 10,
    runsExecuted: 10,
    agreement: 0.9,
    probability: 0.83,
    undefended: { index: 282, id: 'n02123159', name: 'tiger cat', probability: 0.41 },
    suspicious: true,
    seed: '1',
    model: { name: 'lite0', sha256: SHA256 },
    defence: { runs: 10, sigma: 0.04, levels: null },
    ms: { fetch: 0.1, decode: 2.5, defend: 61 },
    ...changes,
  };
}

export function errorVerdict(key: string, changes: Partial<ErrorVerdict> = {}): ErrorVerdict {
  return {
    schema: VERDICT_SCHEMA,
    key,
    sha256: SHA256,
    status: 'error',
    error: { code: 'IMAGE_TRUNCATED', message: 'The file ends early', retryable: false },
    ms: { fetch: 0.1, decode: 1 },
    ...changes,
  };
}
