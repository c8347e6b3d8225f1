// Signs models/catalogue.json: node scripts/sign-catalogue.mjs [FILE]
//
// The private key (PEM, Ed25519) is the text of DEFLECTOR_SIGNING_KEY, or the file that DEFLECTOR_SIGNING_KEY_FILE names; it
// is never part of the repository. `node scripts/sign-catalogue.mjs --new-key FILE` makes one, readable by its owner only, and
// prints the public half.
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { parseCatalogue } from '../dist/src/models/catalogue.js';
import { CATALOGUE_KEY } from '../dist/src/models/catalogue-key.js';

const [option, newFile] = process.argv.slice(2);
if (option === '--new-key') {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  writeFileSync(newFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' });
  process.stdout.write(publicKey.export({ type: 'spki', format: 'pem' }));
} else {
  const file = option ?? 'models/catalogue.json';
  const bytes = readFileSync(file);
  const models = parseCatalogue(bytes, file);
  const { DEFLECTOR_SIGNING_KEY: text, DEFLECTOR_SIGNING_KEY_FILE: keyFile } = process.env;
  if (!text && !keyFile) throw new Error('Set DEFLECTOR_SIGNING_KEY or DEFLECTOR_SIGNING_KEY_FILE to the private key');
  const key = createPrivateKey(text || readFileSync(keyFile));
  writeFileSync(`${file}.sig`, `${sign(null, bytes, key).toString('base64')}\n`);
  const own =
    createPublicKey(key).export({ type: 'spki', format: 'pem' }) ===
    createPublicKey(CATALOGUE_KEY).export({ type: 'spki', format: 'pem' });
  console.log(
    `Signed ${models.length} models in ${file}, ${own ? "by the project's key" : 'by a key of your own: say --catalogue-key'}`,
  );
}
