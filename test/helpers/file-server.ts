/** An HTTP server on loopback that gives files, by ranges where it is asked, and behaves as badly as it is told. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

/** What becomes of the next answer. */
export type Mischief =
  /** The connection is cut after so many bytes of the body. */
  | { readonly cutAfter: number }
  /** Another status, without a body. */
  | { readonly status: number; readonly location?: string }
  /** So many bytes, then nothing more. */
  | { readonly stallAfter: number }
  /** Of the range that was asked for only so many bytes, in good order. */
  | { readonly partOf: number }
  /** The whole file, whatever range was asked for. */
  | { readonly ignoreRange: true };

export interface FileServer {
  readonly url: string;
  /** `PATH RANGE`, one a request. */
  readonly requests: string[];
  /** What the next answers suffer, in turn. */
  readonly mischief: Mischief[];
  close(): Promise<void>;
}

/** Serves `files` by their paths until the test ends. */
export async function serveFiles(
  t: Pick<TestContext, 'after'>,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<FileServer> {
  const requests: string[] = [];
  const mischief: Mischief[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.url} ${request.headers.range ?? ''}`.trim());
    answer(request, response, files[request.url ?? ''], mischief.shift());
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const close = () =>
    new Promise<void>(resolve => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  t.after(close);
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, requests, mischief, close };
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  file: Uint8Array | string | undefined,
  mischief: Mischief | undefined,
): void {
  response.setHeader('connection', 'close');
  if (mischief !== undefined && 'status' in mischief) {
    response.writeHead(mischief.status, mischief.location === undefined ? {} : { location: mischief.location }).end();
    return;
  }
  if (file === undefined) {
    response.writeHead(404).end();
    return;
  }
  const bytes = Buffer.from(file);
  const asked = mischief !== undefined && 'ignoreRange' in mischief ? undefined : request.headers.range;
  const start = asked === undefined ? 0 : Number(/^bytes=(\d+)-$/.exec(asked)?.[1]);
  if (start >= bytes.length) {
    response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
    return;
  }
  const end = mischief !== undefined && 'partOf' in mischief ? start + mischief.partOf : bytes.length;
  const body = bytes.subarray(start, end);
  response.writeHead(asked === undefined ? 200 : 206, {
    'content-length': body.length,
    ...(asked === undefined ? {} : { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` }),
  });
  if (mischief !== undefined && 'cutAfter' in mischief) {
    response.write(body.subarray(0, mischief.cutAfter), () => setImmediate(() => response.destroy()));
  } else if (mischief !== undefined && 'stallAfter' in mischief) {
    response.write(body.subarray(0, mischief.stallAfter));
  } else {
    response.end(body);
  }
}
