// Brings the rules and dashboards of infra/ into the chart, since Helm reads no file outside of a chart; with --check only
// says whether they are the same.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './lib/steps.mjs';

const COPIES = [
  { from: 'infra/prometheus', to: 'helm/deflector/files/rules', name: /^(?:alerts|recording|rules).*\.yaml$/ },
  { from: 'infra/grafana/dashboards', to: 'helm/deflector/files/dashboards', name: /\.json$/ },
];

let stale = false;
for (const { from, to, name } of COPIES) {
  const wanted = filesOf(join(root, from)).filter(file => name.test(file));
  const present = filesOf(join(root, to));
  const differs = [...new Set([...wanted, ...present])].filter(
    file => !wanted.includes(file) || !present.includes(file) || read(from, file) !== read(to, file),
  );
  for (const file of differs) console.log(`${to}/${file}`);
  if (process.argv.includes('--check')) {
    stale ||= differs.length > 0;
    continue;
  }
  rmSync(join(root, to), { recursive: true, force: true });
  mkdirSync(join(root, to), { recursive: true });
  for (const file of wanted) writeFileSync(join(root, to, file), read(from, file));
}
if (stale) {
  console.log('differ from infra/; run: npm run docs');
  process.exitCode = 1;
}

function filesOf(folder) {
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}

function read(folder, file) {
  return readFileSync(join(root, folder, file), 'utf8');
}
