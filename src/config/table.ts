/**
 * The one table of settings: from it come the options of the command line, the names of the environment variables,
 * the keys of deflector.yaml, the checks, and docs/settings.md.
 */
import { randomBytes } from 'node:crypto';
import { type DefenceSettings, PAPER_SETTINGS } from '../defense/settings.js';
import { WAVELET_NAMES } from '../defense/wavelet-filters.js';
import { RUNTIME_NAMES } from '../models/runtime-names.js';
import { LANES, MAX_CHUNK } from '../queue/queue.js';
import { LOG_LEVELS } from '../telemetry/log.js';
import { availableCores } from './cores.js';
import { MODEL_RECIPE, RECIPE_NAMES, type Recipe } from './recipes.js';
import {
  DEADLINE,
  EARLY_STOP,
  HTTP_ADDRESS,
  integer,
  LISTEN_ADDRESS,
  listOf,
  NAMED_SECRET,
  nameOf,
  number,
  oneOf,
  optional,
  orAuto,
  QUEUE_PREFIX,
  REDIS_URLS,
  range,
  S3_PLACE,
  SECRET,
  SINK,
  STEPS,
  SWITCH,
  text,
  type ValueType,
} from './value-types.js';

export type SettingGroup =
  | 'defence'
  | 'model'
  | 'limits'
  | 'job'
  | 'storage'
  | 'output'
  | 'queue'
  | 'producer'
  | 'worker'
  | 'telemetry'
  | 'sink'
  | 'ingest';

/** Groups that say how a deployment carries jobs out, not what a job is: they are no part of a job's record. */
const DEPLOYMENT_GROUPS: readonly SettingGroup[] = ['queue', 'producer', 'worker', 'telemetry', 'sink', 'ingest'];

export interface Setting<T> {
  readonly group: SettingGroup;
  readonly type: ValueType<T>;
  /** One line, no full stop. */
  readonly help: string;
  /** What holds where no source names the setting; `undefined`: the recipe says. */
  readonly fallback: (() => T) | undefined;
  /** The fallback in words, where it is worked out at the start. */
  readonly fallbackText?: string;
}

/** A setting whose default is the recipe's. */
function defence<T>(type: ValueType<T>, help: string): Setting<T> {
  return { group: 'defence', type, help, fallback: undefined };
}

function setting<T>(
  group: SettingGroup,
  type: ValueType<T>,
  fallback: T | (() => T),
  help: string,
  fallbackText?: string,
): Setting<T> {
  return {
    group,
    type,
    help,
    fallback: typeof fallback === 'function' ? (fallback as () => T) : () => fallback,
    ...(fallbackText === undefined ? {} : { fallbackText }),
  };
}

/** What the decoder can take, in bytes and in pixels. */
const LARGEST_IMAGE = 2 ** 31 - 1;

const UNLIMITED = Number.MAX_SAFE_INTEGER;

