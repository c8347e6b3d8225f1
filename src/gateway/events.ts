/** What came into being, told by storage events: notifications of S3 servers, plain or inside of CloudEvents. */
import { z } from 'zod';
import { DeflectorError } from '../errors.js';
import { parseS3Address } from '../storage/s3-address.js';

/** An object that was written. What the event says of its size is not to be trusted, and events come in any order. */
export interface ObjectCreated {
  readonly bucket: string;
  readonly key: string;
  /** Without quotes; empty where it was not told. */
  readonly etag: string;
  /** Tells this upload from others of the key; empty where nothing does. */
  readonly event: string;
}

export interface Told {
  readonly created: readonly ObjectCreated[];
  /** Events of other kinds. */
  readonly other: number;
}

/** How keys stand in notifications: AWS and MinIO encode them as in a form, some servers do not. */
export type EventKeys = 'auto' | 'encoded' | 'plain';

/** Longest key of S3, in bytes of UTF-8. */
const MAX_KEY_BYTES = 1024;

const short = z.string().max(1024);
const key = z
  .string()
  .min(1)
  .max(3 * MAX_KEY_BYTES);

const recordShape = z.looseObject({
  eventName: short,
  eventTime: short.nullish(),
  s3: z.looseObject({
    configurationId: short.nullish(),
    bucket: z.looseObject({ name: short.min(1) }),
    object: z.looseObject({ key, eTag: short.nullish(), versionId: short.nullish(), sequencer: short.nullish() }),
  }),
});

/** MinIO puts `EventName` and `Key` beside the records. */
export const notificationShape = z.looseObject({
  EventName: short.optional(),
  Key: z
    .string()
    .max(4 * MAX_KEY_BYTES)
    .optional(),
  Records: z.array(recordShape).min(1).max(1000),
});

/** What an S3 server sends to see whether anybody listens. */
export const testEventShape = z.looseObject({ Event: z.literal('s3:TestEvent') });

/** The detail of an EventBridge event; its keys are plain. */
const detailShape = z.looseObject({
  bucket: z.looseObject({ name: short.min(1) }),
  object: z.looseObject({ key, etag: short.nullish(), 'version-id': short.nullish(), sequencer: short.nullish() }),
});
const pairShape = z.looseObject({ bucket: short.min(1), key });
const keysShape = z.looseObject({ keys: z.array(z.string().min(1).max(4096)).min(1).max(1000) });

/** https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md */
export const cloudEventShape = z.looseObject({
  specversion: z.literal('1.0'),
  id: short.min(1),
  source: short.min(1),
  type: short.min(1),
  data: z.unknown(),
  data_base64: z.string().optional(),
});
export type CloudEvent = z.infer<typeof cloudEventShape>;

/** @throws DeflectorError REQUEST_INVALID */
export function readNotification({ Key, Records }: z.infer<typeof notificationShape>, keys: EventKeys): Told {
  const created = Records.filter(({ eventName }) => /^(?:s3:)?ObjectCreated:/.test(eventName));
  return {
    created: created.map(record => readRecord(record, keys === 'auto' && Key !== undefined ? 'encoded' : keys)),
    other: Records.length - created.length,
  };
}

function readRecord({ eventTime, s3 }: z.infer<typeof recordShape>, keys: EventKeys): ObjectCreated {
  const { key, eTag, versionId, sequencer } = s3.object;
  const encoded = keys === 'auto' ? looksEncoded(key, s3.configurationId ?? '') : keys === 'encoded';
  return {
    bucket: s3.bucket.name,
    key: checked(encoded ? decodeKey(key) : key),
    etag: (eTag ?? '').replaceAll('"', ''),
    event: sequencer || versionId || eventTime || '',
  };
}

/**
 * Whether a key is encoded, where the notification does not say: one with a character that encoding would have taken
 * away is not, nor one of versitygw, which is known by the name that it gives its configuration.
 */
function looksEncoded(key: string, configurationId: string): boolean {
  return !/-global$/.test(configurationId) && /^[\w!'()*+./~%-]*$/.test(key) && !/%(?![0-9A-Fa-f]{2})/.test(key);
}

/** @throws DeflectorError REQUEST_INVALID */
function decodeKey(key: string): string {
  try {
    return decodeURIComponent(key.replaceAll('+', ' '));
  } catch (cause) {
    throw new DeflectorError('REQUEST_INVALID', 'The key of an event is not encoded as it should be', { cause });
  }
}

function checked(key: string): string {
  if (Buffer.byteLength(key) <= MAX_KEY_BYTES) return key;
  throw new DeflectorError('REQUEST_INVALID', `The key of an event is longer than ${MAX_KEY_BYTES} bytes`);
}

/**
 * What a CloudEvent tells of. Its data is a notification or a record of S3, the detail of an EventBridge event,
 * `{"bucket":..., "key":...}`, or `{"keys":["s3://bucket/key", ...]}`.
 *
 * @throws DeflectorError REQUEST_INVALID
 */
export function readCloudEvent(event: CloudEvent, keys: EventKeys): Told {
  const data = dataOf(event);
  if (testEventShape.safeParse(data).success) return { created: [], other: 1 };
  const notification = notificationShape.safeParse(data);
  if (notification.success) return readNotification(notification.data, keys);
  const record = recordShape.safeParse(data);
  if (record.success) return readNotification({ Records: [record.data] }, keys);
  // Objects that are told of together are told apart by their keys.
  const told = JSON.stringify([event.source, event.id]);
  const detail = detailShape.safeParse(data);
  if (detail.success) {
    if (/delet|remov|restor|expir|tag|acl|access tier/i.test(event.type)) return { created: [], other: 1 };
    const { bucket, object } = detail.data;
    const etag = (object.etag ?? '').replaceAll('"', '');
    const name = object.sequencer || object['version-id'] || told;
    return { created: [{ bucket: bucket.name, key: checked(object.key), etag, event: name }], other: 0 };
  }
  const pair = pairShape.safeParse(data);
  if (pair.success) {
    return { created: [{ ...pairOf(pair.data), etag: '', event: told }], other: 0 };
  }
  const list = keysShape.safeParse(data);
  if (list.success)
    return { created: list.data.keys.map(text => ({ ...objectAt(text), etag: '', event: told })), other: 0 };
  throw new DeflectorError('REQUEST_INVALID', 'The data of the CloudEvent tells of no object');
}

function pairOf({ bucket, key }: z.infer<typeof pairShape>): { bucket: string; key: string } {
  return { bucket, key: checked(key) };
}

function dataOf({ data, data_base64 }: CloudEvent): unknown {
  if (data_base64 === undefined) return data;
  try {
    return JSON.parse(Buffer.from(data_base64, 'base64').toString());
  } catch (cause) {
    throw new DeflectorError('REQUEST_INVALID', 'The data of the CloudEvent is not JSON', { cause });
  }
}

/** @throws DeflectorError KEY_INVALID for what is no address of an object */
export function objectAt(text: string): { bucket: string; key: string } {
  const address = parseS3Address(text);
  if (address === undefined || address.key === '' || address.key.endsWith('/')) {
    throw new DeflectorError(
      'KEY_INVALID',
      `Expected s3://bucket/key but received ${JSON.stringify(text.slice(0, 200))}`,
    );
  }
  return { bucket: address.bucket, key: checked(address.key) };
}
