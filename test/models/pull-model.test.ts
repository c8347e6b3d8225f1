import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { type CatalogueEntry, fileOf, readCatalogue } from '../../src/models/catalogue.js';
import { CATALOGUE_KEY } from '../../src/models/catalogue-key.js';
import { type PullOptions, pullModel } from '../../src/models/pull-model.js';
import { openModel } from '../../src/models/registry.js';
import { deflector } from '../helpers/cli.js';
import { serveFiles } from '../helpers/file-server.js';
import { filesBelow, temporaryFolder } from '../helpers/files.js';
import { checkLeaks } from '../helpers/leaks.js';
import { fromRoot } from '../helpers/root.js';
import { SMALL_NETWORK } from './folders.js';

checkLeaks();

/** The network of the bundled model stands for those that the project's catalogue names; a small one where any will do. */
const NETWORK = await readFile(fromRoot('models/efficientnet-lite0/onnx/model.onnx'));
const KEYS = generateKeyPairSync('ed25519');
const PATIENCE = { stall: 10_000, pause: 1, tries: 3 };

type Entry = { -readonly [K in keyof CatalogueEntry]: CatalogueEntry[K] };

function entryOf(address: string, changes: Partial<Entry> = {}): Entry {
  return {
    ...{ name: 'lite', summary: 'a network', address, licence: 'Apache-2.0', card: 'What it is.' },
    ...{ sha256: createHash('sha256').update(NETWORK).digest('hex'), bytes: NETWORK.length },
    input: { width: 224, height: 224, layout: 'nchw' },
    preprocessing: {
      ...{ fit: 'resize-then-crop', crop: 0.875, interpolation: 'bilinear', channels: 'rgb' },
      ...{ mean: [0.498, 0.498, 0.498], std: [0.502, 0.502, 0.502] },
    },
    labels: 'imagenet-1k',
    ...changes,
  };
}

const SMALL: Partial<Entry> = {
  ...{ sha256: createHash('sha256').update(SMALL_NETWORK).digest('hex'), bytes: SMALL_NETWORK.length },
  ...{ input: { width: 8, height: 8, layout: 'nchw' }, labels: ['a', 'b', 'c', 'd', 'e'] },
};

/** The same with a small network. */
function smallScene(t: TestContext, changes: Partial<Entry> = {}, file: Uint8Array = SMALL_NETWORK) {
  return scene(t, { ...SMALL, ...changes }, file);
}

/** A server with a network and a catalogue of it, and a place for what is pulled. */
async function scene(t: TestContext, changes: Partial<Entry> = {}, file: Uint8Array = NETWORK) {
  const root = await temporaryFolder(t);
  const server = await serveFiles(t, { '/files/net.onnx': file, '/mirror/net.onnx': file });
  const catalogue = join(root, 'catalogue.json');
  const key = join(root, 'key.pem');
  const writeCatalogue = async (entries: readonly unknown[], by: KeyObject = KEYS.privateKey) => {
    const bytes = Buffer.from(JSON.stringify({ schema: 'deflector/catalogue@1', models: entries }));
    await writeFile(catalogue, bytes);
    await writeFile(`${catalogue}.sig`, sign(null, bytes, by).toString('base64'));
    return bytes;
  };
  const entry = entryOf(`${server.url}/files/net.onnx`, changes);
  await writeCatalogue([entry]);
  await writeFile(key, KEYS.publicKey.export({ type: 'spki', format: 'pem' }));
  const env = { DEFLECTOR_MODELS: join(root, 'models'), XDG_CACHE_HOME: join(root, 'cache') };
  const options: PullOptions = { catalogue, key, env, patience: PATIENCE };
  return { root, server, entry, catalogue, key, env, options, writeCatalogue };
}

