/**
 * The thresholds of one run, in double precision, from the second moments of the integer details.
 */
import {
  CB_B, CB_G, CB_R, COLOUR_UNITS, CR_B, CR_G, CR_R, Y_B, Y_G, Y_R,
} from './colour';
import { estimateSigma } from './noise';
import { leastRisk } from './select';
import { DETAILS, Level, levelOf, MOMENTS, PLANE_DETAILS, Slot, VECTOR } from './slot';
import { Filters } from './wavelet';

/** How a threshold follows from a sub-band and the noise. */
@inline export const RULE_BAYES: i32 = 0;
/** One multiple of sigma for all sub-bands: VisuShrink; 0 with no shrinkage. */
@inline const RULE_UNIVERSAL: i32 = 1;
@inline export const RULE_SURE: i32 = 2;

/** In place of a sigma: it is to be estimated. */
@inline export const ESTIMATED: f64 = -1;

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
@inline export function bayes(meanSquare: f64, sigma: f64, range: f64): f64 {
  const noise = sigma * sigma;
  // No noise is subtracted; without this a constant plane would give 0 / 0.
  if (noise == 0) return 0;
  return noise / sqrt(max(meanSquare - noise, EPSILON * range * range));
}

/**
 * SureShrink with the hybrid rule of Donoho and Johnstone 1995: the universal threshold where the sub-band is sparse.
 *
 * @param energy sum of the squares of the coefficients
 * @param sigma in the unit of the coefficients
 * @param magnitudes `count` of them
 */
export function sure(energy: f64, sigma: f64, magnitudes: usize, count: i32, select: usize): f64 {
  if (sigma == 0) return 0;
  const d = <f64>count;
  const noise = sigma * sigma;
  const universal = sqrt(2 * Math.log(d)) * sigma;
  const bits = Math.log2(d);
  if (energy / noise / d - 1 <= (bits * sqrt(bits)) / sqrt(d)) return universal;
  return universal == 0 ? 0 : <f64>leastRisk(magnitudes, count, noise, universal, select);
}

/** Copies the magnitudes of one band of one plane, times `scale`, without gaps. */
function gather(level: Level, plane: usize, band: usize, scale: f32, to: usize): void {
  const factor = f32x4.splat(scale);
  for (let y = 0; y < level.rows; y++) {
    let at = level.details + <usize>y * level.detailStride + plane * PLANE_DETAILS + band * VECTOR;
    // Rows overlap by what a vector writes beyond them; the next row writes over it.
    for (let group = 0; group < level.groups; group++) {
      v128.store(to + <usize>group * VECTOR, f32x4.mul(f32x4.abs(v128.load(at)), factor));
      at += DETAILS;
    }
    to += <usize>level.columns << 2;
  }
}

/** Sets the thresholds of all bands of one plane. */
function setPlane(slot: Slot, plane: usize, r: i32, g: i32, b: i32, given: f64): void {
  const lane = plane << 2;
  const range = slot.needsExtremes
    ? <f64>(load<i32>(slot.greatest + lane) - load<i32>(slot.lowest + lane)) / COLOUR_UNITS
    : 0;
  let sigma = slot.legacy ? given * range : given;
  if (given == ESTIMATED) {
    const finest = levelOf(slot, 1);
    const count = finest.columns * finest.rows;
    gather(finest, plane, 2, 2, slot.magnitudes);
    const filters = changetype<Filters>(slot.filters);
    sigma = range == 0 ? 0 : estimateSigma(slot, <i32>plane, true, filters, slot.magnitudes, count, slot.select);
  }
  sigma *= slot.strength;
  const kr = <f64>r / COLOUR_UNITS;
  const kg = <f64>g / COLOUR_UNITS;
  const kb = <f64>b / COLOUR_UNITS;
  for (let l = 1; l <= slot.levels; l++) {
    const level = levelOf(slot, l);
    // A sum over a block is 2^level times the orthonormal coefficient and 4^level times the one that is kept.
    const unit = <f64>(1 << l);
    const count = level.columns * level.rows;
    for (let band: usize = 0; band < 3; band++) {
      let threshold: f64;
      if (slot.rule == RULE_UNIVERSAL) {
        threshold = sigma * slot.universal;
      } else {
        const squares = energy(level.runMoments + band * MOMENTS, kr, kg, kb) / (unit * unit);
        if (slot.rule == RULE_BAYES) {
          threshold = bayes(squares / <f64>count, sigma, range);
        } else {
          if (sigma > 0) gather(level, plane, band, <f32>unit, slot.magnitudes);
          threshold = sure(squares, sigma, slot.magnitudes, count, slot.select);
        }
      }
      // Beyond the largest single-precision number a threshold means the same: no detail stays.
      store<f32>(level.thresholds + plane * 12 + band * 4, <f32>min(threshold / unit, <f64>f32.MAX_VALUE));
    }
  }
}

/** Sets the thresholds of all levels and planes. */
export function setThresholds(slot: Slot): void {
  setPlane(slot, 0, Y_R, Y_G, Y_B, slot.sigmaY);
  setPlane(slot, 1, CB_R, CB_G, CB_B, slot.sigmaCb);
  setPlane(slot, 2, CR_R, CR_G, CR_B, slot.sigmaCr);
}