export const SETTINGS = {
  recipe: setting(
    'defence',
    optional(oneOf([...RECIPE_NAMES, MODEL_RECIPE])),
    null,
    'named set of all defence settings',
    "the model folder's, else paper",
  ),
  runs: defence(integer(1, 1000), 'stochastic runs an image, each with one vote'),
  deflections: defence(integer(0, 10_000_000), 'pixels drawn a run'),
  window: defence(integer(1, 1024), 'apothem in pixels of the square that a replacement is drawn from'),
  sigma: defence(orAuto(number(0, 1)), 'noise standard deviation on the [0,1] scale; auto estimates it for each plane'),
  strength: defence(range(0, 100), 'factor on sigma; least-most draws one for each run'),
  spin: defence(integer(0, 64), 'randomly shifted grids that denoising takes the mean over; 0: the grid of the image'),
  spare: defence(number(0, 1), 'share of the thresholds that the activation map takes off where it is 1'),
  wavelet: defence(nameOf(WAVELET_NAMES), 'wavelet by its PyWavelets name; haar and db1 are one'),
  levels: defence(orAuto(integer(1, 30)), 'levels of the wavelet transform; auto takes as many as scikit-image'),
  shrink: defence(oneOf(['bayes', 'visu', 'sure', 'none']), 'rule that sets the threshold of each sub-band'),
  threshold: defence(oneOf(['soft', 'hard']), 'how coefficients below the threshold are removed'),
  variant: defence(
    oneOf(['legacy', 'modern']),
    'noise scale of scikit-image up to 0.15 (legacy) or from 0.16 (modern)',
  ),
  deflection: defence(oneOf(['paper', 'official', 'none']), "rule of the paper, or of the authors' published code"),
  sampling: defence(oneOf(['uniform', 'gaussian']), 'how a replacement is drawn from its square'),
  replace: defence(oneOf(['random', 'min', 'max', 'mean']), 'which pixel of the square replaces'),
  map: defence(oneOf(['rcam', 'cam', 'uniform', 'official']), 'activation map that spares what the model looks at'),
  mapClasses: defence(integer(1, 1000), 'top classes that the robust activation map averages over'),
  vote: defence(
    oneOf(['majority', 'mean', 'pool']),
    'label by most votes, by highest mean probability, or by highest mean logarithm of it (pool)',
  ),
  trust: defence(number(0, 10), "head start of the undefended image's label, in the vote's score for each run"),
  earlyStop: defence(
    EARLY_STOP,
    'end the vote when it is settled (exact), or when it would change with probability below P',
  ),
  at: defence(oneOf(['model', 'original']), "defend at the model's input size, or at the image's own"),
  order: defence(STEPS, 'steps in the order they are applied, separated by commas'),
  seed: setting(
    'defence',
    text('text', 'text'),
    () => randomBytes(16).toString('hex'),
    'any text; fixes every draw, so that a run can be repeated',
    'random, recorded in the results',
  ),
  model: setting(
    'model',
    text('the name or folder of a model', 'name'),
    'efficientnet-lite0',
    'name or folder of the classifier',
  ),
  voters: setting(
    'model',
    optional(listOf(text('the name or folder of a model', 'name'), 'names or folders of models, separated by commas')),
    null,
    'further models that vote with --model, which have its classes: runs go to each of them in turn',
    'none',
  ),
  localizer: setting(
    'model',
    optional(text('the name or folder of a model', 'name')),
    null,
    'name or folder of the model that makes the activation map',
    'the model itself',
  ),
  runtime: setting(
    'model',
    oneOf(['auto', ...RUNTIME_NAMES]),
    'auto',
    "what executes the model; auto takes the CPU, by the runtime of the model's format",
  ),
  device: setting('model', integer(0, 63), 0, 'which GPU, counted from 0, where the runtime uses one'),
  graph: setting(
    'model',
    oneOf(['auto', 'on', 'half', 'off']),
    'auto',
    "make the runs in the model's graph (half: coefficients in half precision), or by the kernel (off); auto: on GPUs",
  ),
  threads: setting(
    'model',
    integer(1, 1024),
    () => availableCores(),
    'worker threads; results do not depend on it',
    'the cores that the process may use',
  ),
  batch: setting('model', integer(1, 256), 2, 'most runs that the model sees in one call'),
  maxBytes: setting('limits', integer(1, LARGEST_IMAGE), 64 * 2 ** 20, 'largest image file, in bytes'),
  maxPixels: setting(
    'limits',
    integer(1, LARGEST_IMAGE),
    100_000_000,
    'largest image, in pixels, before it is decoded',
  ),
  imageTimeout: setting('limits', integer(1, 3600), 30, 'most seconds that decoding one image may take'),
  followLinks: setting('job', SWITCH, false, 'read through links in a folder that lead out of it'),
  emit: setting('job', oneOf(['none', 'defended']), 'none', 'also write the defended images, as a dataset'),
  emitForm: setting(
    'job',
    oneOf(['files', 'shards']),
    'files',
    'defended images as files, or in WebDataset shards (.tar)',
  ),
  shardSize: setting('job', integer(1, 100_000), 1000, 'places of the input whose images share a shard'),
  format: setting(
    'job',
    oneOf(['jsonl', 'parquet', 'both']),
    'jsonl',
    'results.jsonl, results.parquet or both; run writes results.jsonl in any case',
  ),
  gallery: setting('job', integer(0, 48), 48, 'most images shown in the report'),
  maxErrors: setting('job', integer(0, UNLIMITED), 0, 'error verdicts above which the exit code is 1'),
  s3Endpoint: setting(
    'storage',
    optional(HTTP_ADDRESS),
    null,
    'address of the S3 server for s3:// inputs and outputs',
    'AWS, or what the AWS configuration names',
  ),
  s3Region: setting(
    'storage',
    optional(text('the name of a region', 'name')),
    null,
    'region of the buckets',
    "the AWS configuration's; us-east-1 with an endpoint",
  ),
  s3Addressing: setting(
    'storage',
    oneOf(['auto', 'path', 'host']),
    'auto',
    'bucket in the path or in the host name of requests; auto takes the path where an endpoint is set',
  ),
  s3Timeout: setting('storage', integer(1, 3600), 30, 'seconds that an answer or the bytes of one object may take'),
  s3Tries: setting('storage', integer(1, 20), 4, 'tries of one request, the first included'),
  quiet: setting('output', SWITCH, false, 'no progress and no summary'),
  redisUrl: setting(
    'queue',
    REDIS_URLS,
    'redis://127.0.0.1:6379',
    'Redis; more than one address, separated by commas, for a cluster or sentinels',
  ),
  redisCluster: setting('queue', SWITCH, false, 'the addresses are nodes of a Redis Cluster'),
  redisMaster: setting(
    'queue',
    optional(text('the name of a master', 'name')),
    null,
    'the addresses are Redis Sentinels, and this is the name of their master',
    'none: no Sentinels',
  ),
  queuePrefix: setting(
    'queue',
    QUEUE_PREFIX,
    'deflector',
    'what all keys in Redis begin with, in braces, so that a cluster keeps them on one node',
  ),
  chunk: setting('producer', integer(1, MAX_CHUNK), MAX_CHUNK, 'images in a chunk'),
  lane: setting('producer', oneOf(LANES), 'bulk', 'lane of the chunks: what is online never waits behind bulk'),
  fetch: setting(
    'producer',
    oneOf(['fused', 'separate']),
    'fused',
    'fetch and defend as one stage, or as two with packs of pixels between them',
  ),
  queueLimit: setting(
    'producer',
    integer(1, 1_000_000),
    1000,
    'chunks that may wait in a lane before the producer waits',
  ),
  deadline: setting(
    'producer',
    optional(DEADLINE),
    null,
    'when to stop defending, from the creation of the job: images that are left get error verdicts',
    'none',
  ),
  keepJobs: setting('producer', integer(1, 3650), 30, 'days for which Redis remembers a job that has ended'),
  concurrency: setting('worker', integer(1, 64), 2, 'chunks in hand at a time, for each stage'),
  attempts: setting('worker', integer(1, 100), 8, 'times a chunk is tried while stores or models fail'),
  losses: setting('worker', integer(1, 1000), 10, 'workers that a chunk may lose before it is given up'),
  lock: setting('worker', integer(1, 3600), 30, 'seconds after which a silent worker loses its chunks to others'),
  drain: setting('worker', integer(0, 3600), 25, 'seconds to finish the chunks in hand when asked to stop'),
  imageLimit: setting('worker', integer(1, 86_400), 300, 'seconds that one image may take before its worker is ended'),
  fetchAhead: setting(
    'worker',
    integer(1, 100_000),
    100,
    'packs of pixels that may wait in a lane before fetching waits',
  ),
  scratchExpiry: setting(
    'worker',
    integer(1, 8760),
    24,
    'hours after which a pack is removed, and fetched again when needed',
  ),
  sink: setting(
    'sink',
    listOf(SINK, 'sinks separated by commas: jsonl:PLACE, parquet:PLACE, redis:STREAM, http(s)://...'),
    [],
    'where the stage publish delivers verdicts to, separated by commas; a PLACE is a folder or s3://bucket/prefix',
    'nowhere',
  ),
  streamLength: setting('sink', integer(1, 1_000_000_000), 1_000_000, 'verdicts that a Redis stream keeps, about'),
  webhookSecret: setting('sink', optional(SECRET), null, 'signs what webhooks are sent', 'none: no webhooks'),
  webhookTries: setting('sink', integer(1, 100), 6, 'times a webhook is called before its verdicts are a dead letter'),
  webhookTimeout: setting('sink', integer(1, 300), 10, 'seconds that a webhook may take to answer'),
  listen: setting('ingest', LISTEN_ADDRESS, '127.0.0.1:8080', 'address that the gateway listens at'),
  allow: setting(
    'ingest',
    listOf(S3_PLACE, 's3://bucket or s3://bucket/prefix, separated by commas'),
    [],
    'folders in S3 that images may be taken from, separated by commas',
    'none: single images only',
  ),
  tokens: setting(
    'ingest',
    listOf(NAMED_SECRET, 'name=token, separated by commas, with at least 16 characters in each token'),
    [],
    'tokens that callers may send; needed unless the gateway listens on this machine only',
    'none',
  ),
  hmacKeys: setting(
    'ingest',
    listOf(NAMED_SECRET, 'name=secret, separated by commas, with at least 16 characters in each secret'),
    [],
    'secrets that callers may sign requests with',
    'none',
  ),
  rate: setting('ingest', integer(1, 1_000_000), 100, 'requests a second that one client may make of one gateway'),
  requestDeadline: setting('ingest', integer(1, 3600), 30, 'seconds that defending one image that was sent may take'),
  eventKeys: setting(
    'ingest',
    oneOf(['auto', 'encoded', 'plain']),
    'auto',
    'how keys stand in S3 events: encoded as AWS and MinIO do, or plain',
  ),
  remember: setting('ingest', integer(1, 365), 7, 'days for which images are known to have been taken'),
  reconcile: setting(
    'ingest',
    integer(0, 86_400),
    0,
    'seconds between two listings of what is allowed, for images that no event told of; 0 lists when asked to',
  ),
  metricsPort: setting(
    'telemetry',
    optional(integer(0, 65_535)),
    null,
    'port of /metrics, /healthz and /readyz; 0 takes any that is free',
    'none: nothing is served',
  ),
  metricsHost: setting(
    'telemetry',
    text('a host name or an address', 'host'),
    '127.0.0.1',
    'address that they are served on; anyone who reaches it may read them',
  ),
  logLevel: setting('telemetry', oneOf(LOG_LEVELS), 'info', 'least level of what a worker logs'),
} satisfies { readonly [K in keyof DefenceSettings]: Setting<DefenceSettings[K]> } & Record<string, unknown>;

