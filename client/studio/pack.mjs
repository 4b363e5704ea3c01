// `node pack.mjs clean` empties `dist`; `node pack.mjs` compresses each of its files into one with the ending `.gz`, which
// the server sends, and bounds their size.
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const FOLDER = "dist";

/** Bytes that all files together may have, compressed. */
const BYTES_MAX = 600_000;

function clean() {
  for (const name of existsSync(FOLDER) ? readdirSync(FOLDER) : []) {
    if (!name.startsWith(".")) {
      rmSync(join(FOLDER, name), { recursive: true });
    }
  }
}

/** Compresses every file; their size together. */
function pack() {
  let bytes = 0;
  for (const entry of readdirSync(FOLDER, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && !entry.name.startsWith(".")) {
      const path = join(entry.parentPath, entry.name);
      const packed = gzipSync(readFileSync(path), { level: 9 });
      writeFileSync(`${path}.gz`, packed);
      bytes += packed.length;
    }
  }
  return bytes;
}

if (process.argv[2] === "clean") {
  clean();
} else {
  const bytes = pack();
  console.log(`the page has ${bytes} bytes, compressed; ${BYTES_MAX} are allowed`);
  process.exitCode = bytes > BYTES_MAX ? 1 : 0;
}
