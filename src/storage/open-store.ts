/** Opens the stores of a job where its producer found them. */
import { invalid } from '../errors.js';
import type { ObjectStore, StreamingStore } from '../types.js';
import { FileSystemStore } from './filesystem-store.js';
import { PrefixedStore } from './prefixed-store.js';
import { asFolder, isS3Address, parseS3Address } from './s3-address.js';
import type { S3Connection } from './s3-connection.js';
import { ShardStore } from './shard-source.js';
import { placeOf, type StoreAddress } from './store-address.js';

/** Opens a store by its address. */
export type OpenStore = (address: StoreAddress) => ObjectStore;

/** Opens a folder or a prefix by its address, not an archive. */
export type OpenFolder = (address: Pick<StoreAddress, 'url' | 'links'>) => StreamingStore;

/** @returns what throws SETTINGS_INVALID for an address that leads nowhere */
export function storeOpener(s3: S3Connection): OpenStore {
  return address => {
    const { shard, prefix } = address;
    const files = openFiles(address, s3);
    const store = shard === undefined ? files : new ShardStore(files, shard);
    return prefix === '' ? store : new PrefixedStore(store, prefix);
  };
}

/** @returns what throws SETTINGS_INVALID for an address that leads nowhere */
export function folderOpener(s3: S3Connection): OpenFolder {
  return address => openFiles(address, s3);
}

function openFiles(address: Parameters<OpenFolder>[0], s3: S3Connection) {
  const place = placeOf(address);
  const { links } = address;
  return isS3Address(place) ? openBucket(place, s3) : new FileSystemStore(place, links === undefined ? {} : { links });
}

function openBucket(place: string, s3: S3Connection) {
  const address = parseS3Address(place);
  if (address === undefined) throw invalid('the address of a store', 's3://bucket/prefix', place);
  return s3.open(asFolder(address));
}