describe('pulling a model', () => {
  it('makes it ready for use, with its card and its labels', async t => {
    const { options, entry, env, server } = await scene(t);
    const pulled = await pullModel('lite', options);
    assert.deepEqual([pulled.name, pulled.sha256, pulled.from], ['lite', entry.sha256, 'network']);
    assert.ok(pulled.checks.every(check => check.outcome === 'pass'));
    const model = await openModel('lite', env);
    const bundled = await openModel('efficientnet-lite0');
    assert.deepEqual([model.recorded, model.identity.sha256], [true, bundled.identity.sha256]);
    assert.deepEqual(model.labels, bundled.labels);
    const { fit, resizeShortest, interpolation, mean } = model.preprocessing;
    assert.deepEqual([fit, resizeShortest, interpolation], ['resize-then-crop', 256, 'bilinear']);
    assert.ok(Math.abs(mean[0] - 0.498) < 1e-9);
    const card = await readFile(join(pulled.folder, 'README.md'), 'utf8');
    for (const part of ['What it is.', 'Licence: Apache-2.0', entry.sha256, entry.address]) {
      assert.ok(card.includes(part), part);
    }
    assert.deepEqual(server.requests, ['/files/net.onnx']);
    // Nothing half made is left.
    assert.deepEqual(await readdir(env.DEFLECTOR_MODELS), ['lite']);
    assert.deepEqual(await readdir(join(env.XDG_CACHE_HOME, 'deflector/models')), [`${entry.sha256}.onnx`]);
  });

  it('comes through cut connections', async t => {
    const { options, server } = await scene(t);
    server.mischief.push({ cutAfter: 3_000_000 }, { status: 503 }, { cutAfter: 2_000_000 });
    await pullModel('lite', options);
    assert.equal(server.requests.length, 4);
    assert.match(server.requests[3]!, /bytes=\d{6,}-/);
  });

  it('is done once', async t => {
    const { options, server } = await smallScene(t);
    await pullModel('lite', options);
    assert.equal((await pullModel('lite', options)).from, 'present');
    assert.equal(server.requests.length, 1);
  });

  it('needs no network for what the cache holds, and says where it would', async t => {
    const { options, server, env, root } = await smallScene(t);
    await assert.rejects(pullModel('lite', { ...options, offline: true }), {
      code: 'MODEL_NOT_FOUND',
      message: /cache does not hold lite/,
    });
    await pullModel('lite', options);
    await server.close();
    await rm(env.DEFLECTOR_MODELS, { recursive: true });
    assert.equal((await pullModel('lite', { ...options, offline: true })).from, 'cache');
    const [cached] = await filesBelow(join(root, 'cache'));
    await writeFile(cached!, 'broken');
    await rm(env.DEFLECTOR_MODELS, { recursive: true });
    await assert.rejects(pullModel('lite', { ...options, offline: true }), { code: 'MODEL_NOT_FOUND' });
  });

  it('takes the files of a mirror by their names', async t => {
    const { options, server } = await smallScene(t, { address: 'https://nowhere.invalid/deep/net.onnx?x=1' });
    await pullModel('lite', { ...options, mirror: `${server.url}/mirror` });
    assert.deepEqual(server.requests, ['/mirror/net.onnx']);
    await assert.rejects(pullModel('lite', { ...options, mirror: 'http://mirror.example.org' }), {
      code: 'SETTINGS_INVALID',
      message: /https address, or http on this machine for --mirror/,
    });
  });

  it('refuses a file that is not the one of the catalogue, and keeps nothing of it', async t => {
    const forged = Uint8Array.from(SMALL_NETWORK);
    forged[forged.length >> 1]! ^= 1;
    const { options, root } = await smallScene(t, {}, forged);
    await assert.rejects(pullModel('lite', options), { code: 'MODEL_DIGEST_MISMATCH' });
    assert.deepEqual(
      (await filesBelow(root)).map(path => path.slice(root.length)),
      ['/catalogue.json', '/catalogue.json.sig', '/key.pem'],
    );
  });

  it('refuses a network that is not what its entry says', async t => {
    const { options, env } = await smallScene(t, { input: { width: 16, height: 16, layout: 'nchw' } });
    await assert.rejects(pullModel('lite', options), { code: 'MODEL_INVALID', message: /8x8.*16x16/ });
    const other = await smallScene(t, { input: { width: 8, height: 8, layout: 'nhwc' } });
    await assert.rejects(pullModel('lite', other.options), {
      code: 'MODEL_INVALID',
      message: /takes nhwc.*takes nchw/,
    });
    assert.deepEqual(await readdir(env.DEFLECTOR_MODELS).catch(() => []), []);
  });

  it('replaces another model of the name only where it is told to', async t => {
    const { options, server, entry, writeCatalogue } = await smallScene(t);
    await pullModel('lite', options);
    await writeCatalogue([{ ...entry, sha256: '1'.repeat(64) }]);
    await assert.rejects(pullModel('lite', options), { code: 'SETTINGS_INVALID', message: /--overwrite replaces it/ });
    assert.equal(server.requests.length, 1);
    await writeCatalogue([entry]);
    assert.equal((await pullModel('lite', { ...options, overwrite: true })).from, 'cache');
    assert.deepEqual((await openModel('lite', options.env)).labels[4]?.name, 'e');
  });
});

