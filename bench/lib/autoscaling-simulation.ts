/**
 * A queue, pods that work on it, and the autoscaler of the chart, second by second: KEDA's polling and cooldown, the control
 * law of the HorizontalPodAutoscaler with its tolerance, policies and stabilization windows
 * (https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale), and the time that a pod takes to start.
 *
 * Chunks are taken in their order. Pods share the work evenly, so that only how many are ready matters.
 */

/** What the chart sets: stages.defend.autoscaling and autoscaling of its values. */
export interface ScalingSettings {
  readonly minReplicas: number;
  readonly maxReplicas: number;
  readonly chunksPerReplica: number;
  readonly maxAgeSeconds: number;
  readonly urgency: number;
  readonly cooldownSeconds: number;
  readonly pollingSeconds: number;
  readonly behavior: { readonly scaleUp: ScalingRules; readonly scaleDown: ScalingRules };
}

export interface ScalingRules {
  readonly stabilizationWindowSeconds: number;
  readonly policies: readonly {
    readonly type: 'Percent' | 'Pods';
    readonly value: number;
    readonly periodSeconds: number;
  }[];
}

/** What the cluster and the pods are like. */
export interface World {
  /** Images that a pod defends in a second. */
  readonly imagesPerSecond: number;
  /** Seconds from asking for a pod until it takes chunks: a machine, the image, the model. */
  readonly startSeconds: number;
  /** Images in a chunk. */
  readonly chunk: number;
  /** Chunks that a pod has in hand. */
  readonly concurrency: number;
  /** Chunks that may wait before the producer waits. */
  readonly queueLimit: number;
  /** Seconds after which the chunks of a lost pod go to others. */
  readonly lockSeconds: number;
}

export interface Trace {
  readonly seconds: number;
  /** Images that arrive in a second, by the second. */
  arrivals(second: number): number;
  /** Share of the pods that is lost at a second. */
  losses?(second: number): number;
}

/** The state at the end of a second. */
export interface Moment {
  readonly second: number;
  /** Images that arrived, and that were defended, in that second. */
  readonly arrived: number;
  readonly defended: number;
  /** Chunks that wait or are in hand. */
  readonly chunks: number;
  /** Seconds since the oldest chunk that waits arrived; with what its producer still holds back. */
  readonly age: number;
  /** Pods that exist, and those that work. */
  readonly pods: number;
  readonly ready: number;
}

/** Seconds between two looks of the HorizontalPodAutoscaler, and how far it may be off without acting. */
const SYNC_SECONDS = 15;
const TOLERANCE = 0.1;

interface Pod {
  readonly readyAt: number;
}

export function simulate(trace: Trace, settings: ScalingSettings, world: World): Moment[] {
  const moments: Moment[] = [];
  /** When each chunk arrived, the oldest first. */
  const queue: number[] = [];
  /** Arrived, not in the queue yet: each with when it arrived. */
  const outside: number[] = [];
  /** In hand of pods that are gone: back at `at`. */
  const orphans: { at: number; arrived: number }[] = [];
  let pods: Pod[] = [];
  const scaler = new Scaler(settings);
  let gathered = 0;
  let capacity = 0;

  for (let second = 0; second < trace.seconds; second++) {
    const arrived = trace.arrivals(second);
    gathered += arrived;
    for (; gathered >= world.chunk; gathered -= world.chunk) outside.push(second);
    for (const orphan of orphans.filter(({ at }) => at <= second)) {
      orphans.splice(orphans.indexOf(orphan), 1);
      queue.unshift(orphan.arrived);
    }

    const lost = Math.round((trace.losses?.(second) ?? 0) * pods.length);
    if (lost > 0) {
      const working = pods.slice(0, lost).filter(({ readyAt }) => readyAt <= second).length;
      const inHand = queue.splice(0, Math.min(queue.length, working * world.concurrency));
      for (const chunk of inHand) orphans.push({ at: second + world.lockSeconds, arrived: chunk });
      // The deployment replaces them.
      pods = [...pods.slice(lost), ...Array.from({ length: lost }, () => ({ readyAt: second + world.startSeconds }))];
    }

    const ready = pods.filter(({ readyAt }) => readyAt <= second).length;
    const room = world.queueLimit + ready * world.concurrency;
    while (outside.length > 0 && queue.length < room) queue.push(outside.shift()!);

    // What pods could not use is gone; a part of a chunk is kept.
    capacity = Math.min(capacity, world.chunk) + ready * world.imagesPerSecond;
    let defended = 0;
    while (queue.length > 0 && capacity >= world.chunk) {
      queue.shift();
      capacity -= world.chunk;
      defended += world.chunk;
    }
    const inHand = Math.min(queue.length, ready * world.concurrency);
    const oldest = queue[inHand] ?? outside[0];
    // A pod that is busy has a chunk in hand, also where none waits at the end of the second.
    const chunks = Math.max(queue.length, defended / world.imagesPerSecond) + orphans.length;
    const age = oldest === undefined ? 0 : second - oldest;

    const wanted = scaler.wanted(second, pods.length, chunks, age);
    if (wanted > pods.length) {
      const more = Array.from({ length: wanted - pods.length }, () => ({ readyAt: second + world.startSeconds }));
      pods = [...pods, ...more];
    } else if (wanted < pods.length) {
      // Pods that are not ready go first.
      pods = [...pods].sort((a, b) => a.readyAt - b.readyAt).slice(0, wanted);
    }
    const left = pods.filter(({ readyAt }) => readyAt <= second).length;
    moments.push({ second, arrived, defended, chunks, age, pods: pods.length, ready: left });
  }
  return moments;
}

