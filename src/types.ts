/**
 * Glossary: the nouns of the system, each defined once. Code and documents use these words and no others.
 *
 * - **image key**: the name of an image inside its store, relative, with forward slashes.
 * - **image**: 8-bit RGB pixels in memory, decoded under limits.
 * - **activation map**: how strongly each place of an image speaks for the classes the model sees, at most 1.
 * - **deflection**: the replacement of one pixel by another from its neighbourhood.
 * - **run**: one stochastic pass of deflection and denoising over one image.
 * - **vote**: the label that the model gives to the result of one run.
 * - **verdict**: what Deflector says of one image: the voted label with its evidence, or an error with a stable code.
 * - **suspicious**: said of an image whose voted label differs from the label of the undefended image.
 * - **chunk**: the unit of work that moves between stages: 1 to 64 image keys.
 * - **stage**: `fetch`, `defend` or `publish`: a function from a typed payload to a typed result.
 * - **task**: one chunk's turn at one stage, as a queue holds it; **lane**: `online` or `bulk`, which of them goes first.
 * - **dead letter**: what was given up, with its cause.
 * - **job**: one set of images defended under one set of settings.
 * - **model**: a folder with a network, its preprocessing and its labels; **classifier**: a model made live by a runtime.
 * - **localiser**: the model that makes the activation map, where it is not the classifier itself.
 * - **recipe**: a named set of defence settings.
 * - **store**: where image bytes come from; **sink**: where verdicts go.
 */
import type { ErrorCode } from './errors.js';

export type { DefenceSettings, DefenceStep, EarlyStop } from './defense/settings.js';

