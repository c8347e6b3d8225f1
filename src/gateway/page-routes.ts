/** The page of the gateway: one image, its panel and its verdict. */
import { readFile } from 'node:fs/promises';
import type { FastifyInstance } from 'fastify';

/** Nothing from elsewhere, nothing inline; pictures come as data. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  'img-src data: blob:',
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

const FILES = [
  { path: '/', name: 'index.html', type: 'text/html; charset=utf-8' },
  { path: '/page.css', name: 'page.css', type: 'text/css; charset=utf-8' },
  { path: '/page.js', name: 'page.js', type: 'text/javascript; charset=utf-8' },
] as const;

/** @param withToken whether the page is to ask for a token */
export async function pageRoutes(app: FastifyInstance, withToken: boolean): Promise<void> {
  for (const { path, name, type } of FILES) {
    // The page stands beside this file's source, in languages of its own.
    const text = await readFile(new URL(`../../../src/gateway/page/${name}`, import.meta.url), 'utf8');
    const content = text.replace('data-token="no"', `data-token="${withToken ? 'yes' : 'no'}"`);
    app.get(path, { config: { public: true }, schema: { hide: true } }, async (_, reply) =>
      reply
        .type(type)
        .headers({ 'content-security-policy': POLICY, 'cross-origin-opener-policy': 'same-origin' })
        .send(content),
    );
  }
}