describe('a catalogue', () => {
  it('is not read where its signature is wrong, absent, or by another key', async t => {
    const { options, catalogue, writeCatalogue, entry } = await smallScene(t);
    const text = await readFile(catalogue, 'utf8');
    await writeFile(catalogue, text.replace('Apache-2.0', 'Apache-2.1'));
    const refused = { code: 'CATALOGUE_INVALID', message: /its signature is not one by the key/ };
    await assert.rejects(readCatalogue(options), refused);
    await writeCatalogue([entry], generateKeyPairSync('ed25519').privateKey);
    await assert.rejects(pullModel('lite', options), refused);
    for (const signature of ['', 'x', Buffer.alloc(64).toString('base64')]) {
      await writeFile(`${catalogue}.sig`, signature);
      await assert.rejects(readCatalogue(options), refused);
    }
    await rm(`${catalogue}.sig`);
    await assert.rejects(readCatalogue(options), { code: 'CATALOGUE_INVALID', message: /catalogue\.json\.sig/ });
    await assert.rejects(readCatalogue({ catalogue }), { code: 'CATALOGUE_INVALID' });
  });

  it('needs an Ed25519 key', async t => {
    const { options, key, root } = await smallScene(t);
    const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'pem' });
    for (const pem of [curve, 'no key', '']) {
      await writeFile(key, pem);
      await assert.rejects(readCatalogue(options), { code: 'SETTINGS_INVALID', message: /for --catalogue-key/ });
    }
    await assert.rejects(readCatalogue({ ...options, key: join(root, 'absent') }), { code: 'SETTINGS_INVALID' });
  });

  for (const [what, change, message] of [
    ['an address without TLS', { address: 'http://example.org/net.onnx' }, /models\.0\.address: https/],
    ['a name that leads out of the folder', { name: '../x' }, /models\.0\.name/],
    ['a digest that is none', { sha256: 'abc' }, /models\.0\.sha256/],
    ['a field that nobody reads', { script: 'rm' }, /models\.0/],
  ] as const) {
    it(`is refused with ${what}, though its signature is good`, async t => {
      const { options, entry, writeCatalogue } = await smallScene(t);
      await writeCatalogue([{ ...entry, ...change }]);
      await assert.rejects(readCatalogue(options), { code: 'CATALOGUE_INVALID', message });
    });
  }

  it('has each name and each file once', async t => {
    const { options, entry, writeCatalogue } = await smallScene(t);
    await writeCatalogue([entry, { ...entry, address: 'https://a.org/other.onnx' }]);
    await assert.rejects(readCatalogue(options), { message: /two models have the name or the file lite/ });
    await writeCatalogue([entry, { ...entry, name: 'other' }]);
    await assert.rejects(readCatalogue(options), { message: /the file net\.onnx/ });
  });

  it('may lie behind an address, with its signature beside it', async t => {
    const { options, entry, writeCatalogue, catalogue } = await smallScene(t);
    const bytes = await writeCatalogue([entry]);
    const signature = await readFile(`${catalogue}.sig`);
    const server = await serveFiles(t, { '/c.json': bytes, '/c.json.sig': signature });
    const entries = await readCatalogue({ ...options, catalogue: `${server.url}/c.json` });
    assert.deepEqual(entries, [entry]);
    await assert.rejects(readCatalogue({ ...options, catalogue: `${server.url}/d.json` }), {
      code: 'DOWNLOAD_FAILED',
      message: /answers 404/,
    });
    await assert.rejects(readCatalogue({ ...options, catalogue: 'http://example.org/c.json' }), {
      code: 'SETTINGS_INVALID',
    });
  });
});

describe("the project's catalogue", () => {
  it('is signed by the key in the code, over its bytes', async () => {
    const bytes = await readFile(fromRoot('models/catalogue.json'));
    const signature = await readFile(fromRoot('models/catalogue.json.sig'), 'utf8');
    assert.ok(verify(null, bytes, createPublicKey(CATALOGUE_KEY), Buffer.from(signature, 'base64')));
  });

  it('names the networks that are promised, each with its licence and a card', async () => {
    const entries = await readCatalogue();
    const names = entries.map(entry => entry.name);
    for (const name of ['resnet-50', 'vgg-19', 'inception-v3']) assert.ok(names.includes(name), name);
    for (const entry of entries) {
      assert.match(entry.licence, /^(Apache-2\.0|MIT|BSD-3-Clause)$/);
      assert.match(entry.address, /^https:\/\//);
      assert.match(fileOf(entry), /\.onnx$/);
    }
  });
});

describe('deflector models pull', () => {
  it('lists the catalogue', async () => {
    const { code, stdout } = await deflector(['models', 'pull', '--list']);
    assert.equal(code, 0);
    assert.match(stdout, /^resnet-50 +102\.6 MB +224x224 +Apache-2\.0 +ResNet-50/m);
  });

  it('pulls a model and says what it found, and what it cannot find', async t => {
    const { env, catalogue, key } = await scene(t);
    const settings = { ...env, DEFLECTOR_CATALOGUE: catalogue, DEFLECTOR_CATALOGUE_KEY: key };
    const { code, stdout, stderr } = await deflector(['models', 'pull', 'lite'], { env: settings });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^pass {2}activation maps.*\nAdded lite at .*; licence Apache-2\.0\n$/m);
    assert.match(stderr, /lite: 9\.3 MB of 9\.3 MB \(100 %\)/);
    const again = await deflector(['models', 'pull', 'lite', '--json'], { env: settings });
    assert.equal(JSON.parse(again.stdout).from, 'present');
    const wrong = await deflector(['models', 'pull', 'light'], { env: settings });
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /MODEL_NOT_FOUND: There is no "light" in the catalogue; there are lite/);
  });

  it('ends with exit code 3 where the network is needed and not there', async t => {
    const { env, catalogue, key, server } = await smallScene(t);
    await server.close();
    server.requests.length = 0;
    const settings = { ...env, DEFLECTOR_CATALOGUE: `${server.url}/c.json`, DEFLECTOR_CATALOGUE_KEY: key };
    const { code, stderr } = await deflector(['models', 'pull', 'lite'], { env: settings });
    assert.equal(code, 3, catalogue);
    assert.match(stderr, /DOWNLOAD_FAILED.*ECONNREFUSED/);
  });
});
