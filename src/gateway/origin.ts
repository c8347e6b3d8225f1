/** Keeps pages of other sites from calling the gateway with the rights of whoever looks at them. */
import type { IncomingHttpHeaders } from 'node:http';
import { DeflectorError } from '../errors.js';

const OWN_NAMES = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

/**
 * Browsers say where a call comes from; other programs say nothing, and are let through. Without credentials only names
 * of this machine are answered to: a name of another site could be made to lead here (DNS rebinding).
 *
 * @throws DeflectorError REQUEST_FOREIGN
 */
export function checkOrigin({ headers }: { readonly headers: IncomingHttpHeaders }, open: boolean): void {
  const { host = '', origin } = headers;
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') {
    throw new DeflectorError('REQUEST_FOREIGN', 'The request comes from a page of another site');
  }
  if (origin !== undefined && hostOf(origin) !== host.toLowerCase()) {
    throw new DeflectorError('REQUEST_FOREIGN', 'The request comes from a page of another origin');
  }
  if (open && !OWN_NAMES.test(host)) {
    throw new DeflectorError('REQUEST_FOREIGN', 'Without tokens the gateway answers to localhost only');
  }
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
