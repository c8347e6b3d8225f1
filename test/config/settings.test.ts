import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { findRecipe, MODEL_RECIPE, RECIPE_NAMES } from '../../src/config/recipes.js';
import {
  printDefence,
  printFlags,
  printSettings,
  type ResolvedOptions,
  resolveOptions,
  resolveSettings,
  type SettingSources,
} from '../../src/config/settings.js';
import { SETTING_NAMES, SETTINGS, type SettingName, variableOf } from '../../src/config/table.js';
import { PAPER_SETTINGS } from '../../src/defense/settings.js';
import { DeflectorError } from '../../src/errors.js';
import { RUNTIMES } from '../../src/models/runtimes.js';

function refusal(sources: SettingSources): string {
  try {
    resolveSettings(sources);
  } catch (error) {
    assert.ok(error instanceof DeflectorError);
    assert.equal(error.code, 'SETTINGS_INVALID');
    return error.message;
  }
  return assert.fail('the settings were taken');
}

/** What a shell would do with printed flags. */
function parseFlags(flags: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    flags.map(flag => {
      const [, name = '', value] = /^--([^=]+)(?:=(.*))?$/s.exec(flag) ?? [];
      return [name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()), value ?? true];
    }),
  );
}

/** As messages list them. */
const RECIPES = [...RECIPE_NAMES, MODEL_RECIPE].join(', ');

const decimal = (min: number, max: number) => fc.double({ min, max, noNaN: true }).map(x => x + 0);
const name = fc.string({ minLength: 1 }).filter(text => text.trim() !== '');

/** An integer in the range that the setting's own message names. */
function integerOf(setting: SettingName): fc.Arbitrary<number> {
  const [, min, max] = /an integer from (\d+) to (\d+)/.exec(SETTINGS[setting].type.expected) ?? assert.fail(setting);
  return fc.integer({ min: Number(min), max: Number(max) });
}

/** Any settings that a user may give, typed or as text. */
const userOptions = fc
  .record(
    {
      recipe: fc.constantFrom(...RECIPE_NAMES),
      runs: integerOf('runs'),
      deflections: integerOf('deflections').map(String),
      window: integerOf('window'),
      sigma: fc.oneof(decimal(0, 1), fc.constant('auto'), fc.constant(null)),
      strength: fc.oneof(
        fc.constantFrom('1', '0.5-2', '1e-2-3'),
        decimal(0, 100),
        fc.tuple(decimal(0, 50), decimal(50, 100)),
      ),
      spin: integerOf('spin'),
      spare: decimal(0, 1),
      wavelet: fc.constantFrom('haar', 'db1', 'db2', 'sym4'),
      levels: fc.oneof(integerOf('levels'), fc.constant('auto')),
      shrink: fc.constantFrom('bayes', 'visu', 'sure', 'none'),
      threshold: fc.constantFrom('soft', 'hard'),
      variant: fc.constantFrom('legacy', 'modern'),
      deflection: fc.constantFrom('paper', 'official', 'none'),
      sampling: fc.constantFrom('uniform', 'gaussian'),
      replace: fc.constantFrom('random', 'min', 'max', 'mean'),
      map: fc.constantFrom('rcam', 'cam', 'uniform', 'official'),
      mapClasses: integerOf('mapClasses'),
      vote: fc.constantFrom('majority', 'mean', 'pool'),
      trust: decimal(0, 10),
      earlyStop: fc.oneof(
        fc.constantFrom('exact', 'off'),
        decimal(1e-12, 0.4999).map(probability => `risk:${probability}`),
        decimal(1e-12, 0.4999).map(probability => ({ kind: 'risk', probability })),
      ),
      seed: name,
      at: fc.constantFrom('model', 'original'),
      order: fc.oneof(
        fc.constantFrom('deflect', 'none', 'denoise, deflect', 'jpeg,deflect,denoise', 'crop,denoise,crop:0.40'),
        fc.array(fc.constantFrom('deflect', 'denoise', 'jpeg', 'bits:05', 'nlm', 'bilateral:3-1-auto'), {
          maxLength: 5,
        }),
      ),
      model: name,
      voters: fc.oneof(
        fc.array(
          name.filter(text => !text.includes(',') && text === text.trim()),
          { minLength: 1, maxLength: 3 },
        ),
        fc.constant(null),
      ),
      localizer: fc.oneof(name, fc.constant(null)),
      graph: fc.constantFrom('auto', 'on', 'half', 'off'),
      threads: integerOf('threads'),
      batch: integerOf('batch'),
      maxBytes: integerOf('maxBytes'),
      maxPixels: integerOf('maxPixels'),
      imageTimeout: integerOf('imageTimeout'),
      emit: fc.constantFrom('none', 'defended'),
      gallery: integerOf('gallery'),
      maxErrors: integerOf('maxErrors'),
      quiet: fc.boolean(),
    },
    { requiredKeys: [] },
  )
  .filter(
    ({ vote, earlyStop }) => vote !== 'mean' || earlyStop === 'exact' || earlyStop === 'off' || earlyStop === undefined,
  );

