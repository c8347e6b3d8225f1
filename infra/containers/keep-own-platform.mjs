// keep-own-platform.mjs NODE_MODULES: deletes what ONNX Runtime brings for other systems and processors.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const bin = join(process.argv[2], 'onnxruntime-node', 'bin');
for (const interface_ of readdirSync(bin)) {
  for (const platform of readdirSync(join(bin, interface_))) {
    const folder = join(bin, interface_, platform);
    if (platform !== process.platform) rmSync(folder, { recursive: true });
    else {
      for (const processor of readdirSync(folder)) {
        if (processor !== process.arch) rmSync(join(folder, processor), { recursive: true });
      }
    }
  }
}
