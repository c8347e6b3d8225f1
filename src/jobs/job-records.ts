/**
 * What Redis knows of jobs. Each change is one script, so that it happens whole or not at all, and happens once however
 * often it is asked for: a bit a chunk says whether its verdicts are counted. The memory of a job is two bits a chunk, a
 * few counters and at most `LETTERS_KEPT` dead letters.
 *
 *     {prefix}:jobs                names by the time of creation
 *     {prefix}:job:NAME            the job, its counters and flags
 *     {prefix}:job:NAME:done       a bit for each chunk whose verdicts are counted
 *     {prefix}:job:NAME:dead       a bit for each chunk that was given up
 *     {prefix}:job:NAME:letters    why, by chunk
 *     {prefix}:errand:ERRAND       was taken a short while ago
 */
import { DeflectorError, type ErrorCode } from '../errors.js';
import { queueFault, type RedisConnection } from '../queue/redis.js';
import {
  type DeadLetter,
  type Job,
  type JobDefender,
  type JobProgress,
  type JobState,
  jobShape,
  type VerdictCounts,
} from './job.js';

/** Dead letters that are kept of one job; of further ones only the number is. */
const LETTERS_KEPT = 10_000;

const SECONDS_A_DAY = 86_400;

/** Chunks whose bits are read at a time. */
const BITS_A_READ = 8 * 4096;

/** Jobs that are looked at for those still at work. */
const JOBS_SEEN = 200;

/** Milliseconds for which a job that has ended is watched. */
const WATCHED_MS = 600_000;

/** Where a producer is in its listing. */
export interface Cursor {
  readonly chunks: number;
  readonly images: number;
  /** Digest of the chunks so far, in their order. */
  readonly digest: string;
}

// Every script gets the keys of one job in this order, and the job's id first: a job that was made anew under an old
// name is another job.
const HEAD = `
local job, done, dead, letters = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if redis.call('HGET', job, 'id') ~= ARGV[1] then return 'gone' end
local number = function(field) return tonumber(redis.call('HGET', job, field) or '0') end
local settle = function(now)
  local ended = number('cancelled') == 1 or (number('closed') == 1 and number('done') == number('chunks'))
  if ended then
    redis.call('HSETNX', job, 'finishedAt', now)
    for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, number('keep')) end
  else
    redis.call('HDEL', job, 'finishedAt')
    for _, key in ipairs(KEYS) do redis.call('PERSIST', key) end
  end
end
local count = function(sign, counts)
  for field, value in pairs(cjson.decode(counts)) do
    -- Lua writes -1 * 0 as -0, which is no integer to Redis.
    if value ~= 0 then redis.call('HINCRBY', job, field, sign * value) end
  end
end
local bury = function(chunk, letter)
  if redis.call('HEXISTS', letters, chunk) == 1 or redis.call('HLEN', letters) < ${LETTERS_KEPT} then
    redis.call('HSET', letters, chunk, letter)
  end
end
local revive = function(chunk)
  if redis.call('SETBIT', dead, chunk, 0) == 1 then redis.call('HINCRBY', job, 'dead', -1) end
  redis.call('HDEL', letters, chunk)
end
`;

const ADVANCE = `${HEAD}
if number('chunks') ~= tonumber(ARGV[2]) then return 'behind' end
redis.call('HSET', job, 'chunks', ARGV[3], 'images', ARGV[4], 'digest', ARGV[5])
return 'ok'`;

const APPEND = `${HEAD}
if number('closed') == 1 or number('cancelled') == 1 then return 'closed' end
if number('chunks') ~= tonumber(ARGV[2]) then return 'behind' end
redis.call('HINCRBY', job, 'chunks', 1)
redis.call('HINCRBY', job, 'images', ARGV[3])
return 'ok'`;

const CLOSE = `${HEAD}
redis.call('HSET', job, 'closed', 1)
settle(ARGV[2])
return 'ok'`;

const CANCEL = `${HEAD}
redis.call('HSET', job, 'cancelled', 1)
settle(ARGV[2])
return 'ok'`;

const MARK = `${HEAD}
if redis.call('SETBIT', done, ARGV[2], 1) == 1 then return 'again' end
revive(ARGV[2])
redis.call('HINCRBY', job, 'done', 1)
count(1, ARGV[3])
if ARGV[4] ~= '' then bury(ARGV[2], ARGV[4]) end
settle(ARGV[5])
return 'ok'`;

const UNMARK = `${HEAD}
revive(ARGV[2])
if redis.call('SETBIT', done, ARGV[2], 0) == 1 then
  redis.call('HINCRBY', job, 'done', -1)
  count(-1, ARGV[3])
end
settle('')
return 'ok'`;

