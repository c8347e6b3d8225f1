import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, describe, it } from 'node:test';
import { Command } from 'commander';
import { addDefenceOptions, addJobOptions, settingsFromCommand } from '../../src/cli/options.js';
import { printFlags, type ResolvedOptions } from '../../src/config/settings.js';
import { flagOf, JOB_SETTING_NAMES } from '../../src/config/table.js';

const folder = mkdtempSync(join(tmpdir(), 'deflector-options-'));
after(() => rmSync(folder, { recursive: true }));
afterEach(() => {
  for (const name of ['DEFLECTOR_RUNS', 'DEFLECTOR_CONFIG']) delete process.env[name];
});

function command(): Command {
  return addJobOptions(addDefenceOptions(new Command('sample')))
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
}

async function settings(...args: string[]): Promise<ResolvedOptions> {
  const parsed = command();
  parsed.parse(args, { from: 'user' });
  return settingsFromCommand(parsed);
}

describe('the options of a command', () => {
  it('are all settings of the table, each under its flag, with its default', () => {
    const help = command().helpInformation();
    for (const name of JOB_SETTING_NAMES) assert.match(help, new RegExp(`${flagOf(name)}[ \\n]`), name);
    assert.match(help, /--map-classes <n> .*\(default:\s+5\)/s);
    for (const heading of ['Defence settings:', 'Model and runtime:', 'Limits on images:', 'Job:', 'Output:']) {
      assert.ok(help.includes(`\n${heading}\n`), heading);
    }
  });

  it('become settings: flag before environment before file', async () => {
    const file = join(folder, 'mine.yaml');
    writeFileSync(file, 'runs: 4\nwindow: 5\ndeflections: 7\n');
    process.env.DEFLECTOR_CONFIG = file;
    process.env.DEFLECTOR_RUNS = '3';
    const { defence } = await settings('--window', '6', '--early-stop=risk:0.01', '--order', 'denoise,deflect');
    assert.deepEqual([defence.runs, defence.window, defence.deflections], [3, 6, 7]);
    assert.deepEqual(defence.earlyStop, { kind: 'risk', probability: 0.01 });
    assert.deepEqual(defence.order, ['denoise', 'deflect']);
  });

  it('take their own printed form, even where a text begins with a dash', async () => {
    const first = await settings('--seed=-x y\n', '--sigma', 'auto', '--quiet', '--localizer', 'other');
    assert.deepEqual(await settings(...printFlags(first)), first);
  });

  it("follow the recipe that the model's folder recommends, if the user names none", async () => {
    const asked: string[] = [];
    const recommend = async (model: string) => {
      asked.push(model);
      return { recipe: 'official' };
    };
    const parsed = command().parse(['--model', 'm', '--runs', '5'], { from: 'user' });
    const resolved = await settingsFromCommand(parsed, recommend);
    assert.deepEqual([resolved.recipe, resolved.defence.deflections, resolved.defence.runs], ['official', 200, 5]);
    assert.deepEqual(asked, ['m']);
    const named = command().parse(['--recipe', 'paper'], { from: 'user' });
    assert.equal((await settingsFromCommand(named, recommend)).recipe, 'paper');
  });

  it('refuse a value out of its range', async () => {
    await assert.rejects(settings('--runs', '0'), {
      message: 'Expected an integer from 1 to 1000 for --runs but received "0"',
    });
  });
});
