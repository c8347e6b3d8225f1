/** Defends the images of a folder: node dist/examples/defend-folder.js FOLDER */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createDefense } from 'deflector';

const folder = process.argv[2] ?? 'samples';

const defense = await createDefense({ threads: 2, seed: '1' });
const names = (await readdir(folder)).filter(name => /\.(png|jpe?g)$/i.test(name)).sort();
// All at once keeps both threads busy; a folder of thousands is for `deflector run`, which reads no further than it needs.
const verdicts = await Promise.all(names.map(async name => defense.defend(await readFile(join(folder, name)), name)));
for (const verdict of verdicts) {
  if (verdict.status === 'error') {
    console.log(`${verdict.key}: ${verdict.error.code}`);
  } else {
    const { key, label, agreement, undefended, suspicious } = verdict;
    const note = suspicious ? ` (suspicious: undefended it is ${undefended.name})` : '';
    console.log(`${key}: ${label.name}, ${Math.round(100 * agreement)} % of the runs${note}`);
  }
}
await defense.close();
