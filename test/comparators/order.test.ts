/** The text of `--order`: what it accepts, its canonical form, its errors. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { COMPARATORS, parseOrder, printOrder, RANDOMISERS } from '../../src/comparators/order.js';
import { DeflectorError } from '../../src/errors.js';
import { fromRoot } from '../helpers/root.js';

function refuses(text: string, message: string): void {
  assert.throws(
    () => parseOrder(text),
    (error: unknown) => {
      assert.ok(error instanceof DeflectorError);
      assert.equal(error.code, 'SETTINGS_INVALID');
      assert.equal(error.message, message);
      return true;
    },
  );
}

const STEPS = [...COMPARATORS, ...RANDOMISERS];

describe('an order', () => {
  it("mixes the defence's own steps with comparators, in any order", () => {
    const order = parseOrder('jpeg:75,deflect,denoise');
    assert.deepEqual(
      order.map(({ kind, name }) => [kind, name]),
      [
        ['comparator', 'jpeg'],
        ['defence', 'deflect'],
        ['defence', 'denoise'],
      ],
    );
    assert.equal(printOrder(order), 'jpeg:75,deflect,denoise');
  });

  it('prints the first parameter always (of nlm three, as Table 4 does), the others up to the last that is not the default', () => {
    for (const [text, canonical] of [
      ['jpeg', 'jpeg:75'],
      ['jpeg:75-420', 'jpeg:75'],
      ['jpeg:75-444', 'jpeg:75-444'],
      ['nlm', 'nlm:11-3-2'],
      ['nlm:13-3-4', 'nlm:13-3-4'],
      ['bilateral:3-1-auto-black', 'bilateral:3-1-auto-black'],
      ['none', 'none'],
      ['bits:05', 'bits:5'],
      ['tv:.10', 'tv:0.1'],
      [' median:3 , deflect ', 'median:3,deflect'],
    ] as const) {
      assert.equal(printOrder(parseOrder(text)), canonical);
    }
  });

  it('is read back from its canonical text', () => {
    const words = STEPS.flatMap(({ name, parameters }) => [
      name,
      ...parameters.map(
        (_, i) =>
          `${name}:${parameters
            .slice(0, i + 1)
            .map(parameter => parameter.default)
            .join('-')}`,
      ),
    ]);
    fc.assert(
      fc.property(fc.array(fc.constantFrom('deflect', 'denoise', ...words), { minLength: 1, maxLength: 5 }), steps => {
        const text = printOrder(parseOrder(steps.join(',')));
        assert.equal(printOrder(parseOrder(text)), text);
      }),
    );
  });

  it('names every step once', () => {
    const names = STEPS.map(step => step.name);
    assert.equal(new Set(names).size, names.length);
  });

  it('says what it expected and what it received', () => {
    refuses('jpeg:0', 'Expected an integer from 1 to 100 for --order jpeg quality but received "0"');
    refuses('jpeg:75-422', 'Expected one of 420, 444 for --order jpeg subsampling but received "422"');
    refuses('crop:1e1', 'Expected a number from 0.01 to 1 for --order crop share but received "1e1"');
    refuses(
      'bilateral:3-1-some',
      'Expected a number from 0.001 to 10, or auto for --order bilateral colour but received "some"',
    );
    refuses('bits:5-3', 'Expected at most one parameter after "bits" for --order but received "bits:5-3"');
    refuses('none:1', 'Expected no parameters after "none" for --order but received "none:1"');
    refuses('deflect:10', 'Expected no parameters after "deflect" for --order but received "deflect:10"');
    refuses('jpeg:', 'Expected parameters after "jpeg:" for --order but received "jpeg:"');
    const steps = ['deflect', 'denoise', ...STEPS.map(step => step.name)].join(', ');
    refuses('', `Expected steps among ${steps} for --order but received ""`);
    refuses('jpg:75', `Expected steps among ${steps} (did you mean jpeg?) for --order but received "jpg:75"`);
    refuses('denoize', `Expected steps among ${steps} (did you mean denoise?) for --order but received "denoize"`);
    refuses('deflect,blur:3', `Expected steps among ${steps} for --order but received "blur:3"`);
  });
});

describe('docs/comparators.md', () => {
  const text = readFileSync(fromRoot('docs/comparators.md'), 'utf8');
  for (const { name, parameters } of STEPS) {
    it(`lists ${name} with its parameters and their defaults`, () => {
      const described = parameters.map(parameter => `${parameter.name} (${parameter.default})`).join(', ');
      assert.ok(text.includes(`\n| \`${name}\` | ${described}${described === '' ? '' : ' '}|`));
    });
  }

  it('shows only orders that are accepted', () => {
    for (const [, order] of text.matchAll(/--order (\S+)\n/g)) parseOrder(order!);
    for (const [, order] of text.matchAll(/`([a-z]+:[^`]+)`/g)) parseOrder(order!);
  });
});
