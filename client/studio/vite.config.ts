import { defineConfig } from "vitest/config";
import solid from "vite-plugin-solid";

/** The studio of a running server, for `npm run dev`. */
const studio = process.env["SAKUGA_STUDIO"] ?? "http://127.0.0.1:50052";

export default defineConfig({
  plugins: [solid()],
  // `src/sakuga` is a link to the sources of the TypeScript client, whose packages are those of this folder.
  resolve: { preserveSymlinks: true },
  build: {
    target: "es2022",
    // `pack.mjs` empties the folder, except for the file that git has of it.
    emptyOutDir: false,
    chunkSizeWarningLimit: 1000,
    // No file may become a `data:` address, and no script an inline one: the server's content security policy forbids both.
    assetsInlineLimit: 0,
    // The licences of the packages in the bundle, which the page links to.
    license: { fileName: "licences.txt" },
    modulePreload: { polyfill: false },
  },
  // `npm run dev` shows the page of the sources with the calls of a server that runs.
  server: { proxy: { "^/sakuga\\.": { target: studio, changeOrigin: true, headers: { origin: studio } } } },
  // A machine that builds at the same time is slow.
  test: { environment: "node", include: ["src/**/*.test.ts"], testTimeout: 60_000 },
});
