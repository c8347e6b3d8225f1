/**
 * A job with images that take down, or hold, the process that works on them: one in so many, at places that follow from
 * the seed. Each must be found alone, with its cause, and all others must have their verdicts.
 */
import { createHash } from 'node:crypto';
import type { ServiceProcess } from '../helpers/cli.js';
import { deployment } from '../helpers/distributed.js';
import { filesBelow } from '../helpers/files.js';
import { tinyName } from '../helpers/tiny-images.js';

/** Seconds that an image may take. */
const IMAGE_LIMIT = 4;

/** What is wrong with an image, and what is said of it; the stages are apart for those where it is fetched. */
const POISONS = {
  fused: {
    kill: 'was ended by SIGKILL',
    crash: 'was ended by SIGSEGV',
    hang: `did not answer within ${IMAGE_LIMIT} s`,
  },
  separate: { 'kill-fetch': 'was ended by SIGKILL', 'hang-fetch': `did not answer within ${IMAGE_LIMIT} s` },
} as const;

export interface Poisoned {
  /** Image and cause, in order. */
  readonly poisons: readonly string[];
  /** Worker processes that ended. */
  readonly ended: number;
  /** What is not as it should be. */
  readonly violations: readonly string[];
}

interface DeadImages {
  readonly code: string;
  readonly message: string;
  readonly keys?: readonly string[];
}

/** @param every images of which one is poisoned */
export async function runPoisoned(
  fetch: keyof typeof POISONS,
  images: number,
  every: number,
  seed: string,
): Promise<Poisoned> {
  const cleanups: (() => unknown)[] = [];
  const t = { after: (cleanup: () => unknown) => void cleanups.push(cleanup) };
  let over = false;
  try {
    const at = await deployment(t, images);
    const kinds = Object.entries(POISONS[fetch]);
    const poisons = Array.from({ length: Math.floor(images / every) }, (_, n) => {
      const draw = createHash('sha256').update(`${seed}:${n}`).digest().readUInt32BE(0);
      const [hazard, cause] = kinds[n % kinds.length]!;
      const index = n * every + (draw % every);
      return { index, key: tinyName(index), hazard, cause };
    });
    const deadly = poisons.map(({ key, hazard }) => `${key}=${hazard}`).join(',');
    const expected = await at.embedded();
    await at.enqueue('job', '--chunk', '64', '--fetch', fetch);
    let ended = 0;
    const keepOne = async (): Promise<void> => {
      const one: ServiceProcess = await at.worker(['--image-limit', `${IMAGE_LIMIT}`], deadly);
      void one.ended.then(() => {
        if (over) return;
        ended++;
        void keepOne();
      });
    };
    await Promise.all([keepOne(), keepOne()]);
    const lines = await at.results('job');
    over = true;
    const violations: string[] = [];
    if (lines.length !== images) violations.push(`${lines.length} verdicts of ${images} images`);
    const messageOf = new Map(
      poisons.map(({ index, cause }) => [index, `The process that had this image for itself ${cause}`]),
    );
    for (const [index, line] of lines.entries()) {
      const message = messageOf.get(index);
      if (message === undefined && line !== expected[index]) violations.push(`another verdict: ${line}`);
      if (message !== undefined && !line.includes(`"code":"WORKER_LOST","message":"${message}"`))
        violations.push(`not the verdict of ${tinyName(index)}: ${line}`);
    }
    const letters = JSON.parse((await at.command('jobs', 'dead', 'job', '--json')).stdout) as readonly DeadImages[];
    const buried = letters.flatMap(({ keys = ['a whole chunk'] }) => keys).sort();
    const wanted = poisons.map(({ key }) => key).sort();
    if (buried.join() !== wanted.join()) violations.push(`dead letters of ${buried} in the place of ${wanted}`);
    const causes = [...messageOf.values()];
    const strange = letters.filter(({ code, message }) => code !== 'WORKER_LOST' || !causes.includes(message));
    for (const { code, message } of strange) violations.push(`a dead letter says ${code}: ${message}`);
    const { state, dead } = await at.progress('job');
    if (state !== 'complete' || dead > 0) violations.push(`the job is ${state}, ${dead} chunks given up`);
    for (const file of await filesBelow(`${at.objectsOf('job')}/scratch`)) violations.push(`${file} is left`);
    return { poisons: poisons.map(({ key, hazard }) => `${key}=${hazard}`), ended, violations };
  } finally {
    over = true;
    for (const cleanup of cleanups.reverse()) await cleanup();
  }
}
