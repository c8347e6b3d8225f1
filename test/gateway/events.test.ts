import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DeflectorError } from '../../src/errors.js';
import { notificationShape, readCloudEvent, readNotification } from '../../src/gateway/events.js';

const read = (notification: unknown, keys: 'auto' | 'encoded' | 'plain' = 'auto') =>
  readNotification(notificationShape.parse(notification), keys);

/** As in the AWS documentation, "Event message structure", version 2.3, shortened. */
const aws = (key: string) => ({
  Records: [
    {
      eventVersion: '2.3',
      eventSource: 'aws:s3',
      awsRegion: 'us-west-2',
      eventTime: '1970-01-01T00:00:00.000Z',
      eventName: 'ObjectCreated:Put',
      s3: {
        s3SchemaVersion: '1.0',
        configurationId: 'testConfigRule',
        bucket: { name: 'photos', arn: 'arn:aws:s3:::photos' },
        object: { key, size: 1024, eTag: 'd41d8cd98f00b204e9800998ecf8427e', sequencer: '0055AED6DCD90281E5' },
      },
    },
  ],
});

/** As MinIO sends it: `EventName` and `Key` beside the records. */
const minio = (key: string) => ({
  EventName: 's3:ObjectCreated:Put',
  Key: `photos/${key}`,
  Records: [
    {
      eventName: 's3:ObjectCreated:Put',
      s3: {
        configurationId: 'Config',
        bucket: { name: 'photos' },
        object: { key, eTag: '9dd4', sequencer: '17D2', versionId: '1' },
      },
    },
  ],
});

/** As versitygw 1.8 sends it. */
const versitygw = (key: string) => ({
  Records: [
    {
      eventName: 's3:ObjectCreated:Put',
      s3: {
        configurationId: 'webhook-global',
        bucket: { name: 'photos' },
        object: { key, size: 1, eTag: '"9dd4"', versionId: null, sequencer: '16BB' },
      },
    },
  ],
});

/** Form encoding, as application/x-www-form-urlencoded has it. */
const encoded = (key: string) => encodeURIComponent(key).replaceAll('%20', '+');

describe('readNotification', () => {
  it('reads the forms of AWS, MinIO and versitygw alike', () => {
    const key = 'in/a b+ü.jpg';
    for (const [form, sequencer] of [
      [aws(encoded(key)), '0055AED6DCD90281E5'],
      [minio('in%2Fa+b%2B%C3%BC.jpg'), '17D2'],
      [versitygw(key), '16BB'],
    ] as const) {
      const { created, other } = read(form);
      assert.equal(other, 0);
      assert.deepEqual([created[0]!.bucket, created[0]!.key, created[0]!.event], ['photos', key, sequencer]);
      assert.doesNotMatch(created[0]!.etag, /"/);
    }
  });

  it('finds any key behind its encoding, and any plain one where there is none', () =>
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }), key => {
        assert.equal(read(aws(encoded(key))).created[0]!.key, key);
        assert.equal(read(minio(encoded(key))).created[0]!.key, key);
        assert.equal(read(versitygw(key)).created[0]!.key, key);
        assert.equal(read(aws(key), 'plain').created[0]!.key, key);
      }),
    ));

  it('takes only what was created', () => {
    const names = [
      's3:ObjectRemoved:Delete',
      'ObjectCreated:CompleteMultipartUpload',
      's3:ObjectCreated:Copy',
      'ObjectTagging:Put',
    ];
    const Records = names.map(eventName => ({ ...aws('a.jpg').Records[0], eventName }));
    const { created, other } = read({ Records });
    assert.deepEqual([created.length, other], [2, 2]);
  });

  it('does not mind what it does not know, nor sizes', () => {
    const form = aws('a.jpg');
    Object.assign(form.Records[0]!.s3.object, { size: -1, more: { of: 'it' } });
    assert.equal(read(form).created[0]!.key, 'a.jpg');
  });

  it('refuses keys that no object can have', () => {
    const refused = (error: unknown) => error instanceof DeflectorError && error.code === 'REQUEST_INVALID';
    assert.throws(() => read(versitygw('ü'.repeat(600))), refused);
    assert.throws(() => read(aws('%ff'), 'encoded'), refused);
  });
});

describe('readCloudEvent', () => {
  const event = (data: unknown, more: object = {}) => ({
    specversion: '1.0' as const,
    id: '1',
    source: '/a',
    type: 'com.amazonaws.s3.ObjectCreated:Put',
    data,
    ...more,
  });

  it('reads a notification, a record, a detail of EventBridge, a pair, and a list of addresses', () => {
    for (const data of [
      aws('in/a.jpg'),
      aws('in/a.jpg').Records[0],
      { bucket: { name: 'photos' }, object: { key: 'in/a.jpg', etag: 'e', sequencer: '1' } },
      { bucket: 'photos', key: 'in/a.jpg' },
      { keys: ['s3://photos/in/a.jpg'] },
    ]) {
      const { created } = readCloudEvent(event(data), 'auto');
      assert.deepEqual(
        created.map(({ bucket, key }) => [bucket, key]),
        [['photos', 'in/a.jpg']],
      );
      assert.notEqual(created[0]!.event, '');
    }
  });

  it('reads data in base64', () => {
    const data_base64 = Buffer.from(JSON.stringify(aws('a.jpg'))).toString('base64');
    assert.equal(readCloudEvent(event(undefined, { data_base64 }), 'auto').created.length, 1);
  });

  it('passes over a test event and an object that was deleted', () => {
    const detail = { bucket: { name: 'photos' }, object: { key: 'a.jpg' } };
    for (const other of [event({ Event: 's3:TestEvent' }), event(detail, { type: 'Object Deleted' })]) {
      assert.deepEqual(readCloudEvent(other, 'auto'), { created: [], other: 1 });
    }
  });

  it('refuses data that tells of no object', () => {
    for (const data of [null, 1, 'text', [], {}, { keys: ['https://example.org/a.jpg'] }, { keys: ['s3://photos/'] }]) {
      assert.throws(() => readCloudEvent(event(data), 'auto'), DeflectorError);
    }
  });
});
