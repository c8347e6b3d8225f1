import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type JsonLinesSink, openJsonLinesSink, readVerdicts } from '../../src/sinks/json-lines-sink.js';
import { formatVerdict } from '../../src/sinks/verdict-json.js';
import { withCode } from '../conformance/object-store.js';
import { resultSinkConformance } from '../conformance/result-sink.js';
import { collect, temporaryFolder } from '../helpers/files.js';
import { errorVerdict, okVerdict } from '../helpers/verdicts.js';

const module = JSON.stringify(new URL('../../src/sinks/json-lines-sink.js', import.meta.url).href);
const helper = JSON.stringify(new URL('../helpers/verdicts.js', import.meta.url).href);

resultSinkConformance('JsonLinesSink', async t => {
  const path = join(await temporaryFolder(t), 'results.jsonl');
  return {
    open: fresh => openJsonLinesSink(path, { existing: fresh ? 'refuse' : 'resume' }),
    durable: () => collect(readVerdicts(path)),
  };
});

async function keysOf(sink: JsonLinesSink): Promise<string[]> {
  return (await collect(sink.resumed())).map(verdict => verdict.key);
}

describe('JsonLinesSink', () => {
  it('takes a file without a line for a new one: a job killed at its start leaves such', async t => {
    const path = join(await temporaryFolder(t), 'results.jsonl');
    for (let attempt = 0; attempt < 2; attempt++) {
      await (await openJsonLinesSink(path, { existing: 'refuse' })).close();
    }
  });

  it('is opened over an older file only when told what to do with it', async t => {
    const path = join(await temporaryFolder(t), 'out', 'results.jsonl');
    const first = await openJsonLinesSink(path, { existing: 'refuse' });
    await first.write([okVerdict('a.jpg')]);
    await first.close();
    await assert.rejects(openJsonLinesSink(path, { existing: 'refuse' }), withCode('OUTPUT_EXISTS'));
    const second = await openJsonLinesSink(path, { existing: 'resume' });
    assert.deepEqual(await keysOf(second), ['a.jpg']);
    await second.close();
    const third = await openJsonLinesSink(path, { existing: 'overwrite' });
    assert.deepEqual(await keysOf(third), []);
    await third.close();
    assert.equal((await stat(path)).size, 0);
  });

  it('goes on at any byte where a crash cut the file: the lines that are whole stay', async t => {
    const folder = await temporaryFolder(t);
    const verdicts = ['a\nb.jpg', 'ä.jpg', '\u{1F431}.jpg'].map(key => okVerdict(key));
    const whole = `${verdicts.map(formatVerdict).join('\n')}\n`;
    const bytes = Buffer.from(whole);
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length), async cut => {
        const path = join(folder, 'results.jsonl');
        await writeFile(path, bytes.subarray(0, cut));
        const sink = await openJsonLinesSink(path, { existing: 'resume' });
        const kept = await keysOf(sink);
        assert.deepEqual(kept, verdicts.map(({ key }) => key).slice(0, kept.length));
        await sink.write(verdicts.slice(kept.length));
        await sink.close();
        assert.equal(await readFile(path, 'utf8'), whole);
      }),
      { numRuns: 40 },
    );
  });

  it('cuts off a torn line that is longer than what is read at once', async t => {
    const path = join(await temporaryFolder(t), 'results.jsonl');
    await writeFile(path, `${formatVerdict(okVerdict('a.jpg'))}\n{"key":"${'x'.repeat(300_000)}`);
    const sink = await openJsonLinesSink(path, { existing: 'resume' });
    assert.deepEqual(await keysOf(sink), ['a.jpg']);
    await sink.close();
  });

  it('gives back the old lines while new ones are being written', async t => {
    const path = join(await temporaryFolder(t), 'results.jsonl');
    await writeFile(path, `${formatVerdict(okVerdict('a.jpg'))}\n`);
    const sink = await openJsonLinesSink(path, { existing: 'resume' });
    await sink.write([okVerdict('b.jpg')]);
    assert.deepEqual(await keysOf(sink), ['a.jpg']);
    await sink.close();
  });

  for (const [what, line] of [
    ['no JSON', 'what?'],
    ['another schema', formatVerdict(okVerdict('b.jpg')).replace('verdict@1', 'verdict@9')],
    ['a field more', formatVerdict(okVerdict('b.jpg')).replace('"runs"', '"more":1,"runs"')],
    ['a field less', formatVerdict(okVerdict('b.jpg')).replace('"seed":"1",', '')],
    ['an unknown error code', formatVerdict(errorVerdict('b.jpg')).replace('IMAGE_TRUNCATED', 'IMAGE_UGLY')],
    ['nothing', ''],
    ['too much', 'x'.repeat(1_100_000)],
  ] as const) {
    it(`does not go on behind a line that holds ${what}`, async t => {
      const path = join(await temporaryFolder(t), 'results.jsonl');
      await writeFile(path, `${formatVerdict(okVerdict('a.jpg'))}\n${line}\n`);
      const sink = await openJsonLinesSink(path, { existing: 'resume' });
      await assert.rejects(keysOf(sink), withCode('RESULTS_INVALID'));
      await assert.rejects(collect(readVerdicts(path)), /results\.jsonl, line 2,/);
      await sink.close();
    });
  }

  it('is read strictly: a last line without its end is no result', async t => {
    const path = join(await temporaryFolder(t), 'results.jsonl');
    await writeFile(path, formatVerdict(okVerdict('a.jpg')));
    await assert.rejects(collect(readVerdicts(path)), withCode('RESULTS_INVALID'));
  });

  it('says that the disk is full, ends with a whole line, and goes on when there is room', async t => {
    const path = join(await temporaryFolder(t), 'results.jsonl');
    const script = `
      import { openJsonLinesSink } from ${module};
      import { okVerdict } from ${helper};
      const sink = await openJsonLinesSink(${JSON.stringify(path)}, { existing: 'refuse' });
      const codes = [];
      for (let i = 0; i < 30; i++) await sink.write([okVerdict(i + '.jpg')]).catch(error => codes.push(i + error.code));
      console.log(codes[0], new Set(codes.map(code => code.replace(/\\d+/, ''))).size, codes.length);
      await sink.close();
    `;
    // A limit on the size of files (8 KiB) stands in for a full disk: both take a part of a write and refuse the rest.
    const command = 'ulimit -f 8 && exec "$0" --input-type=module -e "$1"';
    const output = execFileSync('bash', ['-c', command, process.execPath, script]).toString();
    const size = Buffer.byteLength(formatVerdict(okVerdict('10.jpg'))) + 1;
    const fitting = Math.floor((8192 + 10) / size);
    assert.equal(output, `${fitting}STORE_FULL 1 ${30 - fitting}\n`);
    assert.equal((await collect(readVerdicts(path))).length, fitting);
    const sink = await openJsonLinesSink(path, { existing: 'resume' });
    await sink.write([okVerdict('more.jpg')]);
    await sink.close();
    assert.equal((await collect(readVerdicts(path))).length, fitting + 1);
  });

  it('keeps what it acknowledged when it is killed', async t => {
    const path = join(await temporaryFolder(t), 'results.jsonl');
    const script = `
      import { openJsonLinesSink } from ${module};
      import { okVerdict } from ${helper};
      const sink = await openJsonLinesSink(${JSON.stringify(path)}, { existing: 'refuse' });
      for (let i = 0; ; i++) { await sink.write([okVerdict(i + '.jpg')]); process.stdout.write(i + '\\n'); }
    `;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.on('data', data => {
      output += data;
      if (output.length > 100) child.kill('SIGKILL');
    });
    await once(child, 'close');
    const acknowledged = output.split('\n').length - 1;
    assert.ok(existsSync(`${path}.lock`));
    const sink = await openJsonLinesSink(path, { existing: 'resume' });
    const keys = await keysOf(sink);
    assert.ok(keys.length >= acknowledged, `${keys.length} of ${acknowledged}`);
    assert.deepEqual(
      keys,
      keys.map((_, i) => `${i}.jpg`),
    );
    await sink.close();
    assert.ok(!existsSync(`${path}.lock`));
  });
});

