import { join } from 'node:path';
import { LineJournal } from '../../src/sinks/line-journal.js';
import { journalConformance } from '../conformance/journal.js';
import { temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';

checkLeaks();

journalConformance('LineJournal', async t => {
  const path = join(await temporaryFolder(t), 'lines.jsonl');
  return existing => LineJournal.open(path, existing);
});