describe('settings', () => {
  it('are those of the paper, sections 8 and 9.1, where nobody says otherwise', () => {
    const { defence, recipe } = resolveSettings({ flags: { seed: 's' } });
    assert.deepEqual(defence, { ...PAPER_SETTINGS, seed: 's' });
    assert.equal(recipe, 'paper');
  });

  it('come from a flag before a variable before the file before the recipe', () => {
    const file = { name: 'deflector.yaml', content: { runs: '4', window: '5', sigma: '0.1' } };
    const env = { DEFLECTOR_RUNS: '3', DEFLECTOR_WINDOW: '6' };
    const { defence } = resolveSettings({ flags: { runs: '2' }, env, file, recipe: { recipe: 'official' } });
    assert.deepEqual(
      [defence.runs, defence.window, defence.sigma, defence.deflections, defence.deflection],
      [2, 6, 0.1, 200, 'official'],
    );
  });

  it('begin from the recipe that the user names rather than the one of the model', () => {
    const sources = { env: { DEFLECTOR_RECIPE: 'paper' }, recipe: { recipe: 'official' } };
    assert.equal(resolveSettings(sources).recipe, 'paper');
    assert.equal(resolveSettings(sources).defence.deflections, 100);
  });

  it("begin from the settings that the model's folder brings along, and are repeated by their printed form without it", () => {
    const settings = { deflections: 4000, order: ['deflect', 'denoise', 'crop:0.9'] };
    const resolved = resolveSettings({ flags: { seed: 's', window: 4 }, recipe: { recipe: 'model', settings } });
    assert.deepEqual(resolved.defence, { ...PAPER_SETTINGS, ...settings, window: 4, seed: 's' });
    assert.deepEqual(resolveSettings({ flags: parseFlags(printFlags(resolved)) }), resolved);
  });

  it('are frozen through and through', () => {
    const resolved = resolveSettings({ flags: { earlyStop: 'risk:0.001', order: 'denoise,deflect' } });
    for (const part of [resolved, resolved.defence, resolved.defence.earlyStop, resolved.defence.order]) {
      assert.ok(Object.isFrozen(part));
    }
  });

  it('print so that their printed form, as flags, as a file or as variables, starts the same run again', () => {
    fc.assert(
      fc.property(userOptions, options => {
        const first: ResolvedOptions = resolveSettings({ flags: options });
        const printed = printSettings(first);
        assert.deepEqual(resolveSettings({ flags: parseFlags(printFlags(first)) }), first);
        assert.deepEqual(resolveSettings({ file: { name: 'f', content: printed } }), first);
        const env = Object.fromEntries(
          Object.entries(printed).map(([key, value]) => [variableOf(key), String(value)] as const),
        );
        assert.deepEqual(resolveSettings({ env }), first);
        assert.deepEqual(JSON.parse(JSON.stringify(printed)), printed);
        assert.deepEqual(resolveOptions(printDefence(first.defence)).defence, first.defence);
      }),
    );
  });

  it('name the steps of an order in full, and say none where there are none', () => {
    const orderOf = (order: unknown) => resolveSettings({ flags: { order } }).defence.order;
    assert.deepEqual(orderOf('jpeg, deflect ,nlm,deflect'), ['jpeg:75', 'deflect', 'nlm:11-3-2', 'deflect']);
    assert.deepEqual(orderOf(['crop:0.40']), ['crop:0.4']);
    assert.deepEqual(orderOf([]), ['none']);
  });

  it('draw a fresh seed of 128 bits where none is given', () => {
    const seeds = [1, 2].map(() => resolveSettings({}).defence.seed);
    for (const seed of seeds) assert.match(seed, /^[0-9a-f]{32}$/);
    assert.notEqual(seeds[0], seeds[1]);
  });

  it('take any text as a seed, and keep leading zeros', () => {
    assert.equal(resolveSettings({ env: { DEFLECTOR_SEED: '007' } }).defence.seed, '007');
    assert.equal(resolveSettings({ flags: { seed: ' ü\n' } }).defence.seed, ' ü\n');
  });

  it('count an empty variable as absent', () => {
    assert.equal(resolveSettings({ env: { DEFLECTOR_RUNS: '' } }).defence.runs, 10);
  });
});