describe('The lock of a results file', () => {
  it('keeps a second writer out, of this process or another, until it is released', async t => {
    const path = join(await temporaryFolder(t), 'results.jsonl');
    const sink = await openJsonLinesSink(path, { existing: 'refuse' });
    await assert.rejects(openJsonLinesSink(path, { existing: 'resume' }), withCode('OUTPUT_LOCKED'));
    const script = `
      import { openJsonLinesSink } from ${module};
      await openJsonLinesSink(${JSON.stringify(path)}, { existing: 'overwrite' }).catch(error => console.log(error.code));
    `;
    const elsewhere = () => execFileSync(process.execPath, ['--input-type=module', '-e', script]).toString();
    assert.equal(elsewhere(), 'OUTPUT_LOCKED\n');
    await sink.close();
    assert.equal(elsewhere(), '');
  });

  const dead = 2 ** 22 + 1; // above the largest process number that Linux gives (proc(5), pid_max)
  for (const [what, text, free] of [
    ['a process that is gone', JSON.stringify({ pid: dead, host: hostname(), started: '1' }), true],
    [
      'a predecessor with this process number',
      JSON.stringify({ pid: process.pid, host: hostname(), started: '1' }),
      true,
    ],
    [
      'a process whose number another one has now',
      JSON.stringify({ pid: process.ppid, host: hostname(), started: '1' }),
      true,
    ],
    ['a crash before the lock was written', '', true],
    ['a living process', JSON.stringify({ pid: process.ppid, host: hostname(), started: '' }), false],
    ['another host', JSON.stringify({ pid: dead, host: `not-${hostname()}`, started: '1' }), false],
  ] as const) {
    it(`${free ? 'is taken over from' : 'is left to'} ${what}`, async t => {
      const path = join(await temporaryFolder(t), 'results.jsonl');
      await writeFile(`${path}.lock`, text === '' ? '' : `${text}\n`);
      const opening = openJsonLinesSink(path, { existing: 'refuse' });
      if (free) await (await opening).close();
      else await assert.rejects(opening, withCode('OUTPUT_LOCKED'));
    });
  }
});

