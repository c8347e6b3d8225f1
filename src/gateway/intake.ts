/** Takes images in from allowed places: what a caller names is checked, held against what was taken before, and queued. */
import { DeflectorError } from '../errors.js';
import type { SeenName } from '../jobs/seen-objects.js';
import { asFolder, checkAllowed, formatS3Address, type S3Address } from '../storage/s3-address.js';
import { isImageName } from '../storage/source.js';
import type { StoreAddress } from '../storage/store-address.js';
import type { VerdictError } from '../types.js';
import type { ObjectCreated, Told } from './events.js';

/** Where an image was put. */
export interface PlacedImage {
  readonly job: string;
  readonly id: string;
  readonly chunk: number;
  readonly place: number;
}

/** Port: a stream of images into the queue. */
export interface ImageStream {
  /** Whether it should be given no more now. */
  isFull(): Promise<boolean>;
  /** Adds images; resolves when they are durable and in the queue. */
  append(
    images: readonly { readonly key: string; readonly store: number; readonly error?: VerdictError }[],
  ): Promise<PlacedImage[]>;
}

/** Port: what was taken lately. */
export interface Seen {
  readonly horizon: number;
  have(names: readonly SeenName[]): Promise<boolean[]>;
  add(names: readonly SeenName[]): Promise<void>;
}

/** What became of what events told of. */
export interface Receipt {
  /** Images in the queue now. */
  readonly accepted: number;
  /** Images that an earlier event brought there. */
  readonly duplicates: number;
  /** Events of other kinds, and objects that by their names are no images. */
  readonly skipped: number;
  /** Objects outside of what is allowed. */
  readonly refused: number;
}

type Place = Pick<ObjectCreated, 'bucket' | 'key'>;

/** The stores of a stream of which `Intake` names images: one for each allowed place, the bucket part of the keys. */
export function storesOf(allowed: readonly S3Address[]): StoreAddress[] {
  return allowed.map(asFolder).map(({ bucket, key }) => ({
    url: formatS3Address({ bucket, key }),
    prefix: `${bucket}/${key}`,
  }));
}

export class Intake {
  readonly allowed: readonly S3Address[];
  readonly #stream: ImageStream;
  readonly #seen: Seen;

  /** @param allowed folders: what lies below them may be taken */
  constructor(allowed: readonly S3Address[], stream: ImageStream, seen: Seen) {
    this.allowed = allowed.map(asFolder);
    this.#stream = stream;
    this.#seen = seen;
  }

  /**
   * Takes what events tell of.
   *
   * @throws DeflectorError STORE_DENIED where nothing of it is allowed; OVERLOADED; of stores and Redis
   */
  async events({ created, other }: Told): Promise<Receipt> {
    const images = created.filter(({ key }) => isImageName(key));
    const skipped = created.length - images.length + other;
    const permitted = images.filter(image => this.#isAllowed(image));
    const refused = images.length - permitted.length;
    if (refused > 0 && permitted.length === 0 && skipped === 0) this.check(images[0]!);
    const single = [...new Map(permitted.map(image => [JSON.stringify(eventName(image)), image])).values()];
    const known = await this.#seen.have(single.map(eventName));
    const fresh = single.filter((image, place) => image.event === '' || !known[place]);
    await this.#take(fresh, [...fresh.map(eventName), ...fresh.map(objectName)]);
    return { accepted: fresh.length, duplicates: permitted.length - fresh.length, skipped, refused };
  }

  /**
   * Takes objects that a caller names himself, however often he does.
   *
   * @throws DeflectorError STORE_DENIED where one is not allowed: none is taken then; OVERLOADED; of stores and Redis
   */
  async objects(places: readonly Place[]): Promise<PlacedImage[]> {
    for (const place of places) this.check(place);
    return this.#take(
      places,
      places.map(place => objectName({ ...place, etag: '' })),
    );
  }

  /** @throws DeflectorError STORE_DENIED */
  check({ bucket, key }: Place): void {
    checkAllowed({ bucket, key }, this.allowed);
  }

  #isAllowed(place: Place): boolean {
    try {
      this.check(place);
      return true;
    } catch {
      return false;
    }
  }

  async #take(places: readonly Place[], names: readonly SeenName[]): Promise<PlacedImage[]> {
    if (places.length === 0) return [];
    if (await this.#stream.isFull()) throw new DeflectorError('OVERLOADED', 'The queue is full');
    const placed = await this.#stream.append(
      places.map(place => ({ key: `${place.bucket}/${place.key}`, store: this.#storeOf(place) })),
    );
    // Last: what is lost before this is taken again when the event comes again.
    await this.#seen.add(names);
    return placed;
  }

  #storeOf({ bucket, key }: Place): number {
    return this.allowed.findIndex(allowed => allowed.bucket === bucket && key.startsWith(allowed.key));
  }
}

function eventName({ bucket, key, event, etag }: ObjectCreated): SeenName {
  return { kind: 'event', bucket, key, event: `${event} ${etag}` };
}

export function objectName({ bucket, key, etag }: Pick<ObjectCreated, 'bucket' | 'key' | 'etag'>): SeenName {
  return { kind: 'object', bucket, key, etag };
}