const BURY = `${HEAD}
if redis.call('GETBIT', done, ARGV[2]) == 1 then return 'again' end
if redis.call('SETBIT', dead, ARGV[2], 1) == 0 then redis.call('HINCRBY', job, 'dead', 1) end
bury(ARGV[2], ARGV[3])
return 'ok'`;

const DATE = `${HEAD}
redis.call('HSET', job, ARGV[2], ARGV[3])
return 'ok'`;

const NOTE = `${HEAD}
redis.call('HSETNX', job, 'defender', ARGV[2])
return 'ok'`;

// The newest jobs that have not ended, or did so after ARGV[2], as far as ARGV[1] goes.
const GAUGES = `
local rows = {}
for _, name in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, ${JOBS_SEEN - 1})) do
  local row = redis.call('HMGET', ARGV[3] .. name, 'finishedAt', 'chunks', 'done', 'dead', 'images', 'total', 'ok', 'suspicious')
  if row[2] and (not row[1] or row[1] == '' or row[1] > ARGV[2]) then
    row[1] = name
    rows[#rows + 1] = row
    if #rows == tonumber(ARGV[1]) then break end
  end
end
return rows`;

/** Counters of a job for those who watch it. */
export interface JobGauges {
  readonly job: string;
  readonly chunks: Readonly<Record<'named' | 'done' | 'dead', number>>;
  /** `suspicious` is part of `ok`. */
  readonly images: Readonly<Record<'named' | 'ok' | 'suspicious' | 'error', number>>;
}

export class JobRecords {
  readonly #redis: RedisConnection;

  constructor(redis: RedisConnection) {
    this.#redis = redis;
  }