/** KEDA between none and one, the HorizontalPodAutoscaler above. */
class Scaler {
  readonly #settings: ScalingSettings;
  /** What was wanted at earlier looks: the windows take the least or the most of it. */
  readonly #recommended: { readonly second: number; readonly pods: number }[] = [];
  /** Pods that were there, by the second: policies count from the start of their period. */
  readonly #history: number[] = [];
  #activeAt = Number.NEGATIVE_INFINITY;

  constructor(settings: ScalingSettings) {
    this.#settings = settings;
  }

  wanted(second: number, pods: number, chunks: number, age: number): number {
    const { minReplicas, maxReplicas, pollingSeconds, cooldownSeconds } = this.#settings;
    this.#history.push(pods);
    if (chunks > 0) this.#activeAt = second;
    if (pods === 0 || minReplicas === 0) {
      const polled = second % pollingSeconds === 0;
      if (pods === 0) return polled && chunks > 0 ? Math.max(1, minReplicas) : 0;
      if (polled && second - this.#activeAt >= cooldownSeconds) return 0;
    }
    if (second % SYNC_SECONDS !== 0) return pods;
    const recommended = Math.min(maxReplicas, Math.max(1, minReplicas, this.#recommend(pods, chunks, age)));
    return this.#paced(second, pods, recommended);
  }

  #recommend(pods: number, chunks: number, age: number): number {
    const { chunksPerReplica, maxAgeSeconds, urgency } = this.#settings;
    const work = chunks * Math.min(urgency, Math.max(1, age / maxAgeSeconds));
    const ratio = work / (chunksPerReplica * pods);
    return Math.abs(ratio - 1) <= TOLERANCE ? pods : Math.ceil(work / chunksPerReplica);
  }

  #paced(second: number, pods: number, recommended: number): number {
    const { scaleUp, scaleDown } = this.#settings.behavior;
    this.#recommended.push({ second, pods: recommended });
    const within = ({ stabilizationWindowSeconds }: ScalingRules) =>
      this.#recommended
        .filter(past => past.second > second - stabilizationWindowSeconds || past.second === second)
        .map(past => past.pods);
    const up = Math.min(...within(scaleUp));
    const down = Math.max(...within(scaleDown));
    if (up > pods) return Math.min(up, this.#limit(scaleUp, second, 1));
    if (down < pods) return Math.max(down, this.#limit(scaleDown, second, -1));
    return pods;
  }

  /** As far as the most generous policy lets it go from where its period began. */
  #limit({ policies }: ScalingRules, second: number, direction: 1 | -1): number {
    const limits = policies.map(({ type, value, periodSeconds }) => {
      const began = this.#history[Math.max(0, second - periodSeconds)]!;
      const step = type === 'Pods' ? value : (began * value) / 100;
      return direction === 1 ? Math.ceil(began + step) : Math.ceil(began - step);
    });
    return direction === 1 ? Math.max(...limits) : Math.max(0, Math.min(...limits));
  }
}
