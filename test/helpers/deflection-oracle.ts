/**
 * Pixel deflection replayed step by step from a recorded stream of uniform numbers, with the borders and rules of the
 * reference traces that Deflector does not offer: rejection, clamping, writing over what is read, the authors' notebook.
 * The rules are stated in test/goldens/scripts/gen_deflection.py.
 */
export type TraceRule = 'paper' | 'inplace' | 'methods' | 'demo';
export type TraceBorder = 'reject' | 'clamp' | 'intersect';

export interface TraceStep {
  readonly target: readonly [row: number, column: number];
  /** Absent where the map kept the pixel. */
  readonly source: readonly [row: number, column: number] | undefined;
  /** -1: all channels. */
  readonly channel: number;
}

export interface Trace {
  readonly rule: TraceRule;
  readonly border: TraceBorder;
  readonly window: number;
  readonly deflections: number;
}

/** Replays the draws of a trace. @param next the stream */
export function replayDraws(
  height: number,
  width: number,
  map: ArrayLike<number>,
  trace: Trace,
  next: () => number,
): TraceStep[] {
  const byChannel = trace.rule === 'methods' || trace.rule === 'demo';
  const lowest = byChannel ? 1 : 0;
  const steps: TraceStep[] = [];
  const step = (channel: number): boolean => {
    const target = [Math.floor(next() * height), Math.floor(next() * width)] as const;
    const value = map[target[0] * width + target[1]]!;
    const u = next();
    const deflects = byChannel ? u >= value : value < u;
    const source = deflects ? drawSource(target, [height, width], trace, lowest, next) : undefined;
    steps.push({ target, source, channel });
    return deflects;
  };
  if (!byChannel) {
    for (let k = 0; k < trace.deflections; k++) step(-1);
    return steps;
  }
  let left = trace.deflections;
  while (left > 0) {
    for (let channel = 0; channel < 3; channel++) if (step(channel) && trace.rule === 'methods') left--;
    if (trace.rule === 'demo') left--;
  }
  return steps;
}

function drawSource(
  target: readonly [number, number],
  size: readonly [number, number],
  { border, window }: Trace,
  lowest: number,
  next: () => number,
): readonly [number, number] {
  if (border === 'intersect') {
    const axis = (i: 0 | 1) => {
      const first = Math.max(0, target[i] - window);
      const last = Math.min(size[i] - 1, target[i] + window);
      return first + Math.floor(next() * (last - first + 1));
    };
    return [axis(0), axis(1)];
  }
  for (;;) {
    const axis = (i: 0 | 1) => target[i] + Math.floor(next() * (2 * window + 1)) - window;
    const drawn = [axis(0), axis(1)] as const;
    if (border === 'clamp') {
      return [Math.min(Math.max(drawn[0], 0), size[0] - 1), Math.min(Math.max(drawn[1], 0), size[1] - 1)];
    }
    if (drawn.every((place, i) => place >= lowest && place < size[i]!)) return drawn;
  }
}

/** Applies the steps to a copy of [H,W,3] bytes. @param inPlace whether sources are read from what was changed already */
export function applySteps(
  image: Uint8Array,
  width: number,
  steps: readonly TraceStep[],
  inPlace: boolean,
): Uint8Array {
  const out = image.slice();
  for (const { target, source, channel } of steps) {
    if (source === undefined) continue;
    for (const c of channel < 0 ? [0, 1, 2] : [channel]) {
      out[(target[0] * width + target[1]) * 3 + c] = (inPlace ? out : image)[(source[0] * width + source[1]) * 3 + c]!;
    }
  }
  return out;
}
