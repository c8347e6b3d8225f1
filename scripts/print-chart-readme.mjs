// Prints helm/deflector/README.md from the chart's values and their comments: npm run docs
import { readFileSync } from 'node:fs';
import { isMap, parseDocument } from 'yaml';

const folder = new URL('../helm/deflector/', import.meta.url);
const read = name => readFileSync(new URL(name, folder), 'utf8');
const { version, appVersion, kubeVersion } = parseDocument(read('Chart.yaml')).toJS();

console.log(`# Helm chart of Deflector

Made from \`values.yaml\` by \`npm run docs\`. Chart ${version}, Deflector ${appVersion}, Kubernetes ${kubeVersion}.

\`\`\`sh
helm install deflector helm/deflector                                        # a trial
helm install deflector helm/deflector -f helm/deflector/examples/gpu.yaml    # and so on: see examples/
\`\`\`

How to install, size, scale, upgrade, back up and recover: \`docs/kubernetes.md\`. What a new version of the chart asks for:
[UPGRADING.md](UPGRADING.md). A value that is unknown or out of its range is refused with a message that names it.

| Value | Default | Meaning |
|---|---|---|`);

for (const [path, value, comment] of rows(parseDocument(read('values.yaml')).contents, '', '')) {
  console.log(`| \`${path}\` | \`${JSON.stringify(value)}\` | ${comment} |`);
}

/** Values without values below them, with the comments above them; a group's comment stands with the group. */
function* rows(map, prefix, first) {
  for (const [place, { key, value }] of map.items.entries()) {
    const path = `${prefix}${key.value}`;
    // The comment above the first value of a group is kept with the group.
    const text = clean(key.commentBefore ?? (place === 0 ? first : ''));
    if (isMap(value) && !value.flow && value.items.length > 0) {
      if (text !== '') console.log(`| **\`${path}\`** | | ${text} |`);
      yield* rows(value, `${path}.`, value.commentBefore ?? '');
    } else {
      yield [path, value.toJSON(), text];
    }
  }
}

/** The text of the last block of comments: what stands further above is no value's. */
function clean(comment) {
  return comment
    .split(/\n\s*\n/)
    .at(-1)
    .replaceAll(/^ /gm, '')
    .replaceAll('\n', ' ')
    .replaceAll('|', '\\|');
}
