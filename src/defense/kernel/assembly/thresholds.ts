/**
 * The thresholds of one run, in double precision, from the second moments of the integer details.
 */
import {
  CB_B, CB_G, CB_R, COLOUR_UNITS, CR_B, CR_G, CR_R, Y_B, Y_G, Y_R,
} from './colour';
import { levelOf, MOMENTS, Slot } from './slot';

/** Spacing of the doubles at 1, the floor of BayesShrink's signal variance in scikit-image. */
const EPSILON: f64 = 2.220446049250313e-16;

/** Sum of the squares of one plane's details, from the moments of R, G, B. */
@inline function energy(at: usize, r: f64, g: f64, b: f64): f64 {
  const squares = r * r * <f64>load<i64>(at) + g * g * <f64>load<i64>(at, 8) + b * b * <f64>load<i64>(at, 16);
  const products = r * g * <f64>load<i64>(at, 32) + g * b * <f64>load<i64>(at, 40) + b * r * <f64>load<i64>(at, 48);
  return max(squares + 2 * products, 0);
}

/**
 * BayesShrink (Chang, Yu, Vetterli 2000): T = s^2 / sqrt(max(v - s^2, eps)) on a plane scaled to [0,1], hence with the
 * range of the plane squared beside eps on the plane itself.
 */
@inline function bayes(meanSquare: f64, sigma: f64, range: f64): f64 {
  const noise = sigma * sigma;
  // No noise is subtracted; without this a constant plane would give 0 / 0.
  if (noise == 0) return 0;
  return noise / sqrt(max(meanSquare - noise, EPSILON * range * range));
}

/** Sets the thresholds of all bands of one plane. */
@inline function setPlane(slot: Slot, plane: usize, r: i32, g: i32, b: i32, sigma: f64, range: f64): void {
  const kr = <f64>r / COLOUR_UNITS;
  const kg = <f64>g / COLOUR_UNITS;
  const kb = <f64>b / COLOUR_UNITS;
  for (let l = 1; l <= slot.levels; l++) {
    const level = levelOf(slot, l);
    // A sum over a block is 2^level times the orthonormal coefficient and 4^level times the one that is kept.
    const unit = <f64>(1 << l);
    const count = <f64>level.columns * <f64>level.rows * unit * unit;
    for (let band: usize = 0; band < 3; band++) {
      const threshold = slot.rule == 0
        ? bayes(energy(level.runMoments + band * MOMENTS, kr, kg, kb) / count, sigma, range)
        : sigma * slot.universal;
      // Beyond the largest single-precision number a threshold means the same: no detail stays.
      store<f32>(level.thresholds + plane * 12 + band * 4, <f32>min(threshold / unit, <f64>f32.MAX_VALUE));
    }
  }
}

/** Sets the thresholds of all levels and planes. */
export function setThresholds(slot: Slot): void {
  const lowest = slot.lowest;
  const greatest = slot.greatest;
  const needs = slot.needsExtremes != 0;
  const rangeY = needs ? <f64>(load<i32>(greatest) - load<i32>(lowest)) / COLOUR_UNITS : 0;
  const rangeCb = needs ? <f64>(load<i32>(greatest, 4) - load<i32>(lowest, 4)) / COLOUR_UNITS : 0;
  const rangeCr = needs ? <f64>(load<i32>(greatest, 8) - load<i32>(lowest, 8)) / COLOUR_UNITS : 0;
  const legacy = slot.legacy != 0;
  setPlane(slot, 0, Y_R, Y_G, Y_B, legacy ? slot.sigmaY * rangeY : slot.sigmaY, rangeY);
  setPlane(slot, 1, CB_R, CB_G, CB_B, legacy ? slot.sigmaCb * rangeCb : slot.sigmaCb, rangeCb);
  setPlane(slot, 2, CR_R, CR_G, CR_B, legacy ? slot.sigmaCr * rangeCr : slot.sigmaCr, rangeCr);
}