  /**
   * Records a new job, unless there is one of its name.
   *
   * @param keepDays days for which it is remembered once it has ended
   * @returns the job of that name, new or old
   */
  async create(job: Job, keepDays: number): Promise<Job> {
    const key = this.#key(job.name);
    const script = `
if redis.call('HSETNX', KEYS[1], 'job', ARGV[1]) == 1 then
  redis.call('HSET', KEYS[1], 'id', ARGV[2], 'keep', ARGV[3])
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[5])
end
return redis.call('HGET', KEYS[1], 'job')`;
    const keep = keepDays * SECONDS_A_DAY;
    const created = Date.parse(job.createdAt);
    const text = await this.#reported(() =>
      this.#redis.client.eval(script, 2, key, this.#list, JSON.stringify(job), job.id, keep, created, job.name),
    );
    return parseJob(text as string);
  }

  /** @throws DeflectorError JOB_NOT_FOUND */
  async get(name: string): Promise<Job> {
    const text = await this.#reported(() => this.#redis.client.hget(this.#key(name), 'job'));
    if (text === null) throw new DeflectorError('JOB_NOT_FOUND', `There is no job called ${JSON.stringify(name)}`);
    return parseJob(text);
  }

  /** All jobs, the newest first. */
  async *list(): AsyncGenerator<Job, void, undefined> {
    const names = await this.#reported(() => this.#redis.client.zrevrange(this.#list, 0, -1));
    for (const name of names) {
      const text = await this.#reported(() => this.#redis.client.hget(this.#key(name), 'job'));
      // What expired leaves its name here.
      if (text === null) await this.#reported(() => this.#redis.client.zrem(this.#list, name));
      else yield parseJob(text);
    }
  }

  /** @throws DeflectorError JOB_NOT_FOUND */
  async progress({ name, id }: Job): Promise<JobProgress> {
    const fields = await this.#reported(() => this.#redis.client.hgetall(this.#key(name)));
    if (fields.id !== id) throw gone(name);
    const number = (field: string): number => Number(fields[field] ?? 0);
    const errors = Object.keys(fields)
      .filter(field => field.startsWith('error:') && number(field) > 0)
      .sort()
      .map(field => [field.slice('error:'.length) as ErrorCode, number(field)] as const);
    return {
      state: stateOf(number),
      chunks: number('chunks'),
      images: number('images'),
      done: number('done'),
      dead: number('dead'),
      verdicts: {
        total: number('total'),
        ok: number('ok'),
        suspicious: number('suspicious'),
        errors: Object.fromEntries(errors),
      },
      ...dates(fields),
    };
  }

  /** Counters of the newest jobs that are at work or ended in the last ten minutes. @param limit most of them */
  async gauges(limit: number): Promise<JobGauges[]> {
    const since = new Date(Date.now() - WATCHED_MS).toISOString();
    const rows = await this.#reported(() =>
      this.#redis.client.eval(GAUGES, 1, this.#list, limit, since, this.#key('')),
    );
    return (rows as (string | null)[][]).map(([job, ...counts]) => {
      const [chunks, done, dead, images, total, ok, suspicious] = counts.map(Number) as [number, ...number[]];
      return {
        job: job!,
        chunks: { named: chunks, done: done!, dead: dead! },
        images: { named: images!, ok: ok!, suspicious: suspicious!, error: total! - ok! },
      };
    });
  }

  /** Whether nobody wants the job's verdicts any more: it was cancelled, or is not known. */
  async isOver({ name, id }: Pick<Job, 'name' | 'id'>): Promise<boolean> {
    const [own, cancelled] = await this.#reported(() => this.#redis.client.hmget(this.#key(name), 'id', 'cancelled'));
    return own !== id || cancelled === '1';
  }

  /** @throws DeflectorError JOB_NOT_FOUND */
  async cursor({ name, id }: Job): Promise<Cursor & { readonly closed: boolean }> {
    const [own, chunks, images, digest, closed] = await this.#reported(() =>
      this.#redis.client.hmget(this.#key(name), 'id', 'chunks', 'images', 'digest', 'closed'),
    );
    if (own !== id) throw gone(name);
    return { chunks: Number(chunks), images: Number(images), digest: digest ?? '', closed: closed === '1' };
  }

  /** Names further chunks. @throws DeflectorError JOB_MISMATCH where another producer is at work; JOB_NOT_FOUND */
  async advance(job: Job, from: number, to: Cursor): Promise<void> {
    const answer = await this.#script(job, ADVANCE, from, to.chunks, to.images, to.digest);
    if (answer === 'behind') {
      throw new DeflectorError('JOB_MISMATCH', `Another producer is listing the job ${job.name}`);
    }
    if (answer === 'gone') throw gone(job.name);
  }

  /**
   * Names one more chunk of a job that several processes add to.
   *
   * @returns `behind` where the job does not have just `chunk` chunks; `closed` where it takes no more
   * @throws DeflectorError JOB_NOT_FOUND
   */
  async append(job: Job, chunk: number, images: number): Promise<'ok' | 'behind' | 'closed'> {
    const answer = await this.#script(job, APPEND, chunk, images);
    if (answer === 'gone') throw gone(job.name);
    return answer as 'ok' | 'behind' | 'closed';
  }

  /** All chunks are named. */
  async close(job: Job): Promise<void> {
    await this.#script(job, CLOSE, now());
  }

  async cancel(job: Job): Promise<void> {
    await this.#script(job, CANCEL, now());
  }

  /**
   * Counts the verdicts of a chunk, once.
   *
   * @param letter the images of the chunk that brought their workers down, where there are any
   * @returns whether they were not counted before
   */
  async mark(
    job: Pick<Job, 'name' | 'id'>,
    chunk: number,
    counts: VerdictCounts,
    letter?: DeadLetter,
  ): Promise<boolean> {
    const text = letter === undefined ? '' : JSON.stringify(letter);
    return (await this.#script(job, MARK, chunk, fieldsOf(counts), text, now())) === 'ok';
  }

  /** Takes the counts of a chunk back, and its dead letter: it is about to be done again. */
  async unmark(job: Job, chunk: number, counts: VerdictCounts): Promise<void> {
    await this.#script(job, UNMARK, chunk, fieldsOf(counts));
  }

  /** Records that a chunk was given up. */
  async bury(job: Pick<Job, 'name' | 'id'>, letter: DeadLetter): Promise<void> {
    await this.#script(job, BURY, letter.chunk, JSON.stringify(letter));
  }

  /** Records that the results of a job are exported. */
  async markExported(job: Pick<Job, 'name' | 'id'>): Promise<void> {
    await this.#script(job, DATE, 'exportedAt', now());
  }

  /** Records that the chunks of a job are gone. */
  async markCleaned(job: Pick<Job, 'name' | 'id'>): Promise<void> {
    await this.#script(job, DATE, 'cleanedAt', now());
  }

  /** Records what defends the job, once: workers of one deployment are alike. */
  async note(job: Pick<Job, 'name' | 'id'>, defender: JobDefender): Promise<void> {
    await this.#script(job, NOTE, JSON.stringify(defender));
  }

  /** What defends the job; absent before its first chunk. */
  async defender({ name }: Job): Promise<JobDefender | undefined> {
    const text = await this.#reported(() => this.#redis.client.hget(this.#key(name), 'defender'));
    return text === null ? undefined : (JSON.parse(text) as JobDefender);
  }

  /** Dead letters, by chunk. */
  async *letters({ name }: Job): AsyncGenerator<DeadLetter, void, undefined> {
    const key = `${this.#key(name)}:letters`;
    const chunks = await this.#reported(() => this.#redis.client.hkeys(key));
    for (const chunk of chunks.map(Number).sort((a, b) => a - b)) {
      const text = await this.#reported(() => this.#redis.client.hget(key, String(chunk)));
      if (text !== null) yield JSON.parse(text) as DeadLetter;
    }
  }

  /** The chunks from `start` to before `end` that are neither counted nor given up. */
  async *outstanding(job: Pick<Job, 'name'>, end: number, start = 0): AsyncGenerator<number, void, undefined> {
    for await (const [chunk, done, dead] of this.#bits(job, end, start)) if (!done && !dead) yield chunk;
  }

  /** The chunks that were given up. */
  async *dead(job: Job, end: number): AsyncGenerator<number, void, undefined> {
    for await (const [chunk, , dead] of this.#bits(job, end)) if (dead) yield chunk;
  }

  async isDone({ name }: Pick<Job, 'name'>, chunk: number): Promise<boolean> {
    return (await this.#reported(() => this.#redis.client.getbit(`${this.#key(name)}:done`, chunk))) === 1;
  }

  async *#bits(
    { name }: Pick<Job, 'name'>,
    end: number,
    start = 0,
  ): AsyncGenerator<[number, boolean, boolean], void, undefined> {
    const first = start - (start % 8);
    for (let from = first; from < end; from += BITS_A_READ) {
      const range = [from / 8, (from + BITS_A_READ) / 8 - 1] as const;
      const [done, dead] = await this.#reported(() =>
        Promise.all([
          this.#redis.client.getrangeBuffer(`${this.#key(name)}:done`, ...range),
          this.#redis.client.getrangeBuffer(`${this.#key(name)}:dead`, ...range),
        ]),
      );
      const isSet = (bits: Buffer, place: number) => ((bits[place >> 3] ?? 0) & (0x80 >> (place & 7))) !== 0;
      for (let place = 0; place < BITS_A_READ && from + place < end; place++) {
        if (from + place >= start) yield [from + place, isSet(done, place), isSet(dead, place)];
      }
    }
  }

  /** Takes an errand that one process at a time is enough for. @returns whether nobody took it in the last `ms` */
  async takeErrand(errand: string, ms: number): Promise<boolean> {
    const key = `${this.#redis.prefix}:errand:${errand}`;
    return (await this.#reported(() => this.#redis.client.set(key, '', 'PX', ms, 'NX'))) === 'OK';
  }

  get #list(): string {
    return `${this.#redis.prefix}:jobs`;
  }

  #key(name: string): string {
    return `${this.#redis.prefix}:job:${name}`;
  }

  async #script(
    { name, id }: Pick<Job, 'name' | 'id'>,
    script: string,
    ...args: (string | number)[]
  ): Promise<unknown> {
    const key = this.#key(name);
    const keys = [key, `${key}:done`, `${key}:dead`, `${key}:letters`];
    return this.#reported(() => this.#redis.client.eval(script, keys.length, ...keys, id, ...args));
  }

  async #reported<T>(command: () => Promise<T>): Promise<T> {
    try {
      return await command();
    } catch (error) {
      throw queueFault(error);
    }
  }
}