type Table = typeof SETTINGS;

/** The name of a setting: its key in deflector.yaml, in JSON and in the library. */
export type SettingName = keyof Table;

/** One value for each setting. */
export type SettingValues = { readonly [K in SettingName]: Table[K] extends Setting<infer T> ? T : never };

export const SETTING_NAMES = Object.keys(SETTINGS) as readonly SettingName[];

/** Settings that say what a job is, and are recorded with it. */
export const JOB_SETTING_NAMES = SETTING_NAMES.filter(name => !DEPLOYMENT_GROUPS.includes(SETTINGS[name].group));

/** Settings that change how a job is carried out but not one byte of its results. */
const FREE_SETTINGS: readonly SettingName[] = SETTING_NAMES.filter(
  name =>
    SETTINGS[name].group === 'storage' ||
    ['threads', 'device', 'batch', 'format', 'gallery', 'maxErrors', 'quiet'].includes(name),
);

/** Settings that say nothing to a distributed job: workers have threads of their own, and its results are exported. */
export const EMBEDDED_SETTINGS: readonly SettingName[] = [
  ...(['threads', 'device', 'batch', 'format', 'gallery', 'maxErrors', 'quiet'] as const),
];

/** Settings that are no part of a distributed job's record: each worker reaches S3 by its own. */
export const UNRECORDED_SETTINGS: readonly SettingName[] = SETTING_NAMES.filter(
  name => SETTINGS[name].group === 'storage' || EMBEDDED_SETTINGS.includes(name),
);

/** Settings that results depend on: a resumed job keeps them. */
export const RESULT_SETTINGS = JOB_SETTING_NAMES.filter(name => !FREE_SETTINGS.includes(name));

/** What holds where nothing else is said, for people; of a defence setting the value of recipe `paper`. */
export function defaultText(name: SettingName): string {
  const { fallback, fallbackText, type } = SETTINGS[name] as Setting<unknown>;
  if (fallbackText !== undefined) return fallbackText;
  const printed = type.print(fallback === undefined ? PAPER_SETTINGS[name as keyof Recipe] : fallback());
  return Array.isArray(printed) ? printed.join(',') : String(printed);
}

/** `mapClasses` -> `--map-classes`. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`;
}

/** `mapClasses` -> `DEFLECTOR_MAP_CLASSES`. */
export function variableOf(name: string): string {
  return `DEFLECTOR_${name.replace(/[A-Z]/g, letter => `_${letter}`).toUpperCase()}`;
}
