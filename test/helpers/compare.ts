/** How two versions of the same defended image are compared. */
import assert from 'node:assert/strict';

/** What single precision may differ from double precision, on the [0,1] scale. */
const SINGLE_PRECISION = 1e-5;

/**
 * Asserts that `actual` is `expected` to single precision and rounds to the same 8-bit values but for ties.
 *
 * @param mayJump values that may differ at will: where a coefficient lies at a hard threshold, one rounding decides
 */
export function assertSameImage(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  what: string,
  mayJump = 0,
): void {
  assert.equal(actual.length, expected.length);
  let jumps = 0;
  let worst = '';
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i]!, expected[i]!];
    const isTie = Math.abs(((Math.abs(b) * 255) % 1) - 0.5) < SINGLE_PRECISION * 255;
    if (Math.abs(a - b) <= SINGLE_PRECISION && (isTie || Math.round(a * 255) === Math.round(b * 255))) continue;
    jumps++;
    worst ||= `${what}: ${a} for ${b} at ${i}`;
  }
  assert.ok(jumps <= mayJump, `${worst}, and ${jumps - 1} more`);
}
