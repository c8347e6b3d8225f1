import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { REPOSITORY } from '../helpers/repository.js';

const documents = ['.', 'docs', 'docs/results', 'models/efficientnet-lite0'].flatMap(folder =>
  readdirSync(join(REPOSITORY, folder))
    .filter(name => name.endsWith('.md'))
    .map(name => join(folder, name)),
);

describe('the links of the documents', () => {
  for (const document of documents) {
    it(`of ${document} lead somewhere`, () => {
      const text = readFileSync(join(REPOSITORY, document), 'utf8');
      const targets = [...text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map(([, target = '']) => target);
      const broken = targets.filter(
        target => !/^https?:/.test(target) && !existsSync(join(REPOSITORY, dirname(document), target)),
      );
      assert.deepEqual(broken, []);
    });
  }
});
