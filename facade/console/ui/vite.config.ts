import react from '@vitejs/plugin-react';
import { join } from 'node:path';
import { defineConfig } from 'vite';
import { clean, compress, systemFonts, theme } from './build/plugins.ts';

const dist = join(import.meta.dirname, '..', 'dist');

// DMS_ENDPOINT and DMS_TOKEN (.dms/dev.env) let "npm run dev" use a service that runs.
const service = {
  target: process.env.DMS_ENDPOINT ?? 'http://127.0.0.1:8080',
  ...(process.env.DMS_TOKEN ? { headers: { 'X-Auth-Token': process.env.DMS_TOKEN } } : {}),
};

export default defineConfig({
  base: '/console/',
  plugins: [react(), theme(), systemFonts(), clean(dist), compress(dist)],
  build: {
    outDir: dist,
    emptyOutDir: false,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    chunkSizeWarningLimit: 2000,
  },
  server: { proxy: { '^/(v1|v1\\.0|v2|admin|openapi\\.yaml|console/(session|login))': service } },
});
