/**
 * Total variation denoising: min over u of |u - x|^2 / 2 + weight TV(u), by Chambolle's projections. Chambolle, 'An
 * Algorithm for Total Variation Minimization and Applications', J. Math. Imaging and Vision 20, 2004, section 3, with the
 * step and the stopping rule of scikit-image's denoise_tv_chambolle: it ends when the energy changes by less than eps of
 * its first value. Table 9 of the Pixel Deflection paper (`TVM`).
 */
import { clampToUnit, plane } from './planes.js';
import { decimal, defineStep, integer } from './step.js';

export interface ChambolleParameters {
  /** Weight of the total variation; more is smoother. */
  readonly weight: number;
  /** Change of the energy, relative to its first value, that ends the iteration. */
  readonly eps: number;
  readonly iterations: number;
}

/**
 * Denoises a volume in place; with depth 1, a plane.
 *
 * @param values float32 [depth, height, width]; depth 3 takes RGB as a volume, which smooths across channels too
 */
export function denoiseChambolle(
  values: Float32Array,
  width: number,
  height: number,
  depth: number,
  { weight, eps, iterations }: ChambolleParameters,
): void {
  const area = width * height;
  const size = area * depth;
  const deep = depth > 1;
  const tau = 1 / (deep ? 6 : 4);
  // The dual field along x, y and z.
  const px = new Float64Array(size);
  const py = new Float64Array(size);
  const pz = new Float64Array(deep ? size : 0);
  const out = Float64Array.from(values);
  let first = 0;
  let previous = 0;
  for (let iteration = 0; iteration < iterations; iteration++) {
    let fidelity = 0;
    if (iteration > 0) {
      for (let z = 0, at = 0; z < depth; z++) {
        for (let y = 0; y < height; y++) {
          for (let x = 0; x < width; x++, at++) {
            let divergence = -px[at]! - py[at]!;
            if (x > 0) divergence += px[at - 1]!;
            if (y > 0) divergence += py[at - width]!;
            if (deep) divergence += (z > 0 ? pz[at - area]! : 0) - pz[at]!;
            out[at] = values[at]! + divergence;
            fidelity += divergence * divergence;
          }
        }
      }
    }
    let variation = 0;
    for (let z = 0, at = 0; z < depth; z++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++, at++) {
          const here = out[at]!;
          const gx = x + 1 < width ? out[at + 1]! - here : 0;
          const gy = y + 1 < height ? out[at + width]! - here : 0;
          const gz = deep && z + 1 < depth ? out[at + area]! - here : 0;
          const norm = Math.sqrt(gx * gx + gy * gy + gz * gz);
          variation += norm;
          const scale = 1 / (1 + (tau / weight) * norm);
          px[at] = (px[at]! - tau * gx) * scale;
          py[at] = (py[at]! - tau * gy) * scale;
          if (deep) pz[at] = (pz[at]! - tau * gz) * scale;
        }
      }
    }
    const energy = (fidelity + weight * variation) / size;
    if (iteration === 0) first = energy;
    else if (Math.abs(previous - energy) < eps * first) break;
    previous = energy;
  }
  values.set(out);
}

export const chambolle = defineStep({
  name: 'tv',
  parameters: { weight: decimal(0.1, 0.0001, 100), iterations: integer(200, 1, 10000) },
  apply(planes, width, height, { weight, iterations }) {
    for (let c = 0; c < 3; c++) {
      denoiseChambolle(plane(planes, c, width, height), width, height, 1, { weight, eps: 2e-4, iterations });
    }
    clampToUnit(planes);
  },
});
