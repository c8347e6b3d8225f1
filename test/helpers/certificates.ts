/** Certificates of an authority of one's own. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Paths of files in PEM. */
export interface Certificate {
  /** The authority, which nobody trusts unless told to. */
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

/** Makes an authority in a folder, and a certificate of it that names one host and no address. */
export async function certify(folder: string, host: string): Promise<Certificate> {
  const openssl = (...args: string[]) => promisify(execFile)('openssl', args, { cwd: folder });
  const newKey = (key: string) => ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key];
  await openssl('req', '-x509', ...newKey('ca.key'), '-out', 'ca.pem', '-subj', '/CN=Test authority', '-days', '2');
  await openssl('req', ...newKey('host.key'), '-out', 'host.csr', '-subj', `/CN=${host}`);
  await writeFile(join(folder, 'names.cnf'), `subjectAltName=DNS:${host}\n`);
  const signer = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial'];
  const names = ['-extfile', 'names.cnf', '-out', 'host.pem', '-days', '2'];
  await openssl('x509', '-req', '-in', 'host.csr', ...signer, ...names);
  const path = (name: string): string => join(folder, name);
  return { authority: path('ca.pem'), certificate: path('host.pem'), key: path('host.key') };
}
