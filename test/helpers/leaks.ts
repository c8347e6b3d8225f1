/**
 * Fails a test file that leaves something open: timers, sockets, threads, child processes, files.
 *
 * Call `checkLeaks()` once at the top level of a test file.
 */
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after } from 'node:test';
import { setTimeout } from 'node:timers/promises';

/** What was ended needs some turns of the event loop to go. */
const PATIENCE_MS = 1000;

let threads = 0;

export function checkLeaks(): void {
  const before = open();
  process.on('worker', worker => {
    threads++;
    worker.once('exit', () => threads--);
  });
  after(async () => {
    const deadline = performance.now() + PATIENCE_MS;
    let left: string[];
    do {
      await setTimeout(10);
      left = added(before, open());
    } while (left.length > 0 && performance.now() < deadline);
    assert.deepEqual(left, [], 'something was left open');
  });
}

/** How many of each kind keep the process alive, and how often each file is open. */
function open(): Map<string, number> {
  const counts = new Map<string, number>();
  // Pipes are the process's own streams; those of a child process come with the child, which is counted itself.
  const resources = process.getActiveResourcesInfo().filter(kind => kind !== 'PipeWrap' && kind !== 'TTYWrap');
  const started = Array<string>(threads).fill('Thread');
  for (const name of [...resources, ...started, ...openFiles()]) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

/** Files below the working and the temporary directory that the process holds open; none where /proc is not there. */
function openFiles(): string[] {
  try {
    return readdirSync('/proc/self/fd')
      .map(fd => linkOf(`/proc/self/fd/${fd}`))
      .filter(path => [process.cwd(), tmpdir()].some(folder => path.startsWith(`${folder}/`)))
      .filter(path => !path.includes('/node_modules/') && !path.includes('/coverage/'));
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function added(before: ReadonlyMap<string, number>, now: ReadonlyMap<string, number>): string[] {
  return [...now].flatMap(([name, count]) => Array<string>(Math.max(0, count - (before.get(name) ?? 0))).fill(name));
}
