import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { suggest } from '../src/suggest.js';

const NAMES = ['runs', 'mapClasses', 'maxBytes', 'maxPixels', 'sigma'];

describe('a mistyped name', () => {
  it('gets the nearest known name, separators and case set aside', () => {
    assert.equal(suggest('map-classes', NAMES), 'mapClasses');
    assert.equal(suggest('MAX_BYTE', NAMES), 'maxBytes');
    assert.equal(suggest('run', NAMES), 'runs');
  });

  it('gets none where no known name is near', () => {
    assert.equal(suggest('gallery', NAMES), undefined);
    assert.equal(suggest('', NAMES), undefined);
  });
});
