/**
 * The kinds of value that a setting can have. Each reads what people write (text from a flag, a variable or a file)
 * as well as the typed value of the library, and prints a value so that reading it again gives the same value.
 */
import type { DefenceStep, EarlyStop } from '../defense/settings.js';
import { parseS3Address } from '../storage/s3-address.js';

/** What stands for a value in JSON, YAML and on the command line (a list is joined by commas there). */
export type Printed = string | number | boolean | readonly string[];

export interface ValueType<T> {
  /** Completes 'Expected ... for'. */
  readonly expected: string;
  /** Stands for the value in `--help`; `undefined` for a switch that takes none. */
  readonly placeholder: string | undefined;
  /** @returns the value, or `undefined` where `value` is not one */
  parse(value: unknown): T | undefined;
  /** What a message may repeat of a refused value; absent where it may repeat all. */
  readonly shown?: (value: unknown) => unknown;
  /** @returns `undefined` where leaving the setting out says the same */
  print(value: T): Printed | undefined;
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function toNumber(value: unknown): number {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && NUMBER.test(value.trim()) ? Number(value) : Number.NaN;
}

export function integer(min: number, max: number): ValueType<number> {
  return {
    expected: `an integer from ${min} to ${max}`,
    placeholder: 'n',
    parse: value => {
      const number = toNumber(value);
      return Number.isSafeInteger(number) && number >= min && number <= max ? number : undefined;
    },
    print: value => value,
  };
}

export function number(min: number, max: number): ValueType<number> {
  return {
    expected: `a number from ${min} to ${max}`,
    placeholder: 'x',
    parse: value => {
      const number = toNumber(value);
      return number >= min && number <= max ? number : undefined;
    },
    print: value => value,
  };
}

/** A number, or a quotient of two: strengths are thought of in steps of 1/255. */
export function fraction(min: number, max: number): ValueType<number> {
  const plain = number(min, max);
  return {
    expected: `a number from ${min} to ${max}, or a fraction such as 8/255`,
    placeholder: 'x',
    parse: value => {
      const [above, below, ...rest] = typeof value === 'string' ? value.split('/') : [];
      if (above === undefined || below === undefined || rest.length > 0) return plain.parse(value);
      return plain.parse(toNumber(above) / toNumber(below));
    },
    print: value => value,
  };
}

/** Two numbers, least and most, as `0.5-2`; one number stands for both. */
export function range(min: number, max: number): ValueType<readonly [number, number]> {
  const plain = number(min, max);
  const pair = (least: unknown, most: unknown): readonly [number, number] | undefined => {
    const [low, high] = [plain.parse(least), plain.parse(most)];
    return low === undefined || high === undefined || low > high ? undefined : Object.freeze([low, high] as const);
  };
  return {
    expected: `a number from ${min} to ${max}, or two of them, the lesser first, as 0.5-2`,
    placeholder: 'x|x-y',
    parse: value => {
      if (Array.isArray(value)) return value.length === 2 ? pair(value[0], value[1]) : undefined;
      const words = typeof value === 'string' ? value.split(/(?<=[\d.])-/) : [value];
      return words.length > 2 ? undefined : pair(words[0], words[words.length - 1]);
    },
    print: ([least, most]) => (least === most ? least : `${least}-${most}`),
  };
}

/** A value, or `auto`, which is `null` in the resolved settings: the defence works it out for each image. */
export function orAuto<T>(type: ValueType<T>): ValueType<T | null> {
  return {
    expected: `${type.expected}, or auto`,
    placeholder: `${type.placeholder}|auto`,
    parse: value => (value === null || value === 'auto' ? null : type.parse(value)),
    print: value => (value === null ? 'auto' : type.print(value)),
  };
}

/** A value, or nothing at all. */
export function optional<T>(type: ValueType<T>): ValueType<T | null> {
  return {
    ...type,
    parse: value => (value === null ? null : type.parse(value)),
    print: value => (value === null ? undefined : type.print(value)),
  };
}

export function oneOf<const T extends string>(choices: readonly T[]): ValueType<T> {
  return {
    expected: `one of ${choices.join(', ')}`,
    placeholder: choices.join('|'),
    parse: value => choices.find(choice => choice === value),
    print: value => value,
  };
}

/** One of many names: `--help` does not list them. */
export function nameOf(names: readonly string[]): ValueType<string> {
  return { ...oneOf(names), placeholder: 'name' };
}

export function text(what: string, placeholder: string): ValueType<string> {
  return {
    expected: what,
    placeholder,
    parse: value => {
      const given = typeof value === 'number' ? String(value) : value;
      return typeof given === 'string' && given !== '' ? given : undefined;
    },
    print: value => value,
  };
}

/** A password has no place in settings: they are printed and kept with the results. */
export const HTTP_ADDRESS: ValueType<string> = {
  expected: 'an http:// or https:// address without name and password',
  placeholder: 'url',
  parse: value => {
    if (typeof value !== 'string' || !URL.canParse(value)) return undefined;
    const { protocol, username, password } = new URL(value);
    return /^https?:$/.test(protocol) && username === '' && password === '' ? value : undefined;
  },
  print: value => value,
  shown: value => (typeof value === 'string' ? value.replace(/\/\/[^/]*@/, '//...@') : value),
};

/** Addresses of Redis, separated by commas: `redis://[user:password@]host[:port][/database]`, `rediss:` for TLS. */
export const REDIS_URLS: ValueType<string> = {
  ...text('redis:// or rediss:// addresses, separated by commas', 'url'),
  parse: value => {
    if (typeof value !== 'string' || value === '') return undefined;
    return value.split(',').every(isRedisUrl) ? value : undefined;
  },
  // The address may hold a password.
  shown: value => (typeof value === 'string' ? value.replace(/\/\/[^/]*@/g, '//...@') : value),
};

function isRedisUrl(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const { protocol, hostname } = new URL(address);
  return (protocol === 'redis:' || protocol === 'rediss:') && hostname !== '';
}

/** What keys in Redis begin with. */
export const QUEUE_PREFIX: ValueType<string> = {
  ...text('letters, digits, hyphens and underscores, at most 64', 'name'),
  parse: value => (typeof value === 'string' && /^[\w-]{1,64}$/.test(value) ? value : undefined),
};

/** An address to listen at. */
export const LISTEN_ADDRESS: ValueType<string> = {
  ...text('host:port, an IPv6 address in brackets', 'host:port'),
  parse: value => {
    const [, , port] = (typeof value === 'string' && /^(\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})$/.exec(value)) || [];
    return port !== undefined && Number(port) <= 65_535 ? (value as string) : undefined;
  },
};

