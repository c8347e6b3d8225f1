/** The name of a verdict wherever it is delivered: the same however often, and no other's. */
import type { VerdictOrigin } from '../types.js';

/** @param place of the verdict in its chunk, from 0 */
export function verdictId({ job, id, chunk }: VerdictOrigin, place: number): string {
  return `${job}:${id}:${chunk}:${place}`;
}

/** @returns `undefined` for what is no name of a verdict */
export function parseVerdictId(text: string): (VerdictOrigin & { readonly place: number }) | undefined {
  const [, job, id, chunk, place] = /^([\w.-]{1,64}):([0-9a-f]{1,16}):(\d{1,9}):(\d{1,2})$/.exec(text) ?? [];
  if (job === undefined || id === undefined) return undefined;
  return { job, id, chunk: Number(chunk), place: Number(place) };
}