describe('a setting out of its range', () => {
  const cases: readonly (readonly [SettingSources, string])[] = [
    [{ flags: { runs: '0' } }, 'Expected an integer from 1 to 1000 for --runs but received "0"'],
    [{ flags: { runs: '2.5' } }, 'Expected an integer from 1 to 1000 for --runs but received "2.5"'],
    [{ flags: { runs: 'ten' } }, 'Expected an integer from 1 to 1000 for --runs but received "ten"'],
    [
      { env: { DEFLECTOR_SIGMA: '-0.1' } },
      'Expected a number from 0 to 1, or auto for DEFLECTOR_SIGMA but received "-0.1"',
    ],
    [
      { env: { DEFLECTOR_MAP_CLASSES: ' ' } },
      'Expected an integer from 1 to 1000 for DEFLECTOR_MAP_CLASSES but received " "',
    ],
    [
      { file: { name: 'deflector.yaml', content: { shrink: 'baye' } } },
      'Expected one of bayes, visu, sure, none for shrink in deflector.yaml but received "baye"',
    ],
    [
      { flags: { earlyStop: 'risk:0.5' } },
      'Expected exact, off, or risk:P with P above 0 and below 0.5 for --early-stop but received "risk:0.5"',
    ],
    [{ flags: { order: 'jpeg:0' } }, 'Expected an integer from 1 to 100 for --order jpeg quality but received "0"'],
    [
      { env: { DEFLECTOR_ORDER: 'denoise:2' } },
      'Expected no parameters after "denoise" for DEFLECTOR_ORDER but received "denoise:2"',
    ],
    [
      { file: { name: 'deflector.yaml', content: { order: ['deflect', 'crop:2'] } } },
      'Expected a number from 0.01 to 1 for order in deflector.yaml crop share but received "2"',
    ],
    [
      { flags: { order: 'deflect,quilt' } },
      'Expected steps that work on the image alone (quilt needs patches of clean images; see docs/comparators.md) ' +
        'for --order but received "quilt:10"',
    ],
    [
      { flags: { order: [75] } },
      'Expected steps separated by commas: deflect, denoise, or a rival defence as jpeg:75; none for no defence ' +
        'for --order but received a list of 1',
    ],
    [
      { flags: { earlyStop: 'risk:0.1' }, env: { DEFLECTOR_VOTE: 'mean' } },
      'Expected exact or off together with --vote mean for --early-stop but received "risk:0.1"',
    ],
    [{ flags: { seed: '' } }, 'Expected text for --seed but received ""'],
    [{ flags: { quiet: 'yes' } }, 'Expected true or false for --quiet but received "yes"'],
    [{ flags: { recipe: 'papr' } }, `Expected one of ${RECIPES} for --recipe but received "papr"`],
    [{ recipe: { recipe: 'x' } }, `Expected one of ${RECIPES} for the recipe in the model's folder but received "x"`],
    [
      { flags: { recipe: 'model' } },
      'Expected a recipe\'s name, as the model\'s folder has none of its own for --recipe but received "model"',
    ],
    [
      { recipe: { recipe: 'model', settings: { sigma: 7 } } },
      "Expected a number from 0 to 1, or auto for sigma in the recipe in the model's folder but received 7",
    ],
    [
      { recipe: { recipe: 'model', settings: { sigmas: 0.1 } } },
      'Expected names of settings only (did you mean sigma?) for the recipe in the model\'s folder but received "sigmas"',
    ],
    [
      { file: { name: 'deflector.yaml', content: { 'map-clases': '5' } } },
      'Expected names of settings only (did you mean mapClasses?) for deflector.yaml but received "map-clases"',
    ],
    [
      { file: { name: 'deflector.yaml', content: { zzzzzz: '5' } } },
      'Expected names of settings only for deflector.yaml but received "zzzzzz"',
    ],
    [
      { file: { name: 'deflector.yaml', content: ['runs'] } },
      'Expected a mapping of settings for deflector.yaml but received a list of 1',
    ],
  ];
  for (const [sources, message] of cases) {
    it(`is refused: ${message}`, () => assert.equal(refusal(sources), message));
  }

  it('is refused in a program too, under the name that the program used', () => {
    assert.throws(() => resolveOptions({ window: 0 }), {
      message: 'Expected an integer from 1 to 1024 for window but received 0',
    });
    assert.throws(() => resolveOptions({ earlyStop: { kind: 'risk', probability: 1 } }), { code: 'SETTINGS_INVALID' });
    assert.throws(() => resolveOptions({ treads: 2 } as never), {
      message: 'Expected names of settings only (did you mean threads?) for the options but received "treads"',
    });
  });
});

describe('the table of settings', () => {
  it('offers the runtimes that there are, without loading them', () => {
    const { expected } = SETTINGS.runtime.type;
    assert.equal(expected, `one of ${['auto', ...RUNTIMES.map(runtime => runtime.name)].join(', ')}`);
  });

  it('holds every setting of a defence, and recipes hold all but the seed', () => {
    const names = SETTING_NAMES.filter(key => SETTINGS[key].group === 'defence' && key !== 'recipe' && key !== 'seed');
    for (const recipe of RECIPE_NAMES) assert.deepEqual(Object.keys(findRecipe(recipe) ?? {}).sort(), names.sort());
  });

  it('gives each fallback as a value of its own type', () => {
    for (const key of SETTING_NAMES) {
      const { fallback, type } = SETTINGS[key];
      if (fallback !== undefined) assert.notEqual(type.parse(fallback()), undefined, key);
    }
  });
});
