/**
 * The catalogue of metrics: every name that a process of Deflector exposes beside those of the Node.js process itself.
 * Names and labels are promises: dashboards, alerts and autoscalers rely on them. docs/metrics.md is made from here.
 */

/** What is in a label, and what bounds the number of its values. */
export const LABELS = {
  stage: '`fetch`, `decode` (a part of fetch), `defend` or `publish`',
  outcome: '`ok`, or `error`: the image got an error verdict',
  code: 'a code of the catalogue of errors',
  queue: 'the stage that takes from the queue',
  state: 'where the thing that is counted stands; see the metric',
  kind: '`undefended`, `defended`, or `spared`: a run that the early end of the vote saved',
  model: 'name of the model; of more than 8 in one process the rest are `other`',
  runtime: 'what executes the model',
  gpu: 'the GPU of the process: its number, from 0, as its driver counts them',
  gpu_name: 'name of the GPU by its driver',
  driver: 'version of the driver of the GPU',
  label: 'name and index of the class; classes from index 1000 on are `other`',
  // Prometheus calls the group of targets `job`, and would take that name away.
  job_name: 'the 20 newest jobs that are at work, or ended in the last ten minutes',
  version: 'version of Deflector',
  node: 'version of Node.js',
  sha256: 'digest of the network file',
  policy: "Redis's setting `maxmemory-policy`",
} as const;

export type LabelName = keyof typeof LABELS;

interface Described<L extends LabelName> {
  readonly name: string;
  /** One sentence without a full stop. */
  readonly help: string;
  readonly labels: readonly L[];
  /**
   * `process`: each process counts its own part; sum over instances. `deployment`: read from Redis, and the same from
   * every process that answers; take the maximum over instances.
   */
  readonly scope: 'process' | 'deployment';
}

export interface CounterDefinition<L extends LabelName = LabelName> extends Described<L> {
  readonly type: 'counter';
  readonly exemplars: boolean;
}

export interface GaugeDefinition<L extends LabelName = LabelName> extends Described<L> {
  readonly type: 'gauge';
}

export interface HistogramDefinition<L extends LabelName = LabelName> extends Described<L> {
  readonly type: 'histogram';
  /** Upper bounds, ascending; the last one, infinity, goes without saying. */
  readonly buckets: readonly number[];
  readonly exemplars: boolean;
}

export type MetricDefinition = CounterDefinition | GaugeDefinition | HistogramDefinition;

/** Most classes of a model that have a label of their own. */
export const LABELLED_CLASSES = 1000;
/** Most models of one process that have a label of their own. */
export const LABELLED_MODELS = 8;
/** Most jobs that are shown. */
export const LABELLED_JOBS = 20;

/** What stands for all values of a label beyond its bound. */
export const OTHER = 'other';

function counter<const L extends LabelName = never>(
  name: string,
  help: string,
  labels: readonly L[] = [],
  { exemplars = false } = {},
): CounterDefinition<L> {
  return { type: 'counter', scope: 'process', name, help, labels, exemplars };
}

function gauge<const L extends LabelName = never>(
  name: string,
  help: string,
  labels: readonly L[] = [],
  scope: 'process' | 'deployment' = 'process',
): GaugeDefinition<L> {
  return { type: 'gauge', scope, name, help, labels };
}

function histogram<const L extends LabelName = never>(
  name: string,
  help: string,
  labels: readonly L[],
  buckets: readonly number[],
  { exemplars = false } = {},
): HistogramDefinition<L> {
  return { type: 'histogram', scope: 'process', name, help, labels, buckets, exemplars };
}

// Reading a small file takes tenths of a millisecond, an object of S3 5 to 100 ms, decoding 1 to 50 ms, a defence of ten
// runs 30 to 300 ms on a core and longer with many images in hand.
const STAGE_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

// The bundled model takes 5 to 6 ms an image of a batch on a core, a GPU 1 to 10 ms a batch, large networks on a core up
// to a second an image.
const INFERENCE_SECONDS = [0.001, 0.002, 0.004, 0.006, 0.008, 0.012, 0.016, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

// From an online chunk on an idle deployment to a bulk job of a day.
const END_TO_END_SECONDS = [
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400,
];

// Tenths, for votes of ten runs; the last two tell unanimous votes from nearly unanimous ones.
const AGREEMENT = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1];

const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256];

