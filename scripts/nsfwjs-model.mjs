// node scripts/nsfwjs-model.mjs VARIANT FOLDER: writes a model of nsfwjs (MIT; mobilenet_v2, mobilenet_v2_mid or
// inception_v3) as a folder that `deflector models add` and `--model` take. Its weights lie inside the npm package, which
// `npm run provide:tensorflow` installs with TensorFlow.js.
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { provideTensorflow } from './lib/tensorflow.mjs';

const [variant = '', folder] = process.argv.slice(2);
const SIDES = { mobilenet_v2: 224, mobilenet_v2_mid: 224, inception_v3: 299 };
const side = SIDES[variant];
if (side === undefined || folder === undefined) {
  console.error(`node scripts/nsfwjs-model.mjs ${Object.keys(SIDES).join('|')} FOLDER`);
  process.exit(2);
}

const packages = process.env.DEFLECTOR_TENSORFLOW || provideTensorflow();
const required = createRequire(join(packages, 'package.json'));
const bundle = name => required(join(packages, 'node_modules/nsfwjs/dist/models', variant, `${name}.min.js`));
const json = value => `${JSON.stringify(value, null, 2)}\n`;

mkdirSync(join(folder, 'tfjs'), { recursive: true });
const model = bundle('model');
writeFileSync(join(folder, 'tfjs', 'model.json'), JSON.stringify(model));
for (const path of model.weightsManifest.flatMap(group => group.paths)) {
  writeFileSync(join(folder, 'tfjs', path), Buffer.from(bundle(path), 'base64'));
}
const names = ['Drawing', 'Hentai', 'Neutral', 'Porn', 'Sexy'];
writeFileSync(join(folder, 'config.json'), json({ id2label: Object.fromEntries(names.entries()) }));
const size = { height: side, width: side };
writeFileSync(
  join(folder, 'preprocessor_config.json'),
  // As nsfwjs itself prepares an image: the whole of it, resized bilinearly, on the scale from 0 to 1.
  json({
    do_resize: true,
    size,
    resample: 2,
    do_center_crop: false,
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: false,
  }),
);
copyFileSync(join(packages, 'node_modules/nsfwjs/LICENSE'), join(folder, 'LICENSE'));
