import assert from 'node:assert/strict';

/**
 * Asserts that counts follow the stated weights: chi-square at most five standard deviations above its degrees of freedom.
 * Seeds are fixed, so the outcome is too.
 */
export function assertFollows(counts: ArrayLike<number>, weights: readonly number[]): void {
  assert.equal(counts.length, weights.length);
  const total = Array.from(counts).reduce((a, b) => a + b);
  const sum = weights.reduce((a, b) => a + b);
  let chiSquare = 0;
  weights.forEach((weight, i) => {
    const expected = (total * weight) / sum;
    if (weight === 0) assert.equal(counts[i], 0);
    else chiSquare += (counts[i]! - expected) ** 2 / expected;
  });
  const freedom = weights.filter(weight => weight > 0).length - 1;
  assert.ok(
    chiSquare < freedom + 5 * Math.sqrt(2 * freedom),
    `chi-square ${chiSquare} at ${freedom} degrees of freedom`,
  );
}
