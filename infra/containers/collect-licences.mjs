// collect-licences.mjs NODE_MODULES FOLDER: copies the licence of every package, and lists the packages by their terms.
// A package without a licence in words must at least name one.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [, , modules, out] = process.argv;
const list = [];
for (const folder of packagesOf(modules)) {
  const { name, version, license, licenses } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const terms = license?.type ?? license ?? licenses?.map(({ type }) => type).join(' OR ');
  const texts = readdirSync(folder).filter(file => /^(?:licen[cs]e|copying|notice|third.?party)/i.test(file));
  if (terms === undefined && texts.length === 0) throw new Error(`${name} ${version} comes without a licence`);
  list.push(`${name} ${version}: ${terms ?? 'see its licence'}`);
  const target = join(out, name.replace('/', '__'));
  mkdirSync(target, { recursive: true });
  for (const text of texts) cpSync(join(folder, text), join(target, text), { recursive: true });
}
writeFileSync(join(out, 'packages.txt'), `${list.sort().join('\n')}\n`);
console.log(`${list.length} packages`);

/** The packages of a folder, with those that lie inside of others. */
function* packagesOf(folder) {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder)) {
    if (entry.startsWith('.')) continue;
    const path = join(folder, entry);
    if (entry.startsWith('@')) yield* packagesOf(path);
    else if (existsSync(join(path, 'package.json'))) {
      yield path;
      yield* packagesOf(join(path, 'node_modules'));
    }
  }
}
