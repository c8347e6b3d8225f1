/**
 * Loaded into worker processes by `node --import`: images that take down, or hold, whatever process defends them, as a
 * native crash or an endless loop does, or that take their time. DEADLY names them: `KEY=kill,KEY=crash,KEY=hang`, `*=slow`
 * all; `KEY=kill-fetch` and `KEY=hang-fetch` do it where they are fetched. An image that hangs in a thread says so on
 * standard error. SIGUSR2 steps the clock of the process.
 */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread } from 'node:worker_threads';
import { DefendEngine } from '../../src/stages/defend.js';
import { FileSystemStore } from '../../src/storage/filesystem-store.js';

/** Milliseconds. */
const SLOW_MS = 700;

const hazards = new Map((process.env.DEADLY ?? '').split(',').map(entry => entry.split('=') as [string, string]));
const defend = DefendEngine.prototype.defend;

DefendEngine.prototype.defend = async function (image, wanted) {
  const hazard = hazards.get(image.key) ?? hazards.get('*');
  if (hazard === 'kill') process.kill(process.pid, 'SIGKILL');
  if (hazard === 'crash') process.kill(process.pid, 'SIGSEGV');
  if (hazard === 'slow') await sleep(SLOW_MS);
  if (hazard !== 'hang') return defend.call(this, image, wanted);
  if (!isMainThread) writeSync(2, `${image.key} hangs in a thread\n`);
  return new Promise(() => undefined);
};

const read = FileSystemStore.prototype.read;

FileSystemStore.prototype.read = async function (key, maxBytes) {
  const hazard = hazards.get(key);
  if (hazard === 'kill-fetch') process.kill(process.pid, 'SIGKILL');
  return hazard === 'hang-fetch' ? new Promise(() => undefined) : read.call(this, key, maxBytes);
};

const TrueDate = Date;
/** An hour ahead, an hour behind, true again. */
const STEPS_MS = [3_600_000, -3_600_000, 0];
let step = 0;
let offset = 0;

globalThis.Date = class extends TrueDate {
  constructor(...given: ConstructorParameters<typeof TrueDate> | []) {
    if (given.length === 0) super(TrueDate.now() + offset);
    else super(...given);
  }

  static override now(): number {
    return TrueDate.now() + offset;
  }
} as DateConstructor;

process.on('SIGUSR2', () => {
  offset = STEPS_MS[step++ % STEPS_MS.length]!;
});
