/** Opens the sinks that the settings name. */
import { invalid } from '../errors.js';
import type { RedisConnection } from '../queue/redis.js';
import type { S3Connection } from '../storage/s3-connection.js';
import type { ResultSink } from '../types.js';
import { openDestination } from './destination.js';
import { type ObjectFormat, ObjectSink } from './object-sink.js';
import { RedisStreamSink } from './redis-stream-sink.js';
import { WebhookSink } from './webhook-sink.js';

/** The settings of group `sink`. */
export interface SinkSettings {
  readonly sink: readonly string[];
  readonly streamLength: number;
  readonly webhookSecret: string | null;
  readonly webhookTries: number;
  /** Seconds. */
  readonly webhookTimeout: number;
}

export interface SinkPorts {
  readonly redis: RedisConnection;
  readonly s3: S3Connection;
}

/** @throws DeflectorError SETTINGS_INVALID; of a destination that cannot be written to */
export async function openSinks(settings: SinkSettings, ports: SinkPorts): Promise<ResultSink[]> {
  const sinks: ResultSink[] = [];
  for (const text of settings.sink) sinks.push(await openSink(text, settings, ports));
  return sinks;
}

async function openSink(text: string, settings: SinkSettings, { redis, s3 }: SinkPorts): Promise<ResultSink> {
  const { webhookSecret: secret, webhookTries: tries, webhookTimeout: timeout, streamLength } = settings;
  const [, kind = '', place = ''] = /^(\w+):(.*)$/s.exec(text) ?? [];
  switch (kind) {
    case 'redis':
      return new RedisStreamSink(redis, place, streamLength);
    case 'jsonl':
    case 'parquet': {
      const destination = openDestination(place, s3);
      await destination.check();
      return new ObjectSink(destination.store, kind satisfies ObjectFormat);
    }
    default:
      if (secret === null) throw invalid('--webhook-secret', 'a secret to sign with, for --sink http(s)://', 'none');
      return new WebhookSink({ url: text, secret, tries, timeout });
  }
}