describe('formatVerdict', () => {
  it('writes the fields of the contract in its order', () => {
    assert.equal(
      formatVerdict(
        okVerdict('cat.jpg', { agreement: 9 / 10, probability: 0.123456789, ms: { fetch: 0.149, defend: 12.35 } }),
      ),
      `{"schema":"deflector/verdict@1","key":"cat.jpg","sha256":"${'ab'.repeat(32)}","status":"ok","label":{"index":281,"id":"n02123045","name":"tabby"},"votes":[{"index":281,"count":9},{"index":282,"count":1}],"runs":10,"runsExecuted":10,"agreement":0.9,"probability":0.123457,"undefended":{"index":282,"id":"n02123159","name":"tiger cat","probability":0.41},"suspicious":true,"seed":"1","model":{"name":"lite0","sha256":"${'ab'.repeat(32)}"},"defence":{"runs":10,"sigma":0.04,"levels":null},"ms":{"fetch":0.1,"defend":12.3}}`,
    );
  });

  it('gives the same bytes whatever the order of the fields it is given', () => {
    const verdict = okVerdict('a.jpg');
    const shuffled = Object.fromEntries(Object.entries(verdict).reverse()) as unknown as typeof verdict;
    assert.equal(formatVerdict(shuffled), formatVerdict(verdict));
  });

  it('stays one line for any key, and is read back as it was', async t => {
    const path = join(await temporaryFolder(t), 'results.jsonl');
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), async key => {
        const line = formatVerdict(errorVerdict(key));
        assert.ok(!line.includes('\n'));
        await writeFile(path, `${line}\n`);
        assert.deepEqual(await collect(readVerdicts(path)), [errorVerdict(key)]);
      }),
      { numRuns: 50 },
    );
  });

  it('refuses a number that JSON cannot hold', () => {
    assert.throws(() => formatVerdict(okVerdict('a.jpg', { probability: Number.NaN })), withCode('INTERNAL'));
  });
});
