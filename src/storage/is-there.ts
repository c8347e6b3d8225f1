import { DeflectorError } from '../errors.js';
import type { ObjectStore } from '../types.js';

/** Whether a store holds an object. @throws DeflectorError as `read` does, but for IMAGE_NOT_FOUND */
export async function isThere(store: ObjectStore, key: string): Promise<boolean> {
  try {
    await store.read(key, 0);
    return true;
  } catch (error) {
    if (error instanceof DeflectorError && error.code === 'IMAGE_NOT_FOUND') return false;
    if (error instanceof DeflectorError && error.code === 'IMAGE_TOO_MANY_BYTES') return true;
    throw error;
  }
}
