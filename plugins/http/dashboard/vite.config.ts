import path from 'node:path';
import { defineConfig } from 'vite';

/** Builds the pages into the folder that the plugin serves. */
export default defineConfig({
  root: import.meta.dirname,
  // Relative: the pages work below a path of a proxy, too.
  base: './',
  publicDir: 'static',
  server: { proxy: { '/api': 'http://127.0.0.1:8085' } },
  build: {
    outDir: path.join(import.meta.dirname, '../public'),
    emptyOutDir: true,
    target: 'es2022',
    // The content security policy allows files, and nothing within a page.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    license: { fileName: 'LICENSES.md' },
    reportCompressedSize: false,
  },
});
