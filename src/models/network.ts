/** What is known of a network from its file, whatever its format: what it takes, what it gives, where its maps are. */

export type ElementType = 'float32' | 'float16';

/** The one image input of a network. */
export interface NetworkInput {
  readonly name: string;
  readonly type: ElementType;
  readonly layout: 'nchw' | 'nhwc';
  /** Fixed batch size; `undefined` where any is taken. */
  readonly batch: number | undefined;
  /** Fixed size in pixels; `undefined` where any is taken. */
  readonly height: number | undefined;
  readonly width: number | undefined;
}

/** The scores of a network. */
export interface NetworkOutput {
  readonly name: string;
  readonly type: ElementType;
  readonly kind: 'logits' | 'probabilities';
  /** Number of classes, where the graph says it. */
  readonly classes: number | undefined;
}

/** The linear layer behind the pooling. */
export interface LinearLayer {
  readonly classes: number;
  readonly channels: number;
  /** float32 [classes, channels]. */
  readonly weights: Float32Array;
  /** float32 [classes]. */
  readonly bias: Float32Array;
}

/** What class activation mapping needs of a network. */
export interface LocatableHead {
  /** The tensor with the feature maps, behind the last activation, by its name in the network. */
  readonly features: string;
  /** `undefined` where the pooled feature maps are the scores themselves, as in SqueezeNet. */
  readonly linear: LinearLayer | undefined;
  /** Window [height, width] of an average pooling, which must turn out to be the whole map; `undefined` for one that always is global. */
  readonly window: readonly [number, number] | undefined;
}

export interface NetworkSignature {
  readonly input: NetworkInput;
  readonly output: NetworkOutput;
  readonly head: LocatableHead | undefined;
  /** Why there is no head: a clause for a message. */
  readonly headless: string | undefined;
}
