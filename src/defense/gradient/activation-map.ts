/** The activation map with the way back to the feature maps, where it is made by equations 4 and 5 (`rcam`, `cam`). */
import type { ActivationMap, ClassifierHead, FeatureMaps } from '../../types.js';
import {
  activationMap,
  halvingWeights,
  resizeBilinear,
  samples,
  topClasses,
  weightedClassMaps,
} from '../activation-map.js';
import type { DefenceSettings } from '../settings.js';

export interface TracedMap {
  readonly value: ActivationMap | undefined;
  /**
   * The classes that the map is of are constant on the way.
   *
   * @param cotangent gradient with respect to the map's values
   * @returns with respect to the feature maps: float32 [channels, height, width]; zero for a map of another kind
   */
  back(cotangent: Float64Array): Float32Array;
}

/** As `activationMap`; for its parameters see there. */
export function traceMap(
  settings: Pick<DefenceSettings, 'map' | 'mapClasses'>,
  features: FeatureMaps,
  head: ClassifierHead,
  scores: Float32Array,
  width: number,
  height: number,
): TracedMap {
  const value = activationMap(settings, features, head, scores, width, height);
  return {
    value,
    back(cotangent) {
      const gradient = new Float32Array(features.channels * features.width * features.height);
      if (value === undefined || (settings.map !== 'rcam' && settings.map !== 'cam')) return gradient;
      const classes = topClasses(scores, settings.map === 'cam' ? 1 : settings.mapClasses);
      const weights = halvingWeights(classes.length);
      const small = weightedClassMaps(features, head, classes, weights);
      const large = resizeBilinear(small, width, height, 'half_pixel').data;
      // Value = max(large, 0) / greatest; the greatest is one of them.
      let most = 0;
      for (let p = 1; p < large.length; p++) if (large[p]! > large[most]!) most = p;
      const slopes = new Float64Array(large.length);
      let ofGreatest = 0;
      for (let p = 0; p < large.length; p++) {
        if (large[p]! <= 0) continue;
        slopes[p] = cotangent[p]! / large[most]!;
        ofGreatest -= (cotangent[p]! * large[p]!) / large[most]! ** 2;
      }
      slopes[most]! += ofGreatest;
      const inner = resizeBack(slopes, width, height, features);
      const area = inner.length;
      for (let k = 0; k < features.channels; k++) {
        let weight = 0;
        for (const [i, c] of classes.entries()) weight += weights[i]! * head.weights[c * head.channels + k]!;
        for (let p = 0; p < area; p++) gradient[k * area + p] = weight * inner[p]!;
      }
      return gradient;
    },
  };
}

/** The transpose of `resizeBilinear`. */
function resizeBack(
  slopes: Float64Array,
  width: number,
  height: number,
  to: { readonly width: number; readonly height: number },
): Float64Array {
  const { low, high, fraction } = samples(to.width, width, 'half_pixel');
  const rows = samples(to.height, height, 'half_pixel');
  const small = new Float64Array(to.width * to.height);
  for (let y = 0; y < height; y++) {
    const top = rows.low[y]! * to.width;
    const bottom = rows.high[y]! * to.width;
    const down = rows.fraction[y]!;
    for (let x = 0; x < width; x++) {
      const slope = slopes[y * width + x]!;
      const over = fraction[x]!;
      small[top + low[x]!]! += slope * (1 - down) * (1 - over);
      small[top + high[x]!]! += slope * (1 - down) * over;
      small[bottom + low[x]!]! += slope * down * (1 - over);
      small[bottom + high[x]!]! += slope * down * over;
    }
  }
  return small;
}
