import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import files from '@fastify/static';
import type { FastifyInstance } from 'fastify';

/** The built pages, in the plugin's package. */
const FOLDER = fileURLToPath(new URL('../public', import.meta.url));

/** No script, style or image from elsewhere, and none within a page. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "font-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/** Serves the dashboard at `/`, if it was built. */
export async function addDashboard(server: FastifyInstance): Promise<void> {
  if (!existsSync(FOLDER)) return;
  await server.register(files, {
    root: FOLDER,
    // What may be fetched is known: no other path reaches the disk.
    wildcard: false,
    setHeaders: (response, path) => {
      response.header('content-security-policy', POLICY);
      // Names of assets bear a hash of what is in them.
      const lasts = path.includes('/assets/');
      response.header('cache-control', lasts ? 'public, max-age=31536000, immutable' : 'no-cache');
    },
  });
}
