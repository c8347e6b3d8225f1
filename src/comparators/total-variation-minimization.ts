/**
 * Total variation minimisation. Guo et al., 'Countering Adversarial Images Using Input Transformations', ICLR 2018, section
 * 4.2: a random half of the values (pixels by channels) is dropped, and the image of least total variation that agrees
 * with the rest takes its place: min over z of |kept (z - x)|^2 / 2 + weight TV(z), weight 0.03.
 *
 * TV is the isotropic one, each channel by itself. It is solved by the primal-dual iteration of Chambolle and Pock, 'A
 * First-Order Primal-Dual Algorithm for Convex Problems', J. Math. Imaging and Vision 40, 2011, algorithm 1 (Guo et al.:
 * split Bregman); what is dropped starts from the mean of what is kept around it.
 */
import type { UniformSource } from '../defense/defender.js';
import { clampToUnit, plane } from './planes.js';
import { decimal, defineStep, integer } from './step.js';

export interface MinimizationParameters {
  /** Share of the values that is dropped, in [0, 1). */
  readonly dropout: number;
  /** Weight of the total variation. */
  readonly weight: number;
  readonly iterations: number;
}

/** Draws which values are kept: 1 kept, 0 dropped; one draw a value. */
export function drawKept(length: number, dropout: number, source: UniformSource): Uint8Array {
  const kept = new Uint8Array(length);
  for (let i = 0; i < length; i++) kept[i] = source.uniform() >= dropout ? 1 : 0;
  return kept;
}

/**
 * Minimises in place.
 *
 * @param values float32 [height, width]
 * @param kept as many flags; a value flagged 0 has no say
 */
export function minimizeVariation(
  values: Float32Array,
  kept: Uint8Array,
  width: number,
  height: number,
  weight: number,
  iterations: number,
): void {
  const start = fillDropped(values, kept, width, height);
  const now = Float32Array.from(start);
  const ahead = Float32Array.from(start);
  const px = new Float32Array(values.length);
  const py = new Float32Array(values.length);
  // Any tau sigma <= 1/8 converges; values lie in [0,1] and |p| <= weight, which sets the proportion.
  const sigma = Math.min(1, 4 * weight);
  const tau = 1 / (8 * sigma);
  const gain = 1 / (1 + tau);
  const bound = weight * weight;
  for (let iteration = 0; iteration < iterations; iteration++) {
    for (let y = 0; y < height; y++) {
      const below = y + 1 < height ? width : 0;
      const last = y * width + width - 1;
      for (let at = y * width; at <= last; at++) {
        const here = ahead[at]!;
        const gx = at < last ? px[at]! + sigma * (ahead[at + 1]! - here) : 0;
        const gy = py[at]! + sigma * (ahead[at + below]! - here);
        const square = gx * gx + gy * gy;
        if (square > bound) {
          const scale = weight / Math.sqrt(square);
          px[at] = gx * scale;
          py[at] = gy * scale;
        } else {
          px[at] = gx;
          py[at] = gy;
        }
      }
    }
    for (let y = 0; y < height; y++) {
      const top = y === 0;
      let left = 0;
      for (let at = y * width, end = at + width; at < end; at++) {
        const right = px[at]!;
        const divergence = right - left + py[at]! - (top ? 0 : py[at - width]!);
        left = right;
        const old = now[at]!;
        const free = old + tau * divergence;
        const next = kept[at] === 1 ? (free + tau * values[at]!) * gain : free;
        now[at] = next;
        ahead[at] = 2 * next - old;
      }
    }
  }
  values.set(now);
}

/** Dropped values become the mean of the kept ones in the smallest square around them that has any. */
function fillDropped(values: Float32Array, kept: Uint8Array, width: number, height: number): Float32Array {
  const filled = Float32Array.from(values);
  if (!kept.includes(1)) return filled.fill(0.5);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (kept[y * width + x] === 1) continue;
      for (let radius = 1, count = 0; count === 0; radius++) {
        let sum = 0;
        for (let row = Math.max(0, y - radius); row <= Math.min(height - 1, y + radius); row++) {
          for (let column = Math.max(0, x - radius); column <= Math.min(width - 1, x + radius); column++) {
            const at = row * width + column;
            if (kept[at] === 0) continue;
            sum += values[at]!;
            count++;
          }
        }
        if (count > 0) filled[y * width + x] = sum / count;
      }
    }
  }
  return filled;
}

export const totalVariationMinimization = defineStep({
  name: 'tvm',
  random: true,
  parameters: {
    dropout: decimal(0.5, 0, 0.99),
    weight: decimal(0.03, 0.0001, 100),
    iterations: integer(50, 1, 10000),
  },
  apply(planes, width, height, { dropout, weight, iterations }, source) {
    for (let c = 0; c < 3; c++) {
      const values = plane(planes, c, width, height);
      minimizeVariation(values, drawKept(values.length, dropout, source), width, height, weight, iterations);
    }
    clampToUnit(planes);
  },
});
