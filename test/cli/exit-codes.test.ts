import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { exitCodeOf } from '../../src/cli/exit-codes.js';
import { DeflectorError, ERROR_CATALOGUE, type ErrorCode } from '../../src/errors.js';

/** Of docs/guide.md: 1 errors, 2 bad usage or settings, 3 a needed service is not there, 130 interrupted. */
describe('the exit code of a command that ended with an error', () => {
  const cases: readonly (readonly [ErrorCode, number])[] = [
    ['SETTINGS_INVALID', 2],
    ['COMMAND_INVALID', 2],
    ['MODEL_NOT_FOUND', 2],
    ['OUTPUT_EXISTS', 2],
    ['IMAGE_CORRUPT', 1],
    ['RUNTIME_UNAVAILABLE', 3],
    ['STORE_UNAVAILABLE', 3],
    ['INTERRUPTED', 130],
    ['INTERNAL', 1],
  ];
  for (const [code, expected] of cases) {
    it(`is ${expected} for ${code}`, () => assert.equal(exitCodeOf(new DeflectorError(code, '')), expected));
  }

  it('is one of the contract for every code of the catalogue, and 1 for any other error', () => {
    for (const code of Object.keys(ERROR_CATALOGUE) as ErrorCode[]) {
      assert.ok([1, 2, 3, 130].includes(exitCodeOf(new DeflectorError(code, ''))), code);
    }
    assert.equal(exitCodeOf(new TypeError('x')), 1);
  });
});