/** Several values of one type, separated by commas. */
export function listOf<T>(type: ValueType<T>, expected: string): ValueType<readonly T[]> {
  return {
    expected,
    placeholder: type.placeholder,
    parse: value => {
      const parts = typeof value === 'string' ? value.split(',').map(part => part.trim()) : value;
      if (!Array.isArray(parts)) return undefined;
      const values = parts.map(part => type.parse(part));
      return values.includes(undefined) ? undefined : Object.freeze(values as T[]);
    },
    ...(type.shown === undefined ? {} : { shown: type.shown }),
    print: values => values.map(value => String(type.print(value))),
  };
}

/** Places in S3, for lists of what is allowed. */
export const S3_PLACE: ValueType<string> = {
  ...text('s3://bucket or s3://bucket/prefix', 's3://bucket/prefix'),
  parse: value => (typeof value === 'string' && parseS3Address(value) !== undefined ? value : undefined),
};

/** Where verdicts can be delivered to. */
export const SINK: ValueType<string> = {
  ...text('jsonl:PLACE, parquet:PLACE, redis:STREAM or an http(s):// address', 'sink'),
  parse: value => {
    if (typeof value !== 'string') return undefined;
    if (/^redis:[\w-]{1,64}$/.test(value)) return value;
    if (/^https?:/.test(value)) return HTTP_ADDRESS.parse(value);
    const [, place = ''] = /^(?:jsonl|parquet):(.+)$/.exec(value) ?? [];
    return place !== '' && (!/^s3:/i.test(place) || parseS3Address(place) !== undefined) ? value : undefined;
  },
  shown: value => HTTP_ADDRESS.shown?.(value),
};