/** 8-bit RGB pixels, interleaved, row by row: `data.length === width * height * 3`. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** One value a pixel, row by row; at most 1; a pixel is deflected where its value lies below a uniform draw. */
export interface ActivationMap {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

/** Feature maps of the last convolution: float32, planar [channels, height, width]. */
export interface FeatureMaps {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly data: Float32Array;
}

/** Weights of the linear classifier behind the global pooling: float32 [classes, channels], row by row. */
export interface ClassifierHead {
  readonly classes: number;
  readonly channels: number;
  readonly weights: Float32Array;
}

/** A class of a model. `id` is the WordNet id or another stable id; empty where the model has none. */
export interface Label {
  readonly index: number;
  readonly id: string;
  readonly name: string;
}

/** How an image becomes the model's input; read from `preprocessor_config.json`. */
export interface Preprocessing {
  /** Input size of the model in pixels. */
  readonly width: number;
  readonly height: number;
  /**
   * `crop-then-resize`: a centre square of side floor(cropFraction * shorter side), resized to the input size.
   * `resize-then-crop`: shorter side to `resizeShortest` pixels, then a centre crop of the input size.
   * `stretch`: the whole image to the input size.
   */
  readonly fit: 'crop-then-resize' | 'resize-then-crop' | 'stretch';
  readonly cropFraction: number;
  readonly resizeShortest: number;
  readonly interpolation: 'nearest' | 'bilinear' | 'bicubic' | 'lanczos';
  /** Normalised value = (pixel / 255 - mean[c]) / std[c], channel by channel, RGB. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
  /** Order of the channels that the network reads. */
  readonly channels: 'rgb' | 'bgr';
  /** Layout of the network's input tensor. */
  readonly layout: 'nchw' | 'nhwc';
}

/** Who a model is; recorded in every verdict. */
export interface ModelIdentity {
  readonly name: string;
  /** SHA-256 of the network file, hexadecimal. */
  readonly sha256: string;
}

/** A device other than the CPU that proved to compute a model. */
export interface Device {
  /** Which one, from 0, as its driver counts them. */
  readonly index: number;
  /** The name that its driver gives; `undefined` where nothing tells it. */
  readonly name: string | undefined;
  /** Bytes. */
  readonly memory: number | undefined;
  /** Version of its driver. */
  readonly driver: string | undefined;
  /** Operators of one batch that ran on the device, and that stayed on the host; `undefined` where the runtime does not tell. */
  readonly operators: { readonly device: number; readonly host: number } | undefined;
  /** Milliseconds that one image took when the device was tried. */
  readonly ms: number;
}

/** Port: a model made live by a runtime. One instance serves one caller at a time; batches only, no state between calls. */
export interface Classifier {
  readonly model: ModelIdentity;
  /** What executes it, for people and metrics: `onnxruntime-cpu` ... */
  readonly runtime: string;
  /** The device that proved to compute it; absent on the CPU. */
  readonly device?: Device | undefined;
  readonly preprocessing: Preprocessing;
  readonly labels: readonly Label[];
  /** Present when the network ends in convolution, global pooling and a linear classifier: then it can make activation maps. */
  readonly head: ClassifierHead | undefined;
  /** Where there is no head: why, as a clause for a message. */
  readonly headless: string | undefined;
  /** Where the network's outputs are probabilities rather than logits. */
  readonly outputs: 'logits' | 'probabilities';
  /**
   * Classifies a batch.
   *
   * @param input float32, normalised, `count` images in the layout of `preprocessing.layout`
   * @param withFeatures also return the feature maps of the last convolution, [count, channels, height, width] (only with `head`)
   * @returns float32 [count, classes], and features; owned by the caller. The values of one image do not depend on its batch mates.
   * @throws DeflectorError INFERENCE_FAILED
   */
  classify(input: Float32Array, count: number, withFeatures: boolean): Promise<ClassifierOutput>;
  dispose(): Promise<void>;
}

export interface ClassifierOutput {
  /** float32 [count, classes], as the network gives them (see `Classifier.outputs`). */
  readonly scores: Float32Array;
  /** Present when asked for: `data` holds [count, channels, height, width]. */
  readonly features: FeatureMaps | undefined;
}

/**
 * A loss of one image, in the scores z before any softmax:
 * `linear` sum_j seed_j z_j; `cross-entropy` log sum_j exp z_j - z_label; `margin` max over j other than label of z_j - z_label;
 * and `features` sum seed_i f_i over the feature maps f [channels, height, width], only where the classifier has a head.
 */
export type LogitLoss =
  | { readonly kind: 'linear'; readonly seed: Float32Array }
  | { readonly kind: 'features'; readonly seed: Float32Array }
  | { readonly kind: 'cross-entropy' | 'margin'; readonly label: number };

export interface ScoredGradient {
  /** float32 [count, classes], before any softmax. */
  readonly scores: Float32Array;
  /** Of each image's loss with respect to the image; float32, in the layout of the input. */
  readonly gradient: Float32Array;
}

/** Port: a classifier whose gradients can be had. */
export interface DifferentiableClassifier extends Classifier {
  /**
   * Scores and gradients of a batch in one pass.
   *
   * @param input float32, normalised, one image a loss, in the layout of `preprocessing.layout`
   * @throws DeflectorError INFERENCE_FAILED
   */
  gradient(input: Float32Array, losses: readonly LogitLoss[]): Promise<ScoredGradient>;
}

/** One run that is still to be made: what fixes it beside the settings. */
export interface DefendedRun {
  /** At the model's input size. */
  readonly image: RgbImage;
  readonly map: ActivationMap | undefined;
  /** Content hash of the image, hexadecimal. */
  readonly sha256: string;
  readonly run: number;
}

/** Port: a classifier that defends images itself, under settings that it was made for: one call for defence and network. */
export interface RunClassifier {
  /**
   * @param runs any number, of any images
   * @returns float32 [runs, classes], as `Classifier.classify` gives scores
   * @throws DeflectorError INFERENCE_FAILED
   */
  classifyRuns(runs: readonly DefendedRun[]): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/** Port: what activation maps are made from, where the classifier's own network does not give it. */
export interface Localizer {
  readonly model: ModelIdentity;
  readonly head: ClassifierHead;
  /**
   * Looks at images of any size, the whole of each: the feature maps span the image edge to edge.
   *
   * @returns scores and features as `Classifier.classify` gives them for `images.length` images, with the localiser's classes
   * @throws DeflectorError INFERENCE_FAILED
   */
  locate(images: readonly RgbImage[]): Promise<ClassifierOutput & { readonly features: FeatureMaps }>;
  dispose(): Promise<void>;
}

/** An entry of a listing. */
export interface ObjectEntry {
  readonly key: string;
  /** Bytes, where the listing tells. Never trusted: limits are applied while reading. */
  readonly size: number | undefined;
  /** Tells versions of the object apart, and when it came about, in milliseconds since 1970; where the listing tells. */
  readonly etag?: string;
  readonly modified?: number;
  /** Set when the listing already knows that the key cannot be read: a closed folder, a name that is no UTF-8. */
  readonly error?: VerdictError;
}

/** Port: where bytes live. Keys are relative, with forward slashes; an adapter refuses any that would leave its root. */
export interface ObjectStore {
  /** For people and records, without secrets. */
  readonly url: string;
  /** All keys below `prefix`, in ascending order of their UTF-8 bytes, lazily. */
  list(prefix?: string): AsyncIterable<ObjectEntry>;
  /**
   * Reads an object of at most `maxBytes` bytes.
   *
   * @throws DeflectorError IMAGE_NOT_FOUND, IMAGE_NOT_A_FILE, IMAGE_PERMISSION, IMAGE_LINK_OUTSIDE, IMAGE_TOO_MANY_BYTES, KEY_INVALID, STORE_UNAVAILABLE
   */
  read(key: string, maxBytes: number): Promise<Uint8Array>;
  /** Writes whole or not at all: a reader never sees half of an object. @throws DeflectorError STORE_FULL, STORE_UNAVAILABLE, KEY_INVALID */
  write(key: string, bytes: Uint8Array): Promise<void>;
  /** Deletes an object; one that is not there is no fault. @throws DeflectorError STORE_UNAVAILABLE, KEY_INVALID */
  delete(key: string): Promise<void>;
}

/** Port: a store whose objects may also be larger than memory. */
export interface StreamingStore extends ObjectStore {
  /**
   * The bytes of an object from `start` to before `end`; fewer where the object ends earlier.
   *
   * @throws DeflectorError as `read` does, but for IMAGE_TOO_MANY_BYTES
   */
  readRange(key: string, start: number, end: number): Promise<Uint8Array>;
  /** All bytes of an object, in pieces. @throws DeflectorError as `read` does, but for IMAGE_TOO_MANY_BYTES */
  stream(key: string): AsyncIterable<Uint8Array>;
  /** Writes whole or not at all, in bounded memory. @throws DeflectorError as `write` does; what `pieces` throws */
  writeStream(key: string, pieces: AsyncIterable<Uint8Array>): Promise<void>;
}

/** Port: a store in which of several writers of one key exactly one wins. */
export interface ConditionalStore extends StreamingStore {
  /**
   * Writes an object that is not there yet.
   *
   * @returns false where the key holds other bytes already; true where it holds these, whoever wrote them
   * @throws DeflectorError as `write` does
   */
  create(key: string, bytes: Uint8Array): Promise<boolean>;
  /** Deletes any number of objects. @throws DeflectorError as `delete` does */
  deleteAll(keys: readonly string[]): Promise<void>;
}

/** One image key of a job, with its place in the order of input. */
export interface JobItem {
  /** 0-based position in the input. */
  readonly index: number;
  readonly key: string;
  /** Which of the job's stores holds it. */
  readonly store: number;
  /** Set when the listing already knows that the key cannot be defended (a bad manifest line ...). */
  readonly error?: VerdictError;
}

/** An image that passed the fetch stage. `pixels` is at the model's input size, or at its own with `at: original`. */
export interface FetchedImage {
  readonly index: number;
  readonly key: string;
  /** SHA-256 of the bytes that were read, hexadecimal. */
  readonly sha256: string;
  readonly pixels: RgbImage;
  readonly ms: { readonly fetch: number; readonly decode: number };
}

/** An image that did not. */
export interface FailedImage {
  readonly index: number;
  readonly key: string;
  /** Present when the bytes could be read. */
  readonly sha256?: string;
  readonly error: VerdictError;
  readonly ms: { readonly fetch: number; readonly decode: number };
}

export interface VerdictError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
}

/** How many runs voted for a label. */
export interface VoteCount {
  readonly index: number;
  readonly count: number;
}

export const VERDICT_SCHEMA = 'deflector/verdict@1';

/** The verdict on an image that could be defended. Field order is the order of the printed JSON. */
export interface OkVerdict {
  readonly schema: typeof VERDICT_SCHEMA;
  readonly key: string;
  readonly sha256: string;
  readonly status: 'ok';
  readonly label: Label;
  /** Runs executed, by label; most votes first, then lower index. */
  readonly votes: readonly VoteCount[];
  /** Runs asked for. */
  readonly runs: number;
  /** Runs that were needed. */
  readonly runsExecuted: number;
  /** Share of the executed runs that voted for `label`. */
  readonly agreement: number;
  /** Mean over the executed runs of the probability of `label`. */
  readonly probability: number;
  /** What the model says of the undefended image. */
  readonly undefended: Label & { readonly probability: number };
  readonly suspicious: boolean;
  readonly seed: string;
  readonly model: ModelIdentity;
  readonly defence: Readonly<Record<string, unknown>>;
  readonly ms: Readonly<Record<string, number>>;
}

export interface ErrorVerdict {
  readonly schema: typeof VERDICT_SCHEMA;
  readonly key: string;
  readonly sha256?: string;
  readonly status: 'error';
  readonly error: VerdictError;
  readonly ms: Readonly<Record<string, number>>;
}

export type Verdict = OkVerdict | ErrorVerdict;

/** What one image looked like on its way to its verdict: the material of a panel. */
export interface Explanation {
  readonly verdict: OkVerdict;
  /** The image as the defence saw it. */
  readonly input: RgbImage;
  readonly map: ActivationMap;
  /** Pixels that run 0 deflected: indices row * width + column, ascending, each once. */
  readonly deflected: Uint32Array;
  /** Run 0, rounded to 8 bits. */
  readonly defended: RgbImage;
}

/** Where verdicts come from: names them in the same way however often they are delivered. */
export interface VerdictOrigin {
  /** Name of the job, and what tells it from others of that name. */
  readonly job: string;
  readonly id: string;
  /** The chunk whose verdicts they are, all of them. */
  readonly chunk: number;
}

/** Port: where verdicts go. */
export interface ResultSink {
  /**
   * Takes verdicts; resolves when they are durable. Calls take effect in their order.
   *
   * @param origin the same verdicts may be handed over again, under the same origin
   * @param signal ends the waiting for another try; what was not acknowledged is then handed over again by another process
   * @throws DeflectorError SINK_REFUSED where trying again is of no use any more; others where it may be
   */
  write(verdicts: readonly Verdict[], origin: VerdictOrigin, signal?: AbortSignal): Promise<void>;
  /** Waits for what was handed over, and lets go. */
  close(): Promise<void>;
}
