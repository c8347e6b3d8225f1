/** The page of the gateway: one image, its panel and its verdict. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { FastifyInstance } from 'fastify';

/** Nothing from elsewhere, nothing inline; the pictures of a panel come as data. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
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

/** Images to try. */
const SAMPLES = [
  { path: 'rocket.jpg', type: 'image/jpeg' },
  { path: 'adversarial/rocket-cw.png', type: 'image/png' },
  { path: 'coffee.jpg', type: 'image/jpeg' },
  { path: 'adversarial/coffee-cw.png', type: 'image/png' },
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
  for (const { path, type } of SAMPLES) {
    const bytes = await readFile(new URL(`../../../samples/${path}`, import.meta.url));
    app.get(`/samples/${basename(path)}`, { config: { public: true }, schema: { hide: true } }, async (_, reply) =>
      reply.type(type).header('cache-control', 'max-age=3600').send(bytes),
    );
  }
}
