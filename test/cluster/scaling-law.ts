/** What the chart asks KEDA to do, worked out as KEDA does it: https://keda.sh/docs/latest/concepts/scaling-deployments. */
import type { Samples } from '../helpers/prometheus.js';
import type { Manifest } from './chart.js';

/** @returns pods that are asked for, as the HorizontalPodAutoscaler rounds them */
export function desiredReplicas({ spec }: Manifest, samples: Samples): number {
  const { formula, target, activationTarget } = spec.advanced.scalingModifiers;
  const terms = spec.triggers.map(({ name, metadata }: Manifest) => [name, valueAt(metadata.valueLocation, samples)]);
  const work = evaluate(formula, Object.fromEntries(terms));
  // At the activation target or below nothing is asked for beyond the least number.
  const asked = work > Number(activationTarget) ? Math.ceil(work / Number(target)) : 0;
  return Math.min(spec.maxReplicaCount, Math.max(spec.minReplicaCount, asked));
}

/** The first sample whose labels fit, as KEDA's scaler metrics-api takes it. @throws Error where there is none */
export function valueAt(location: string, samples: Samples): number {
  const [, name, selector = ''] = /^(\w+)(?:\{(.*)\})?$/.exec(location) ?? [];
  const labels = selector.split(',');
  for (const [key, value] of samples) {
    if ((key === name || key.startsWith(`${name}{`)) && labels.every(label => key.includes(label))) return value;
  }
  throw new Error(`there is no ${location}`);
}

/** KEDA's formulas are written in Expr, of which the chart uses what JavaScript writes alike. */
export function evaluate(formula: string, terms: Readonly<Record<string, number>>): number {
  if (!/^[\w\s+*/().,]+$/.test(formula)) throw new Error(`not arithmetic: ${formula}`);
  const { min, max } = Math;
  const scope = { min, max, ...terms };
  return new Function(...Object.keys(scope), `return ${formula};`)(...Object.values(scope));
}
