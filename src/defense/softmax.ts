/**
 * Probabilities from logits: exp(z - max z) over their sum, in double precision.
 *
 * @param logits [..., classes]
 * @param offset where the row of one image begins
 * @param classes length of the row
 * @param out receives `classes` probabilities from 0; a new array where none is given
 */
export function softmax(
  logits: Float32Array | Float64Array,
  offset: number,
  classes: number,
  out: Float64Array = new Float64Array(classes),
): Float64Array {
  let largest = Number.NEGATIVE_INFINITY;
  for (let c = 0; c < classes; c++) {
    const value = logits[offset + c]!;
    // By a comparison: Math.max costs several times as much. What is no number is handed on.
    if (!(value <= largest)) largest = value;
  }
  let sum = 0;
  for (let c = 0; c < classes; c++) {
    const value = Math.exp(logits[offset + c]! - largest);
    out[c] = value;
    sum += value;
  }
  for (let c = 0; c < classes; c++) out[c]! /= sum;
  return out;
}
