/** One defended run with its transposed Jacobian: the steps of the order, each on the result of the one before. */
import type { ActivationMap } from '../../types.js';
import type { UniformSource } from '../defender.js';
import type { Grid, Planes } from '../grid.js';
import { applyForeign, type ForeignStep, type Step } from '../order.js';
import type { DefenceSettings } from '../settings.js';
import { type TracedDeflection, traceDeflection } from './deflection.js';
import { traceDenoiseStep } from './denoise-step.js';
import type { Traced } from './traced.js';

export interface TracedRun {
  readonly value: Planes;
  /**
   * @param cotangent gradient with respect to `value`
   * @returns gradients with respect to the image, and to the values of the map by way of where pixels are deflected
   */
  back(cotangent: Planes): { readonly image: Planes; readonly map: Float64Array };
}

/**
 * Carries out one run, as the plain defender does. With its draws fixed a run is differentiable almost everywhere;
 * a foreign step that does not give its way back counts as no change there (BPDA).
 *
 * @param rgb planes in [0,1]; left as they are
 * @param map of the same size, constant on the way back; `undefined` deflects everywhere
 */
export function traceRun(
  rgb: Planes,
  map: ActivationMap | undefined,
  settings: DefenceSettings,
  steps: readonly Step[],
  source: UniformSource,
): TracedRun {
  const traces: (Traced | TracedDeflection)[] = [];
  let value = rgb;
  for (const step of steps) {
    const traced =
      step === 'deflect'
        ? traceDeflection(value, map, settings, source)
        : step === 'denoise'
          ? traceDenoiseStep(value, map, settings, source)
          : traceForeign(step, value, source);
    traces.push(traced);
    value = traced.value;
  }
  return {
    value,
    back(cotangent) {
      const [{ data }] = rgb;
      const ofMap = new Float64Array(data.length);
      let image = cotangent;
      for (const traced of traces.toReversed()) {
        if ('ofMap' in traced) {
          const slopes = traced.ofMap(image);
          for (let p = 0; p < slopes.length; p++) ofMap[p]! += slopes[p]!;
        }
        image = traced.back(image);
      }
      return { image, map: ofMap };
    },
  };
}

/** Foreign steps work in single precision, on values cut off to [0,1]. */
function traceForeign(step: ForeignStep, planes: Planes, source: UniformSource): Traced {
  const [{ width, height }] = planes;
  const before = singles(planes);
  const after = before.slice();
  const draws: number[] = [];
  const recorder: UniformSource = {
    uniform() {
      draws.push(source.uniform());
      return draws.at(-1)!;
    },
  };
  applyForeign(step, after, width, height, recorder);
  return {
    value: doubles(after, planes),
    back(cotangent) {
      const slope = singles(cotangent);
      let next = 0;
      const clamped = before.map(value => Math.min(Math.max(value, 0), 1));
      step.back?.(slope, clamped, width, height, { uniform: () => draws[next++]! });
      for (let i = 0; i < slope.length; i++) if (clamped[i] !== before[i]) slope[i] = 0;
      return doubles(slope, planes);
    },
  };
}

/** Planes as float32 [3, height, width]. */
export function singles(planes: Planes): Float32Array {
  const size = planes[0].data.length;
  const values = new Float32Array(3 * size);
  planes.forEach(({ data }, channel) => {
    values.set(data, channel * size);
  });
  return values;
}

/** The way back, in the size of other planes. */
export function doubles(values: Float32Array, [{ width, height }]: Planes): Planes {
  const size = width * height;
  const plane = (channel: number): Grid => ({
    width,
    height,
    data: Float64Array.from(values.subarray(channel * size, (channel + 1) * size)),
  });
  return [plane(0), plane(1), plane(2)];
}