/** Fewer characters could be guessed. */
const LEAST_SECRET = 16;

/** A name and the secret that belongs to it, as `name=secret`. */
export const NAMED_SECRET: ValueType<{ readonly name: string; readonly secret: string }> = {
  expected: `name=secret, with at least ${LEAST_SECRET} characters in the secret`,
  placeholder: 'name=secret',
  parse: value => {
    const [, name, secret] = (typeof value === 'string' && /^([\w.-]{1,64})=([\x21-\x7e]+)$/.exec(value)) || [];
    if (name === undefined || secret === undefined || secret.length < LEAST_SECRET) return undefined;
    return Object.freeze({ name, secret });
  },
  // What looks almost like a secret is one.
  shown: () => 'what is not shown here',
  print: ({ name }) => `${name}=...`,
};

/** A secret, of a file or the environment rather than of a command line. */
export const SECRET: ValueType<string> = {
  expected: `at least ${LEAST_SECRET} characters`,
  placeholder: 'secret',
  parse: value => (typeof value === 'string' && value.length >= LEAST_SECRET ? value : undefined),
  shown: () => 'what is not shown here',
  print: () => '...',
};

export const SWITCH: ValueType<boolean> = {
  expected: 'true or false',
  placeholder: undefined,
  parse: value => {
    if (value === true || value === 'true' || value === '1') return true;
    return value === false || value === 'false' || value === '0' ? false : undefined;
  },
  print: value => value,
};

export const EARLY_STOP: ValueType<EarlyStop> = {
  expected: 'exact, off, or risk:P with P above 0 and below 0.5',
  placeholder: 'exact|risk:P|off',
  parse: value => {
    if (value === 'exact' || value === 'off') return Object.freeze({ kind: value });
    if (typeof value === 'string' && value.startsWith('risk:')) return risk(toNumber(value.slice('risk:'.length)));
    if (typeof value !== 'object' || value === null || !('kind' in value)) return undefined;
    if (value.kind === 'exact' || value.kind === 'off') return Object.freeze({ kind: value.kind });
    return value.kind === 'risk' && 'probability' in value ? risk(toNumber(value.probability)) : undefined;
  },
  print: value => (value.kind === 'risk' ? `risk:${value.probability}` : value.kind),
};

function risk(probability: number): EarlyStop | undefined {
  return probability > 0 && probability < 0.5 ? Object.freeze({ kind: 'risk', probability }) : undefined;
}

/**
 * Steps by their texts, in an order of the user's. What steps there are and what they take is checked where the settings
 * are resolved: all rival defences would have to be loaded for it, and help waits for none of them.
 */
export const STEPS: ValueType<readonly DefenceStep[]> = {
  expected: 'steps separated by commas: deflect, denoise, or a rival defence as jpeg:75; none for no defence',
  placeholder: 'steps',
  parse: value => {
    if (Array.isArray(value) && value.length === 0) return Object.freeze(['none']);
    const steps = typeof value === 'string' ? value.split(',') : value;
    if (!Array.isArray(steps) || !steps.every(step => typeof step === 'string')) return undefined;
    return Object.freeze([...steps]);
  },
  print: value => value,
};

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A point in time, said as a duration from some beginning or as a time in ISO 8601. */
export const DEADLINE: ValueType<string> = {
  expected: 'a duration such as 90s, 30m, 12h or 7d, or a time such as 2030-01-31T18:00:00Z',
  placeholder: 'duration|time',
  parse: value => (typeof value === 'string' && !Number.isNaN(deadlineAfter(0, value)) ? value : undefined),
  print: value => value,
};

/** @returns milliseconds since 1970; NaN for what is no deadline */
export function deadlineAfter(beginning: number, deadline: string): number {
  const [, count, unit = ''] = /^(\d{1,9})([smhd])$/.exec(deadline) ?? [];
  if (count !== undefined) return beginning + Number(count) * UNITS[unit]!;
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(deadline)
    ? Date.parse(deadline)
    : Number.NaN;
}