export const METRICS = {
  images: counter(
    'deflector_images_total',
    'Images that left a stage; those of `publish` are counted once, others again where a chunk is done again',
    ['stage', 'outcome'],
  ),
  imageErrors: counter(
    'deflector_image_errors_total',
    'Error verdicts by the stage that gave them',
    ['stage', 'code'],
    { exemplars: true },
  ),
  stageSeconds: histogram(
    'deflector_stage_duration_seconds',
    'Time that an image spent in a stage, and that a chunk spent in `publish`',
    ['stage'],
    STAGE_SECONDS,
    { exemplars: true },
  ),
  endToEndSeconds: histogram(
    'deflector_end_to_end_seconds',
    'Time of an image from when its chunk was put into the queue, by the clock of the producer, to when its verdict was counted',
    [],
    END_TO_END_SECONDS,
    { exemplars: true },
  ),
  queueDepth: gauge(
    'deflector_queue_depth',
    'Chunks in a queue: `waiting` (lane online), `prioritized` (lane bulk), `delayed` (to be tried again), `paused`, `active` (in the hands of a worker)',
    ['queue', 'state'],
    'deployment',
  ),
  queueOldest: gauge(
    'deflector_queue_oldest_seconds',
    'Age of the oldest chunk that no worker has in hand; 0 where there is none',
    ['queue'],
    'deployment',
  ),
  runs: counter('deflector_runs_total', 'Runs by what became of them', ['kind']),
  agreement: histogram(
    'deflector_vote_agreement',
    'Share of the executed runs that voted for the label of the verdict',
    [],
    AGREEMENT,
  ),
  suspicious: counter('deflector_suspicious_total', 'Verdicts whose label differs from that of the undefended image', [
    'model',
  ]),
  labels: counter('deflector_label_total', 'Verdicts by their label', ['model', 'label']),
  batchSize: histogram(
    'deflector_batch_size',
    'Images in one call of the model (`defend`) or in one chunk (`publish`)',
    ['stage'],
    BATCH_SIZES,
  ),
  inferenceSeconds: histogram(
    'deflector_inference_seconds',
    'Time of one call of the model',
    ['model', 'runtime'],
    INFERENCE_SECONDS,
  ),
  inFlight: gauge('deflector_in_flight', 'Images in a stage now', ['stage']),
  buildInfo: gauge('deflector_build_info', 'Always 1', ['version', 'node']),
  modelInfo: gauge('deflector_model_info', '1 for each model that the process made live', [
    'model',
    'sha256',
    'runtime',
  ]),
  dead: counter('deflector_dead_total', 'Dead letters: chunks that were given up, and chunks with images that were', [
    'stage',
    'code',
  ]),
  retries: counter('deflector_retries_total', 'Chunks that failed and are tried again', ['stage', 'code']),

  chunks: counter('deflector_chunks_total', 'Chunks that a stage finished', ['stage']),
  losses: counter('deflector_worker_losses_total', 'Chunks that came from a worker that was lost with them in hand', [
    'stage',
  ]),
  threads: gauge('deflector_threads', 'Threads that run the model', ['stage']),
  threadRestarts: counter('deflector_thread_restarts_total', 'Threads that died and were replaced'),
  gpuInUse: gauge('deflector_gpu_in_use', '1 where the runtime computes on a GPU, else 0', ['runtime']),
  gpuInfo: gauge('deflector_gpu_info', '1 for the GPU that proved to compute a model when it was made live', [
    'gpu',
    'gpu_name',
    'driver',
    'runtime',
  ]),
  gpuMemory: gauge('deflector_gpu_memory_bytes', 'Memory of that GPU', ['gpu']),
  gpuProbe: gauge('deflector_gpu_probe_seconds', 'Time of one image when the GPU was tried', ['gpu', 'model']),
  lastProgress: gauge(
    'deflector_last_progress_timestamp_seconds',
    'When a stage last finished an image, or when the process began',
    ['stage'],
  ),
  draining: gauge('deflector_draining', '1 while the process finishes what it has in hand and takes nothing new'),

  redisUp: gauge('deflector_redis_up', '1 where Redis answered within two seconds', [], 'deployment'),
  redisMemoryUsed: gauge('deflector_redis_memory_used_bytes', 'Memory that Redis uses', [], 'deployment'),
  redisMemoryLimit: gauge(
    'deflector_redis_memory_limit_bytes',
    'Memory that Redis may use: its `maxmemory`, else the memory of its machine',
    [],
    'deployment',
  ),
  redisEvicted: gauge(
    'deflector_redis_evicted_keys',
    'Keys that Redis dropped since it was started; any one is a loss',
    [],
    'deployment',
  ),
  redisPolicy: gauge(
    'deflector_redis_eviction_policy_info',
    'Always 1; the policy must be `noeviction`',
    ['policy'],
    'deployment',
  ),
  redisUptime: gauge('deflector_redis_uptime_seconds', 'Time since Redis was started', [], 'deployment'),
  jobChunks: gauge(
    'deflector_job_chunks',
    'Chunks of a job: `named` by the producer, `done`, `dead`',
    ['job_name', 'state'],
    'deployment',
  ),
  jobImages: gauge(
    'deflector_job_images',
    'Images of a job: `named` by the producer, and by their verdicts `ok`, `suspicious` (a part of ok), `error`',
    ['job_name', 'state'],
    'deployment',
  ),
} as const;

export type MetricKey = keyof typeof METRICS;