function parseJob(text: string): Job {
  return jobShape.parse(JSON.parse(text));
}

function dates(fields: Readonly<Record<string, string>>): Pick<JobProgress, 'finishedAt' | 'exportedAt' | 'cleanedAt'> {
  const names = ['finishedAt', 'exportedAt', 'cleanedAt'] as const;
  return Object.fromEntries(names.flatMap(name => (fields[name] === undefined ? [] : [[name, fields[name]]])));
}

function stateOf(number: (field: string) => number): JobState {
  if (number('cancelled') === 1) return 'cancelled';
  if (number('closed') !== 1) return 'listing';
  if (number('done') === number('chunks')) return 'complete';
  return number('done') + number('dead') === number('chunks') ? 'stuck' : 'running';
}

/** Counters as the fields of the record. */
function fieldsOf({ total, ok, suspicious, errors }: VerdictCounts): string {
  const codes = Object.entries(errors).map(([code, count]) => [`error:${code}`, count]);
  return JSON.stringify({ total, ok, suspicious, ...Object.fromEntries(codes) });
}

function gone(name: string): DeflectorError {
  return new DeflectorError('JOB_NOT_FOUND', `The job ${JSON.stringify(name)} is gone from Redis`);
}

function now(): string {
  return new Date().toISOString();
}
