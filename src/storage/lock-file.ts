/**
 * A lock against two writers of one output: a file beside it that names its holder. A holder that died on this
 * host is told by its process number and start time, and its lock is taken over.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { DeflectorError } from '../errors.js';
import { systemCode, writeFault } from './faults.js';

const holderShape = z.object({ pid: z.int().min(1), host: z.string(), started: z.string() });
type Holder = z.infer<typeof holderShape>;

/** Locks of this process, by absolute path. */
const held = new Set<string>();

/** A lock that is held. */
export interface Lock {
  release(): Promise<void>;
}

/**
 * Takes the lock at `path`.
 *
 * @throws DeflectorError OUTPUT_LOCKED, STORE_FULL, STORE_UNAVAILABLE
 */
export async function lockFile(path: string): Promise<Lock> {
  const name = resolve(path);
  if (held.has(name)) throw locked(name, 'this process');
  held.add(name);
  try {
    await claim(name);
  } catch (error) {
    held.delete(name);
    throw writeFault(error, name);
  }
  return {
    release: async () => {
      if (held.delete(name)) await rm(name, { force: true });
    },
  };
}

async function claim(name: string): Promise<void> {
  const me: Holder = { pid: process.pid, host: hostname(), started: startOf(process.pid) ?? '' };
  while (!(await create(name, `${JSON.stringify(me)}\n`))) {
    const text = await readWhole(name);
    if (text === undefined) continue;
    const holder = parseHolder(text);
    if (holder !== undefined && isAlive(holder)) throw locked(name, `process ${holder.pid} on ${holder.host}`);
    await setAside(name, text);
  }
}

async function create(name: string, text: string): Promise<boolean> {
  try {
    await writeFile(name, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    // A lock without its text would pass for that of a crashed process, but why leave it?
    await rm(name, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** The text of a lock, waited for where its holder has made the file and not yet written it; undefined where it is gone. */
async function readWhole(name: string): Promise<string | undefined> {
  let text = '';
  for (let attempt = 0; attempt < 20 && !text.endsWith('\n'); attempt++) {
    if (attempt > 0) await sleep(10);
    try {
      text = await readFile(name, 'utf8');
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }
  return text;
}

/** Removes a lock whose holder is gone. Of several processes that try, each only removes the lock that it looked at. */
async function setAside(name: string, text: string): Promise<void> {
  const aside = `${name}.${randomBytes(8).toString('hex')}`;
  try {
    await rename(name, aside);
    if ((await readFile(aside, 'utf8')) !== text) await rename(aside, name);
    else await rm(aside);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
  }
}

function parseHolder(text: string): Holder | undefined {
  try {
    return holderShape.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function isAlive(holder: Holder): boolean {
  // Of another host nothing can be told.
  if (holder.host !== hostname()) return true;
  // A lock of this very process number that this process does not hold is from a predecessor, as after a container's restart.
  if (holder.pid === process.pid) return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
  const started = startOf(holder.pid);
  return started === undefined || holder.started === '' || started === holder.started;
}

/** When a process began, in ticks since the machine's own start (proc(5), stat, field 22); undefined where unknown. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field, the command's name in brackets, may itself hold blanks and brackets.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function locked(name: string, holder: string): DeflectorError {
  return new DeflectorError('OUTPUT_LOCKED', `The output is being written by ${holder}; its lock is ${name}`);
}
