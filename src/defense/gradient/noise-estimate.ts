/** The estimate of the noise (`plain/noise-estimate.ts`) with the way back: it hangs on the one or two middle magnitudes. */
import { estimateSigma, NORMAL_QUARTILE } from '../plain/noise-estimate.js';

export interface TracedSigma {
  readonly value: number;
  /** Adds the gradient with respect to the coefficients. @param cotangent with respect to the estimate */
  back(cotangent: number, gradient: Float64Array): void;
}

/** @param diagonal coefficients of the finest diagonal sub-band */
export function traceSigma(diagonal: Float64Array): TracedSigma {
  return {
    value: estimateSigma(diagonal),
    back(cotangent, gradient) {
      const places = Array.from(diagonal.keys())
        .filter(i => diagonal[i] !== 0)
        .sort((a, b) => Math.abs(diagonal[a]!) - Math.abs(diagonal[b]!));
      if (places.length === 0) return;
      const half = places.length >>> 1;
      const middle = places.length % 2 === 1 ? [places[half]!] : [places[half - 1]!, places[half]!];
      for (const i of middle) gradient[i]! += (cotangent * Math.sign(diagonal[i]!)) / (middle.length * NORMAL_QUARTILE);
    },
  };
}
