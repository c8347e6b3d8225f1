/**
 * Anisotropic diffusion. Perona and Malik, 'Scale-Space and Edge Detection Using Anisotropic Diffusion', IEEE PAMI 12(7)
 * 1990, equations 7 and 8: I += lambda sum over the four neighbours of c(d) d, with c(d) = exp(-(d/kappa)^2) or
 * 1 / (1 + (d/kappa)^2); nothing flows through the border; each channel by itself. Table 9 of the Pixel Deflection paper.
 */
import { clampToUnit, plane } from './planes.js';
import { choice, decimal, defineStep, integer } from './step.js';

export interface DiffusionParameters {
  readonly iterations: number;
  /** Contrast on the [0,1] scale above which an edge is kept. */
  readonly kappa: number;
  /** Step; stable up to 0.25. */
  readonly lambda: number;
  readonly conductance: 'exponential' | 'rational';
}

/**
 * Diffuses one plane in place.
 *
 * @param values float32 [height, width]
 */
export function diffuse(
  values: Float32Array,
  width: number,
  height: number,
  { iterations, kappa, lambda, conductance }: DiffusionParameters,
): void {
  const now = Float64Array.from(values);
  const change = new Float64Array(now.length);
  const scale = 1 / (kappa * kappa);
  const exponential = conductance === 'exponential';
  for (let iteration = 0; iteration < iterations; iteration++) {
    change.fill(0);
    for (let y = 0; y < height; y++) {
      for (let x = 0, at = y * width; x < width; x++, at++) {
        const here = now[at]!;
        if (x + 1 < width) {
          const difference = now[at + 1]! - here;
          const square = difference * difference * scale;
          const flow = exponential ? difference * Math.exp(-square) : difference / (1 + square);
          change[at]! += flow;
          change[at + 1]! -= flow;
        }
        if (y + 1 < height) {
          const difference = now[at + width]! - here;
          const square = difference * difference * scale;
          const flow = exponential ? difference * Math.exp(-square) : difference / (1 + square);
          change[at]! += flow;
          change[at + width]! -= flow;
        }
      }
    }
    for (let i = 0; i < now.length; i++) now[i]! += lambda * change[i]!;
  }
  values.set(now);
}

export const anisotropicDiffusion = defineStep({
  name: 'anisotropic',
  parameters: {
    iterations: integer(10, 0, 1000),
    kappa: decimal(0.1, 0.0001, 10),
    lambda: decimal(0.2, 0.001, 0.25),
    conductance: choice('exponential', 'rational'),
  },
  apply(planes, width, height, parameters) {
    for (let c = 0; c < 3; c++) diffuse(plane(planes, c, width, height), width, height, parameters);
    clampToUnit(planes);
  },
});
