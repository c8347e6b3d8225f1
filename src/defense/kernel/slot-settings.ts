/** From the settings of the defence to the numbers that the kernel computes with. */
import { YCBCR_FROM_RGB } from '../colour.js';
import type { DefenceSettings } from '../settings.js';
import type { KernelExports } from './instance.js';

/** As assembly/thresholds.ts numbers them. */
const RULE = { bayes: 0, visu: 1, none: 1, sure: 2 } as const;
/** In place of a sigma: it is to be estimated. */
const ESTIMATED = -1;

/** As assembly/deflect.ts numbers what replaces a pixel. */
export const REPLACE = { random: 0, min: 1, max: 2, mean: 3 } as const;

/** Whether the noise is estimated. */
export function estimatesSigma(settings: DefenceSettings): boolean {
  return settings.sigma === null && settings.shrink !== 'none';
}

/** Standard deviations of the noise of Y, Cb, Cr: as given on the planes scaled to [0,1], or in units of the planes. */
function planeSigmas(settings: DefenceSettings): [number, number, number] {
  const sigma = settings.shrink === 'none' ? 0 : (settings.sigma ?? ESTIMATED);
  if (settings.variant === 'legacy' || sigma === ESTIMATED) return [sigma, sigma, sigma];
  const [y, cb, cr] = YCBCR_FROM_RGB;
  return [sigma * Math.hypot(...y), sigma * Math.hypot(...cb), sigma * Math.hypot(...cr)];
}

/**
 * Whether the ranges of the planes can change a result.
 *
 * `legacy` scales the noise by them. `modern` reads them only in the floor of BayesShrink, which rules where the details
 * carry less energy than the noise: |d| <= s sqrt(N) then, and the floor s^2 / (range sqrt(eps)) lies above unless sigma
 * is far below anything of use.
 */
function needsRanges(settings: DefenceSettings, pixels: number): boolean {
  if (settings.variant === 'legacy' || estimatesSigma(settings)) return true;
  return settings.shrink === 'bayes' && settings.sigma! * settings.strength[0] * 3e7 < Math.sqrt(pixels);
}

/** Hands the settings to a slot whose pixels have arrived. @param ranges whether the ranges of the planes are asked for */
export function configureSlot(
  exports: KernelExports,
  slot: number,
  settings: DefenceSettings,
  pixels: number,
  ranges = needsRanges(settings, pixels),
): void {
  exports.configureSlot(
    slot,
    RULE[settings.shrink],
    settings.threshold === 'hard' ? 1 : 0,
    settings.variant === 'legacy' ? 1 : 0,
    ranges ? 1 : 0,
    ...planeSigmas(settings),
    settings.shrink === 'visu' ? Math.sqrt(2 * Math.log(pixels)) : 0,
  );
}
