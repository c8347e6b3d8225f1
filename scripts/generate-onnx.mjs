// Makes src/models/onnx/onnx_pb.ts from onnx.proto. The compiler and its plugin are fetched by npx for this
// one call, pinned, and are no dependencies of the project; the generated file is committed.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../src/models/onnx', import.meta.url));
const template = JSON.stringify({
  version: 'v2',
  plugins: [{ local: 'protoc-gen-es', out: '.', opt: ['target=ts'] }],
});
const tools = ['--yes', '--package=@bufbuild/buf@1.75.0', '--package=@bufbuild/protoc-gen-es@2.17.0'];
const result = spawnSync('npx', [...tools, '--', 'buf', 'generate', '--template', template, '--path', 'onnx.proto'], {
  cwd: folder,
  stdio: 'inherit',
});
process.exit(result.status ?? 1);
