import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { Finding } from '../../src/doctor/finding.js';
import { deflector } from '../helpers/cli.js';
import { checkLeaks } from '../helpers/leaks.js';
import { REPOSITORY } from '../helpers/repository.js';

checkLeaks();

const folder = mkdtempSync(join(tmpdir(), 'deflector-doctor-'));
after(() => rmSync(folder, { recursive: true }));

async function findings(env: Record<string, string>): Promise<{ code: number | null; byId: Map<string, Finding> }> {
  const { code, stdout } = await deflector(['doctor', '--json'], { env });
  const report: { schema: string; findings: Finding[] } = JSON.parse(stdout);
  assert.equal(report.schema, 'deflector/doctor@1');
  return { code, byId: new Map(report.findings.map(finding => [finding.id, finding])) };
}

describe('deflector doctor', { concurrency: 2 }, () => {
  it('says for each part whether it works, and what to do where it does not', async () => {
    const { code, stdout, stderr } = await deflector(['doctor'], { cwd: folder });
    assert.equal(code, 0, stdout);
    assert.equal(stderr, '');
    assert.match(stdout, /^works +Node\.js +\d+\./m);
    assert.match(stdout, /^works +Model efficientnet-lite0 +bundled, SHA-256 6f690dd22f19 as recorded/m);
    assert.match(stdout, /^works +ONNX Runtime, CPU +efficientnet-lite0 runs, /m);
    assert.match(stdout, /^not configured +Redis +DEFLECTOR_REDIS_URL is not set\n +-> /m);
    assert.match(stdout, /\nReady: everything that `deflector run` needs works\.\n$/);
    for (const line of stdout.split('\n').filter(text => text.startsWith('does not work'))) {
      assert.doesNotMatch(line, /undefined|\[object/, line);
    }
  });

  it('ends with exit code 3 where something that `run` needs does not work', async () => {
    const { code, byId } = await findings({ DEFLECTOR_RUNS: '0' });
    assert.equal(code, 3);
    const settings = byId.get('settings');
    assert.equal(settings?.status, 'does not work');
    assert.equal(settings?.detail, 'Expected an integer from 1 to 1000 for DEFLECTOR_RUNS but received "0"');
    assert.equal(byId.get('onnxruntime-cpu')?.status, 'works');
  });

  it('finds mistyped variables and changed models; a model that `run` does not use leaves the exit code', async () => {
    const added = join(folder, 'models', 'changed');
    mkdirSync(join(added, 'onnx'), { recursive: true });
    cpSync(join(REPOSITORY, 'models', 'efficientnet-lite0'), added, { recursive: true });
    const network = readFileSync(join(added, 'onnx', 'model.onnx'));
    network[network.length >> 1]! ^= 1;
    writeFileSync(join(added, 'onnx', 'model.onnx'), network);
    const models = { DEFLECTOR_MODELS: join(folder, 'models') };
    const { code, byId } = await findings(models);
    assert.equal(code, 0);
    assert.equal(byId.get('model-changed')?.status, 'does not work');
    assert.match(byId.get('model-changed')?.detail ?? '', /SHA-256/);
    const used = await findings({ ...models, DEFLECTOR_MODEL: 'changed', DEFLECTOR_THREAD: '1' });
    assert.equal(used.code, 3);
    assert.equal(used.byId.get('settings')?.detail, 'DEFLECTOR_THREAD is no setting; DEFLECTOR_THREADS is');
    assert.equal(used.byId.get('onnxruntime-cpu')?.status, 'does not work');
  });
});
