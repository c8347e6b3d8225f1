/**
 * What an operator wants to know of BullMQ's queues and of the server that holds them, in one script: counts and ages are of
 * one moment, and by the clock of Redis.
 */
import { queueFault, type RedisConnection } from './redis.js';

export interface QueueState {
  readonly queue: string;
  /** Tasks by BullMQ's name of where they are; all that wait in a queue that is paused are `paused`. */
  readonly depth: Readonly<Record<'waiting' | 'prioritized' | 'delayed' | 'paused' | 'active', number>>;
  /** Seconds since the oldest task that nobody has in hand was added; 0 where there is none. */
  readonly oldest: number;
}

export interface ServerState {
  /** Bytes. */
  readonly memoryUsed: number;
  /** Bytes; 0 where it is not known. */
  readonly memoryLimit: number;
  readonly evictedKeys: number;
  readonly policy: string;
  /** Seconds. */
  readonly uptime: number;
}

/** Delayed tasks that are looked at for the oldest: they are kept by when they are due, not by their age. */
const DELAYED_SEEN = 100;

// KEYS: the key of each queue without the name of a state, `{prefix}:queue:`. A lane gives its oldest task first.
const STATE = `
local now = redis.call('TIME')
local rows = {}
for _, queue in ipairs(KEYS) do
  local oldest = ''
  local see = function(id)
    local added = id and redis.call('HGET', queue .. id, 'timestamp')
    if added and (oldest == '' or tonumber(added) < tonumber(oldest)) then oldest = added end
  end
  see(redis.call('LINDEX', queue .. 'wait', -1))
  see(redis.call('LINDEX', queue .. 'paused', -1))
  see(redis.call('ZRANGE', queue .. 'prioritized', 0, 0)[1])
  for _, id in ipairs(redis.call('ZRANGE', queue .. 'delayed', 0, ${DELAYED_SEEN - 1})) do see(id) end
  local waiting, prioritized = redis.call('LLEN', queue .. 'wait'), redis.call('ZCARD', queue .. 'prioritized')
  local delayed, paused = redis.call('ZCARD', queue .. 'delayed'), redis.call('LLEN', queue .. 'paused')
  -- BullMQ leaves tasks of a paused queue where they are, and marks the queue.
  if redis.call('HEXISTS', queue .. 'meta', 'paused') == 1 then
    paused = paused + waiting + prioritized + delayed
    waiting, prioritized, delayed = 0, 0, 0
  end
  rows[#rows + 1] = { waiting, prioritized, delayed, paused, redis.call('LLEN', queue .. 'active'), oldest }
end
local info = redis.call('INFO', 'memory') .. redis.call('INFO', 'stats') .. redis.call('INFO', 'server')
return { now[1], now[2], rows, info }`;

/** @throws DeflectorError QUEUE_UNAVAILABLE */
export async function readQueues(
  { client, prefix }: RedisConnection,
  names: readonly string[],
): Promise<{ readonly queues: readonly QueueState[]; readonly server: ServerState }> {
  const keys = names.map(name => `${prefix}:${name}:`);
  try {
    const answer = await client.eval(STATE, keys.length, ...keys);
    const [seconds, microseconds, rows, info] = answer as [string, string, (number | string)[][], string];
    const now = Number(seconds) * 1000 + Number(microseconds) / 1000;
    return { queues: rows.map((row, place) => queueState(names[place]!, row, now)), server: serverState(info) };
  } catch (error) {
    throw queueFault(error);
  }
}

function queueState(queue: string, row: readonly (number | string)[], now: number): QueueState {
  const [waiting, prioritized, delayed, paused, active] = row.map(Number) as [number, number, number, number, number];
  const oldest = row[5] === '' ? 0 : Math.max(0, (now - Number(row[5])) / 1000);
  return { queue, depth: { waiting, prioritized, delayed, paused, active }, oldest };
}

function serverState(info: string): ServerState {
  const field = (name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
  const limit = Number(field('maxmemory'));
  return {
    memoryUsed: Number(field('used_memory')),
    memoryLimit: limit > 0 ? limit : Number(field('total_system_memory')),
    evictedKeys: Number(field('evicted_keys')),
    policy: field('maxmemory_policy'),
    uptime: Number(field('uptime_in_seconds')),
  };
}
